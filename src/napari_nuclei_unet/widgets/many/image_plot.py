"""A plot with a dot for each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from ..common.themed_plot import ThemedPlot

DOT_COLOR, MEDIAN_COLOR = "#56b4e9", "#e69f00"
PLOT_HEIGHT = 170


class ImagePlot(ThemedPlot):
    """Shows a number of each image in the order of the list, and the median as a line.

    Signals
    -------
    image_clicked : int
        The dot of an image was clicked.
    """

    image_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("image_plot")
        self.setToolTip("A dot for each image, in the order of the list; the line is the median.")
        self.setFixedHeight(PLOT_HEIGHT)
        self.getPlotItem().setLabel("bottom", "image")
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

    def _on_clicked(self, _: Any, dots: Any, *_event: Any) -> None:
        if len(dots):
            self.image_clicked.emit(int(dots[0].data()))
