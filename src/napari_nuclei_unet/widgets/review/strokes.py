"""Clicks and strokes on a labels layer while a tool is active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from ..common.canvas import StrokeTrail, find_canvas

PAN_ZOOM = "pan_zoom"
# A press that moves farther turns the view, in pixels of the canvas; a nearer one is a click.
MAX_CLICK_DISTANCE = 4


@dataclass(frozen=True, eq=False)
class Stroke:
    """A click, or a line that was drawn.

    Attributes
    ----------
    positions : ndarray, shape (n, ndim), floating
        Where the button was pressed, dragged and released, in napari's coordinates.
    view_direction : ndarray, shape (ndim,), floating, or None
        From the camera into a 3-D view; None: the view is of a plane.
    displayed : sequence of int
        Axes of the viewer that a 3-D view shows.
    """

    positions: NDArray[np.floating]
    view_direction: NDArray[np.floating] | None = None
    displayed: Sequence[int] = ()


class Strokes(QObject):
    """Grabs the left mouse button of one layer, until it is released.

    Parameters
    ----------
    widget : QWidget
        Docked in the window whose canvas is drawn on.

    Signals
    -------
    drawn : Stroke
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
        self._clicks_only = False

    def grab_mouse(self, layer: Labels, clicks_only: bool = False) -> None:
        """Grab the mouse of a layer; the previous layer is released.

        Parameters
        ----------
        layer : napari.layers.Labels
        clicks_only : bool, optional
            Whether lines that are drawn move or turn the view, as always.
        """
        self.release_mouse()
        layer.mode = PAN_ZOOM
        self._clicks_only = layer.mouse_pan = clicks_only
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
        trail = None if canvas is None or self._clicks_only else StrokeTrail(canvas)
        start, is_click = np.array(event.pos, float), True
        try:
            points = [_position(event, trail)]
            yield
            while event.type == "mouse_move":
                points.append(_position(event, trail))
                is_click &= bool(np.hypot(*(event.pos - start)) <= MAX_CLICK_DISTANCE)
                yield
            points.append(_position(event, trail))
        finally:
            if trail is not None:
                trail.end()
        # else another tool is active by now, or the view was turned
        if grab_count == self._grab_count and (is_click or not self._clicks_only):
            direction = event.view_direction
            direction = None if direction is None else np.asarray(direction, np.float64)
            self.drawn.emit(Stroke(np.array(points), direction, tuple(event.dims_displayed)))


def _position(event: Any, trail: StrokeTrail | None) -> NDArray[np.float64]:
    if trail is not None:
        trail.add(*event.pos)
    return np.asarray(event.position, np.float64)
