"""The canvas of napari's window, and a trail that is drawn over it."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QMainWindow, QWidget
from vispy.app.base import BaseCanvasBackend

TRAIL_WIDTH = 3
TRAIL_COLOR = QColor(255, 230, 0)


def find_canvas(widget: QWidget) -> QWidget | None:
    """Find the canvas of the window that a widget is docked in, if it is in one."""
    window = widget.window()
    central = window.centralWidget() if isinstance(window, QMainWindow) else None
    for child in [] if central is None else central.findChildren(QWidget):
        if isinstance(child, BaseCanvasBackend):
            return child
    return None


class StrokeTrail(QWidget):
    """A line along the path of the mouse, drawn over a canvas, which still gets all events.

    Parameters
    ----------
    canvas : QWidget
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setObjectName("trail")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._points: list[QPointF] = []
        self.setGeometry(canvas.rect())
        self.show()
        self.raise_()

    def add(self, x: float, y: float) -> None:
        """Extend the trail to a point, in pixels of the canvas."""
        self._points.append(QPointF(x, y))
        self.update()

    def end(self) -> None:
        """Remove the trail."""
        self.hide()
        self.deleteLater()

    def paintEvent(self, _: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the trail; called by Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(TRAIL_COLOR, TRAIL_WIDTH))
        painter.drawPolyline(QPolygonF(self._points))
        painter.end()
