"""A plot in a dock, in the colours of napari's theme."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QEvent
from qtpy.QtGui import QColor, QPalette, QWheelEvent

# Those that are drawn.
PLOT_AXES = ("left", "bottom")


class ThemedPlot(pg.PlotWidget):  # type: ignore[misc]
    """A plot without menus that the mouse does not move; the wheel scrolls the dock."""

    _is_built = False

    def __init__(self) -> None:
        super().__init__()
        item = self.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        for unused in (item.ctrlMenu, item.stateGroup):  # which belong to nobody
            self.destroyed.connect(unused.deleteLater)
        self.setMouseEnabled(x=False, y=False)
        self._is_built = True
        self.use_theme()

    @property
    def text_color(self) -> QColor:
        """The colour of text in the theme."""
        return self.palette().color(QPalette.ColorRole.WindowText)

    def use_theme(self) -> None:
        """Draw background and axes in the colours of the theme."""
        self.setBackground(self.palette().color(QPalette.ColorRole.Window))
        for side in PLOT_AXES:
            axis = self.getPlotItem().getAxis(side)
            axis.setTextPen(self.text_color)
            axis.setPen(self.text_color)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 Qt's name
        """Follow the theme; called by Qt."""
        super().changeEvent(event)
        kinds = QEvent.Type.PaletteChange, QEvent.Type.StyleChange
        if self._is_built and event is not None and event.type() in kinds:
            self.use_theme()

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 Qt's name
        """Leave the wheel to the dock, which scrolls."""
        if event is not None:
            event.ignore()
