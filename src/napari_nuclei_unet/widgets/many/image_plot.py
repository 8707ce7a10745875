"""A plot with a dot for each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtGui import QWheelEvent

DOT_COLOR, IMAGE_PLOT_BACKGROUND, IMAGE_PLOT_TEXT_COLOR = "#56b4e9", "#262930", "#d0d2d6"
MEDIAN_COLOR = "#e69f00"
PLOT_HEIGHT = 170


class ImagePlot(pg.PlotWidget):  # type: ignore[misc]
    """Shows a number of each image in the order of the list, and the median as a line.

    Signals
    -------
    image_clicked : int
        The dot of an image was clicked.
    """

    image_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__(background=IMAGE_PLOT_BACKGROUND)
        self.setObjectName("image_plot")
        self.setToolTip("A dot for each image, in the order of the list; the line is the median.")
        self.setFixedHeight(PLOT_HEIGHT)
        item = self.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        for side in ("left", "bottom"):
            item.getAxis(side).setTextPen(IMAGE_PLOT_TEXT_COLOR)
            item.getAxis(side).setPen(IMAGE_PLOT_TEXT_COLOR)
        item.setLabel("bottom", "image")
        self.setMouseEnabled(x=False, y=False)
        self._dots = pg.ScatterPlotItem(size=8, pen=None, brush=DOT_COLOR, hoverable=True)
        self._median = pg.InfiniteLine(angle=0, pen=pg.mkPen(MEDIAN_COLOR, width=2))
        self.addItem(self._dots)
        self.addItem(self._median)
        self._dots.sigClicked.connect(self._on_clicked)

    def show_numbers(self, numbers: NDArray[np.float64]) -> None:
        """Draw a number of each image; those that are not known are left out."""
        places = np.flatnonzero(np.isfinite(numbers))
        self._dots.setData(places + 1, numbers[places], data=places)
        self._median.setVisible(bool(places.size))
        if not places.size:
            return
        self._median.setPos(float(np.median(numbers[places])))
        self.setXRange(1, max(len(numbers), 2), padding=0.03)
        self.setYRange(min(0.0, float(numbers[places].min())), float(numbers[places].max()) or 1.0)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 Qt's name
        """Leave the wheel to the dock, which scrolls."""
        if event is not None:
            event.ignore()

    def _on_clicked(self, _: Any, dots: Any, *_event: Any) -> None:
        if len(dots):
            self.image_clicked.emit(int(dots[0].data()))
