"""A histogram with two limits that the mouse moves."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Signal

from ..common.themed_plot import ThemedPlot
from .column_summary import OPEN_LIMITS, ValueLimits

FEWEST_BINS, MOST_BINS = 8, 60
BAR_COLOR, RANGE_COLOR, RANGE_LINE_COLOR = "#56b4e9", "#e69f0030", "#e69f00"
PREFERRED_SIZE = 240, 100  # in screen pixels


class ColumnHistogram(ThemedPlot):
    """Shows how values are distributed, and selects a range of them.

    Signals
    -------
    limits_changed
        There are other :attr:`limits`, moved by the mouse or set.
    """

    limits_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("histogram")
        self.setToolTip("Drag the orange lines: the nuclei between them are counted and coloured.")
        self.setMinimumHeight(PREFERRED_SIZE[1])
        self.limits = OPEN_LIMITS
        self._ends = (0.0, 1.0)  # of the values
        self._bars = pg.PlotCurveItem(
            np.array(self._ends),
            np.zeros(1),
            stepMode="center",
            fillLevel=0,
            brush=BAR_COLOR,
            pen=None,
        )
        self._range = pg.LinearRegionItem(
            brush=RANGE_COLOR, hoverBrush=RANGE_COLOR, pen=pg.mkPen(RANGE_LINE_COLOR, width=3)
        )
        self.addItem(self._bars)
        self.addItem(self._range)
        self._range.sigRegionChanged.connect(self._on_moved)

    def sizeHint(self) -> QSize:  # noqa: N802 Qt's name
        """Return a low size, as the dock may be; the plot takes what room there is."""
        return QSize(*PREFERRED_SIZE)

    def show_values(self, values: NDArray[np.float64]) -> None:
        """Draw the histogram of values, missing ones left out; the limits stay."""
        known = values[np.isfinite(values)]
        self._range.setVisible(bool(known.size))
        self._bars.setVisible(bool(known.size))
        if not known.size:
            return
        counts, edges = np.histogram(known, _bin_edges(known))
        self._bars.setData(edges, counts)
        self._ends = float(edges[0]), float(edges[-1])
        self.setXRange(*self._ends, padding=0.04)
        self.setYRange(0, float(counts.max()), padding=0.05)
        self._draw_limits()

    def set_limits(self, limits: ValueLimits) -> None:
        """Set the limits, as the mouse does."""
        self.limits = limits
        self._draw_limits()
        self.limits_changed.emit()

    def _draw_limits(self) -> None:
        low, high = np.clip((self.limits.low, self.limits.high), *self._ends).tolist()
        self._range.blockSignals(True)
        self._range.setBounds(self._ends)
        self._range.setRegion((low, high))
        self._range.blockSignals(False)
        self._shade()

    def _shade(self) -> None:
        self._range.setBrush(None if self.limits.is_open else RANGE_COLOR)

    def _on_moved(self) -> None:
        low, high = self._range.getRegion()
        self.limits = ValueLimits(
            -math.inf if low <= self._ends[0] else float(low),
            math.inf if high >= self._ends[1] else float(high),
        )
        self._shade()
        self.limits_changed.emit()


def _bin_edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges of bins by the square root of the count; one value alone has a bin around it."""
    low, high = float(known.min()), float(known.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    count = int(np.clip(np.sqrt(known.size) * 2, FEWEST_BINS, MOST_BINS))
    return np.linspace(low, high, count + 1)
