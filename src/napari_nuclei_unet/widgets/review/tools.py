"""Tools that correct nuclei by clicks and strokes, with their keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from ...errors import UserError
from ..common.controls import Panel, create_button, fill_grid
from ..common.key_bindings import KeyBindings
from ..common.notify import name_controls, report_user_errors
from ..layers.label_edits import check_editable
from ..layers.labels_state import LabelsState
from ..layers.volumes import find_edited_axes
from . import edits as _editing
from .edits import EditLocation, editable_plane_index
from .strokes import Stroke, Strokes
from .target_form import LABELS_NEEDED, TargetForm
from .volume_edits import (
    NOT_IN_3D,
    VolumeEditFunction,
    add_volume,
    delete_volume,
    merge_volumes,
    split_volumes,
)
from .volume_location import VolumeLocation

if TYPE_CHECKING:
    from napari.components import ViewerModel

ESCAPE_KEY = "Escape"


@dataclass(frozen=True)
class EditTool:
    """A tool.

    Attributes
    ----------
    key : str
        Activates and deactivates it.
    hint : str
        What to do with the mouse.
    apply : callable
        Called with location and image; edits, and returns a message.
    apply_to_volume : callable
        The same where a nucleus is one object along z.
    works_in_3d : bool
        Whether it does so in a 3-D view, too.
    is_click : bool
        Whether it needs no line.
    """

    name: str
    key: str
    hint: str
    apply: _editing.EditFunction
    apply_to_volume: VolumeEditFunction
    works_in_3d: bool = False
    is_click: bool = False


EDIT_TOOLS = (
    EditTool("Delete", "D", "Click on a nucleus to delete it.",
             _editing.delete_nucleus, delete_volume, works_in_3d=True, is_click=True),
    EditTool("Merge", "J", "Draw a line across nuclei to join them.",
             _editing.merge_nuclei, merge_volumes, works_in_3d=True),
    EditTool("Split", "S", "Draw a line through a nucleus to cut it.",
             _editing.split_nuclei, split_volumes),
    EditTool("Add", "A", "Click where the network has overlooked a nucleus.",
             _editing.add_nucleus, add_volume, is_click=True),
)  # fmt: skip


class EditToolbar(Panel):
    """A button for each tool, of which one at most is active.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
        Holds the labels that are corrected, and their image.

    Signals
    -------
    activated
        The mouse is this toolbar's.
    """

    activated = Signal()

    def __init__(self, viewer: ViewerModel, target: TargetForm) -> None:
        super().__init__()
        self._viewer, self._target = viewer, target
        self._strokes = Strokes(self)
        self._tool: EditTool | None = None
        self._escape = KeyBindings({ESCAPE_KEY: self.deactivate})
        self._buttons: dict[str, QPushButton] = {}
        for tool in EDIT_TOOLS:
            name, text = f"tool_{tool.name.lower()}", f"{tool.name} ({tool.key})"
            button = create_button(name, text, tool.hint, partial(self.activate, tool))
            button.setCheckable(True)
            self._buttons[tool.name] = button
        fill_grid(self, self._buttons.values())
        self._strokes.drawn.connect(self._on_drawn)
        self._strokes.lost.connect(self.deactivate)
        target.changed.connect(self.deactivate)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.dims.events.ndisplay.connect(self.deactivate)
        # Qt calls no method of an object that is being destroyed, such as strokes, a child of this
        self.destroyed.connect(partial(_release, self._strokes, self._escape))

    @property
    def keys(self) -> dict[str, Callable[[], None]]:
        """Key bindings."""
        return {tool.key: partial(self.activate, tool) for tool in EDIT_TOOLS}

    def activate(self, tool: EditTool, *_: object) -> None:
        """Activate a tool; the active one is deactivated."""
        if tool is self._tool:
            self.deactivate()
            return
        self.deactivate()
        layer = self._target.value().labels
        try:
            if layer is None:
                raise UserError(LABELS_NEEDED)
            self._check(tool, layer)
        except UserError as error:
            self._buttons[tool.name].setChecked(False)
            self.message.emit(name_controls(error))
            show_warning(name_controls(error))
            return
        self.activated.emit()
        self._viewer.layers.selection.active = layer
        in_3d = self._viewer.dims.ndisplay == 3
        self._strokes.grab_mouse(layer, clicks_only=tool.is_click and in_3d)
        self._escape.bind(layer)
        self._tool = tool
        self._buttons[tool.name].setChecked(True)
        self.message.emit(tool.hint)

    def deactivate(self, *_: object) -> None:
        """Deactivate the tool, so that the mouse moves the view again."""
        if self._tool is None:
            return
        self._buttons[self._tool.name].setChecked(False)
        self._tool = None
        self._escape.bind(None)  # napari's own tools need it
        self._strokes.release_mouse()
        self.message.emit("")

    def _check(self, tool: EditTool, layer: Labels) -> None:
        """Raise an error if a tool cannot be used on labels in this view."""
        state = LabelsState.of(layer)
        if self._viewer.dims.ndisplay == 2 or find_edited_axes(layer) is None:
            editable_plane_index(self._viewer, state)
            return
        check_editable(state)
        if not tool.works_in_3d:
            raise UserError(NOT_IN_3D)

    def _on_active(self, event: Any) -> None:
        if self._tool is not None and event.value != self._target.value().labels:
            self.deactivate()

    def _on_drawn(self, stroke: Stroke) -> None:
        tool, layer = self._tool, self._target.value().labels
        if tool is not None and layer is not None:
            self.apply_stroke(tool, layer, stroke)

    def apply_tool(self, name: str, stroke: Stroke) -> None:
        """Apply a tool, by its name, to a stroke on the labels that are chosen."""
        if (layer := self._target.value().labels) is None:
            self.message.emit(LABELS_NEEDED)
        else:
            self.apply_stroke({tool.name: tool for tool in EDIT_TOOLS}[name], layer, stroke)

    def apply_stroke(self, tool: EditTool, layer: Labels, stroke: Stroke) -> None:
        """Apply a tool to a stroke; an invalid stroke shows a message and changes nothing."""
        image, axes = self._target.value().image, find_edited_axes(layer)
        with report_user_errors(self.message.emit):
            if axes is None:
                location = EditLocation.of(self._viewer, layer, stroke.positions)
                text = tool.apply(location, image)
            else:
                place = VolumeLocation.of(self._viewer, layer, axes, stroke)
                text = tool.apply_to_volume(place, image)
            self.message.emit(f"{text} Ctrl+Z undoes.")


def _release(strokes: Strokes, escape: KeyBindings, *_: object) -> None:
    strokes.release_mouse()
    escape.bind(None)
