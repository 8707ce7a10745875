"""Tools that correct nuclei by clicks and strokes, with their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Labels

from ...errors import UserError
from ..common.notify import report_user_errors
from ..layers.label_edits import check_editable
from ..layers.labels_state import LabelsState
from ..layers.volumes import find_edited_axes
from . import edits as _editing
from .edits import EditLocation, editable_plane_index
from .strokes import Stroke
from .target_form import LABELS_NEEDED, TargetForm
from .toolbar import Tool, Toolbar
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


@dataclass(frozen=True)
class EditTool(Tool):
    """A tool for nuclei.

    Attributes
    ----------
    apply : callable
        Called with location and image; edits, and returns a message.
    apply_to_volume : callable
        The same where a nucleus is one object along z.
    works_in_3d : bool
        Whether it does so in a 3-D view, too.
    is_click : bool
        Whether it needs no line.
    """

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
    EditTool("Add", "A", "Click where a nucleus was missed.",
             _editing.add_nucleus, add_volume, is_click=True),
)  # fmt: skip


class EditToolbar(Toolbar[EditTool]):
    """A button for each tool that corrects nuclei.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
        Holds the labels that are corrected, and their image.
    """

    def __init__(self, viewer: ViewerModel, target: TargetForm) -> None:
        super().__init__(viewer, target, EDIT_TOOLS)
        viewer.dims.events.ndisplay.connect(self.deactivate)

    def _check(self, tool: EditTool, layer: Labels) -> None:
        """Raise an error if a tool cannot be used on labels in this view."""
        state = LabelsState.of(layer)
        if self._viewer.dims.ndisplay == 2 or find_edited_axes(layer) is None:
            editable_plane_index(self._viewer, state)
            return
        check_editable(state)
        if not tool.works_in_3d:
            raise UserError(NOT_IN_3D)

    def _needs_clicks(self, tool: EditTool) -> bool:
        return tool.is_click and self._viewer.dims.ndisplay == 3

    def _apply(self, tool: EditTool, stroke: Stroke) -> None:
        if (layer := self._target.value().labels) is not None:
            self.apply_stroke(tool, layer, stroke)

    def apply_tool(self, name: str, stroke: Stroke) -> None:
        """Apply a tool, by its name, to a stroke on the labels that are chosen."""
        if (layer := self._target.value().labels) is None:
            self.message.emit(LABELS_NEEDED)
        else:
            self.apply_stroke(self._tools[name], layer, stroke)

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
