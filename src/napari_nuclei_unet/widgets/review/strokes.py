"""Clicks and strokes on a labels layer while a tool is active."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from ..common.canvas import StrokeTrail, find_canvas

PAN_ZOOM = "pan_zoom"


class Strokes(QObject):
    """Grabs the left mouse button of one layer, until it is released.

    Parameters
    ----------
    widget : QWidget
        Docked in the window whose canvas is drawn on.

    Signals
    -------
    drawn : ndarray, shape (n, ndim), floating
        Where the button was pressed, dragged and released, in napari's coordinates.
    lost
        The layer was put into another mode: its mouse is napari's again.
    """

    drawn = Signal(object)
    lost = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._layer: Labels | None = None
        self._grab_count = 0

    def grab_mouse(self, layer: Labels) -> None:
        """Grab the mouse of a layer; the previous layer is released."""
        self.release_mouse()
        layer.mode = PAN_ZOOM
        layer.mouse_pan = False
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.events.mode.connect(self._on_mode)
        self._layer = layer

    def release_mouse(self) -> None:
        """Return the mouse to napari."""
        self._grab_count += 1
        layer, self._layer = self._layer, None
        if layer is None:
            return
        layer.events.mode.disconnect(self._on_mode)
        if self._on_drag in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_drag)
        layer.mouse_pan = str(layer.mode) == PAN_ZOOM

    def _on_mode(self, _: Any) -> None:
        self.release_mouse()
        self.lost.emit()

    def _on_drag(self, _: Labels, event: Any) -> Iterator[None]:
        """Follow the mouse from press to release; napari calls it for every event."""
        if event.button != 1:
            return
        grab_count, canvas = self._grab_count, find_canvas(self._widget)
        trail = None if canvas is None else StrokeTrail(canvas)
        try:
            points = [_position(event, trail)]
            yield
            while event.type == "mouse_move":
                points.append(_position(event, trail))
                yield
            points.append(_position(event, trail))
        finally:
            if trail is not None:
                trail.end()
        if grab_count == self._grab_count:  # else another tool is active by now
            self.drawn.emit(np.array(points))


def _position(event: Any, trail: StrokeTrail | None) -> NDArray[np.float64]:
    if trail is not None:
        trail.add(*event.pos)
    return np.asarray(event.position, np.float64)
