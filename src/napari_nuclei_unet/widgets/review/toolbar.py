"""The base of toolbars whose tools take the mouse: a button and a key each, one active at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from ...errors import UserError
from ..common.controls import Panel, create_button, fill_grid
from ..common.disabled_button import disable
from ..common.key_bindings import KeyBindings
from ..common.notify import name_controls, show_warning
from .strokes import Stroke, Strokes
from .target_form import LABELS_NEEDED, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

ESCAPE_KEY = "Escape"


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes
    ----------
    key : str
        Activates and deactivates it.
    hint : str
        What to do with the mouse.
    """

    name: str
    key: str
    hint: str


ToolT = TypeVar("ToolT", bound=Tool)


class Toolbar(Panel, Generic[ToolT]):
    """A button for each tool, of which one at most is active.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
        Holds the labels that are corrected.
    tools : sequence of Tool

    Signals
    -------
    activated
        The mouse is this toolbar's.
    """

    activated = Signal()

    def __init__(self, viewer: ViewerModel, target: TargetForm, tools: Sequence[ToolT]) -> None:
        super().__init__()
        self._viewer, self._target = viewer, target
        self._tools = {tool.name: tool for tool in tools}
        self._strokes = Strokes(self)
        self._tool: ToolT | None = None
        self._escape = KeyBindings({ESCAPE_KEY: self._on_escape})
        self._buttons: dict[str, QPushButton] = {}
        for tool in tools:
            name, text = f"tool_{tool.name.lower().replace(' ', '_')}", f"{tool.name} ({tool.key})"
            button = create_button(name, text, tool.hint, partial(self.activate, tool))
            button.setCheckable(True)
            self._buttons[tool.name] = button
        fill_grid(self, self._buttons.values())
        self._strokes.drawn.connect(self._on_drawn)
        self._strokes.lost.connect(self.deactivate)
        target.changed.connect(self.deactivate)
        target.changed.connect(self._show_reason)
        self._show_reason()
        viewer.layers.selection.events.active.connect(self._on_active)
        # Qt calls no method of an object that is being destroyed, such as strokes, a child of this
        self.destroyed.connect(partial(_release, self._strokes, self._escape))

    def _show_reason(self) -> None:
        for button in self._buttons.values():
            disable(button, LABELS_NEEDED if self._target.value().labels is None else "")

    @property
    def keys(self) -> dict[str, Callable[[], None]]:
        """Key bindings."""
        return {tool.key: partial(self.activate, tool) for tool in self._tools.values()}

    def activate(self, tool: ToolT, *_: object) -> None:
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
        self._strokes.grab_mouse(layer, clicks_only=self._needs_clicks(tool))
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

    def _check(self, tool: ToolT, layer: Labels) -> None:
        """Raise an error if a tool cannot be used on labels in this view."""
        raise NotImplementedError

    def _apply(self, tool: ToolT, stroke: Stroke) -> None:
        """Apply the active tool to what was drawn."""
        raise NotImplementedError

    def _needs_clicks(self, _: ToolT) -> bool:
        """Return whether a drag moves the view, and a click only is for the tool."""
        return False

    def _on_escape(self) -> None:
        self.deactivate()

    def _on_drawn(self, stroke: Stroke) -> None:
        if self._tool is not None:
            self._apply(self._tool, stroke)

    def _on_active(self, event: Any) -> None:
        if self._tool is not None and event.value != self._target.value().labels:
            self.deactivate()


def _release(strokes: Strokes, escape: KeyBindings, *_: object) -> None:
    strokes.release_mouse()
    escape.bind(None)
