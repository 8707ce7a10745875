"""Labels in the colours of their values."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap
from numpy.typing import NDArray

from .nuclei_rows import format_number

VALUE_COLORMAP = "viridis"
# Orange and grey, which all kinds of colour vision can distinguish.
INSIDE_COLOR, OUTSIDE_COLOR = (0.90, 0.62, 0.0, 1.0), (0.45, 0.45, 0.5, 0.6)
# The few colours let napari map labels fast; percentiles at the ends ignore outliers.
COLOR_COUNT, COLOR_PERCENTILES = 128, (1, 99)


@dataclass(frozen=True)
class ColorRange:
    """The values at the two ends of a colormap."""

    low: float
    high: float

    @staticmethod
    def of(values: NDArray[np.float64]) -> ColorRange:
        """Return the range of values, without outliers; from 0 to 1, if none is known."""
        known = values[np.isfinite(values)]
        if not known.size:
            return ColorRange(0.0, 1.0)
        low, high = np.percentile(known, COLOR_PERCENTILES).tolist()
        return ColorRange(low, high)

    def describe(self) -> str:
        """Return which colours the ends have, as text."""
        return f"violet {format_number(self.low)}, yellow {format_number(self.high)}"

    def color(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return colours of values, shape (n, 4); missing ones are grey."""
        parts = np.clip((values - self.low) / ((self.high - self.low) or 1.0), 0, 1)
        steps = np.round(np.nan_to_num(parts) * (COLOR_COUNT - 1)) / (COLOR_COUNT - 1)
        colors = ensure_colormap(VALUE_COLORMAP).map(steps)
        colors[np.isnan(values)] = OUTSIDE_COLOR
        return colors


class LabelColoring:
    """Gives nuclei of one layer colours, and the layer its own ones back afterwards."""

    def __init__(self) -> None:
        self._layer: weakref.ref[Labels] | None = None
        self._own: Any = None  # the colormap that the layer had
        self._shown: Any = None

    def show(self, layer: Labels, labels: NDArray[np.int64], colors: NDArray[np.float32]) -> None:
        """Colour nuclei; others are grey.

        Parameters
        ----------
        layer : napari.layers.Labels
        labels : ndarray, shape (n,), integer
        colors : ndarray, shape (n, 4)
        """
        is_shown = self._layer is not None and self._layer() is layer
        if not is_shown or layer.colormap is not self._shown:
            self.restore()
            self._layer, self._own = weakref.ref(layer), layer.colormap
        pairs = zip(labels.tolist(), colors, strict=True)
        colors_of_labels = {None: np.array(OUTSIDE_COLOR), 0: np.zeros(4), **dict(pairs)}
        layer.colormap = DirectLabelColormap(color_dict=colors_of_labels)
        self._shown = layer.colormap

    def restore(self, *_: object) -> None:
        """Restore the own colours of the layer, if it still has those that were shown."""
        layer = None if self._layer is None else self._layer()
        if layer is not None and layer.colormap is self._shown:
            layer.colormap = self._own
        self._layer = self._own = self._shown = None
