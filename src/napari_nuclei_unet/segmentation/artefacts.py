"""Pixels of a plane that are no measurement: fill at the rim, lines, hot pixels, stamps, debris.

They are told from nuclei by how far they lie from all others, and by what is left without them:
few bright nuclei on dark ground are as far from the ground as debris is from nuclei, but without
them nothing but ground is left. Where in doubt nothing is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Share of the pixels that may be outliers.
MAX_OUTLIERS = 0.03
# Outliers are so many times as far from the median as all that is not one. Network and thresholds
# bear ranges that are eight times too wide.
MIN_GAP = 4
# Fewer pixels do not change the white point, 99.8 %.
MIN_OUTLIERS = 0.0005
# Of pixels between outliers and others, such as blurred edges, there are no more.
MAX_IN_GAP = 0.0035
# Share of the pixels of the rim of a plane that may have fill, and of one that surely has, if an
# image of some size is left.
MIN_FILLED_RIM, MIN_SURE_RIM, MIN_SURE_FIELD = 0.01, 0.2, 0.5
# Share of a row or column that is a line.
MIN_LINE = 0.9
# Signal is so many times as high as the ground varies, and has next to no outliers in it.
MIN_CONTRAST = 6
MAX_OUTLIERS_IN_SIGNAL = 0.05
# Area of signal at least, as part of that of outliers.
MIN_SIGNAL = 0.25
# Parts of a plane that is filled beside them: of one alone, and of several, which are rectangles.
MIN_FIELD_AREA, MIN_TILE_AREA = 0.1, 0.02
MOSTLY = 0.9
# Percentile that stands for the other end of the range: there may be artefacts, too.
OTHER_END = 5
# Pixels around fill and outliers that are blurred or interpolated.
EDGE = 2
# So many values suffice for quantiles by which outliers are found.
QUANTILE_VALUES = 50_000
# Squares of no more pixels are looked at for the shape of fields.
FIELD_EDGE = 256
MIN_PIXELS = 64
# A pixel of a coarser sample can be a whole nucleus.
MAX_STEP_FOR_HOT_PIXELS = 2
MAX_ROUNDS = 4


@dataclass(frozen=True)
class Tails:
    """Black point, median and white point of a sample, and two points a little farther inside.

    Attributes
    ----------
    low, inner_low, middle, inner_high, high : float
        The inner points are what black and white point would be without the ``MAX_OUTLIERS`` of
        the pixels that lie farthest out.
    """

    low: float
    inner_low: float
    middle: float
    inner_high: float
    high: float

    @property
    def are_suspicious(self) -> bool:
        """Whether a tail is so long that outliers may be in it."""
        dark = self.middle - self.low > MIN_GAP * (self.middle - self.inner_low)
        return dark or self.high - self.middle > MIN_GAP * (self.inner_high - self.middle)


def has_filled_rim(sample: NDArray[np.floating], tails: Tails) -> bool:
    """Return whether much of the rim of a sample has the value of its black or white point."""
    rim = _rim(sample)
    rim = rim if rim.ndim == 2 else rim[:, None]
    return any(
        np.count_nonzero((rim == value).all(axis=1)) >= MIN_FILLED_RIM * len(rim)
        for value in (tails.low, tails.high)
    )


def find_artefacts(
    grey: NDArray[np.floating], low: float, high: float, step: int = 1
) -> NDArray[np.bool_] | None:
    """Find what is no measurement in a regular sample of a plane.

    Parameters
    ----------
    grey : ndarray, shape (Y, X), floating
        NaN where nothing is known.
    low, high : float
        Percentiles of black and white point.
    step : int
        Pixels of the plane from one value to the next.

    Returns
    -------
    ndarray, shape (Y, X), bool, or None
        Also the edges of what was found, and what is not finite; None: nothing was found.
    """
    found_any = False
    ignored = ~np.isfinite(grey)
    for _ in range(MAX_ROUNDS):
        found = False
        for sign, percentile in ((1.0, high), (-1.0, 100 - low)):
            sample = _Sample(sign * grey, ignored, percentile, step)
            for find in (_find_fill, _find_outliers):
                artefacts = find(sample)
                if artefacts is not None:
                    ignored |= artefacts
                    found = True
        if not found:
            break
        found_any = True
    return ignored if found_any else None


@dataclass(frozen=True, eq=False)
class _Sample:
    """A sample in which artefacts are looked for among the highest values.

    Attributes
    ----------
    values : ndarray, shape (Y, X)
        Negative, where they are looked for among the lowest.
    ignored : ndarray, shape (Y, X), bool
        What was found before.
    percentile : float
        Of the point of the range at this end.
    step : int
        As in :func:`find_artefacts`.
    """

    values: NDArray[np.floating]
    ignored: NDArray[np.bool_]
    percentile: float
    step: int

    @property
    def size(self) -> int:
        """Number of values that are not ignored."""
        return self.ignored.size - int(np.count_nonzero(self.ignored))

    def quantiles(
        self, *percentiles: float, without: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        """Compute percentiles of a part of the values; NaN where there are too few."""
        out = self.ignored if without is None else self.ignored | without
        step = max(1, out.size // QUANTILE_VALUES)
        while math.gcd(step, out.shape[1]) > 1:  # or some columns would count, and others not
            step += 1
        values = self.values.ravel()[::step][~out.ravel()[::step]]
        if values.size < MIN_PIXELS:
            return np.full(len(percentiles), np.nan)
        return np.asarray(np.percentile(values, percentiles))


def _find_fill(sample: _Sample) -> NDArray[np.bool_] | None:
    """Find the pixels of one value that lie at the rim, far above all others, and their edges."""
    value, lowest = sample.quantiles(sample.percentile, 0.5)
    rim = _rim(sample.values)
    if not np.count_nonzero(rim == value) >= MIN_FILLED_RIM * len(rim):
        return None
    filled = sample.values == value
    # there may be fill at the other end, too
    if lowest < value and np.count_nonzero(rim == lowest) >= MIN_FILLED_RIM * len(rim):
        filled |= sample.values == lowest
    low, high = sample.quantiles(OTHER_END, 95, without=filled)
    if not value - high > high - low > 0:
        return None  # it goes over into others, as ground and saturated nuclei do
    low, high = sample.quantiles(OTHER_END, 99.8, without=_grow(filled, EDGE))
    if not value - high > high - low > 0:
        return None
    filled = (sample.values > (value + high) / 2) & ~sample.ignored
    labels, _ = ndimage.label(filled)
    areas, at_rim = np.bincount(labels.ravel()), np.unique(_rim(labels))
    if areas[at_rim[at_rim > 0]].sum() < MOSTLY * areas[1:].sum():
        return None  # saturated nuclei, some of them cut
    part = _measure_field(~(filled | sample.ignored))
    rim = _rim(filled)
    is_frame = part >= MIN_SURE_FIELD and np.count_nonzero(rim) >= MIN_SURE_RIM * len(rim)
    around = _grow(filled, EDGE)
    return around if is_frame or (part > 0 and _has_signal(sample, filled, around, 0)) else None


def _measure_field(mask: NDArray[np.bool_]) -> float:
    """Measure what part of a plane is one image; 1: rectangular ones, 0: objects."""
    step = -(-max(mask.shape) // FIELD_EDGE)
    mask = _shrink(mask[::step, ::step], 1)
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:]
    boxes = ndimage.find_objects(labels)
    tiles = sum(
        area
        for area, box in zip(areas, boxes, strict=True)
        if area >= MIN_TILE_AREA * mask.size and area >= MOSTLY * mask[box].size
    )
    if tiles >= MOSTLY * areas.sum() > 0:
        return 1.0
    largest = areas.max(initial=0)
    is_one = largest >= MOSTLY * areas.sum() and largest >= MIN_FIELD_AREA * mask.size
    return float(largest / mask.size) if is_one else 0.0


def _find_outliers(sample: _Sample) -> NDArray[np.bool_] | None:
    """Find few pixels far above all others, and their edges, if those others are an image."""
    inner = sample.percentile * (1 - MAX_OUTLIERS)
    middle, inner_high, high = sample.quantiles(50, inner, sample.percentile)
    if not high - middle > MIN_GAP * (inner_high - middle):
        return None
    far = sample.values[(sample.values > inner_high) & ~sample.ignored]
    height = _find_gap(np.sort(far - middle), sample.size)
    if height is None:
        return None
    found = (sample.values > middle + height) & ~sample.ignored
    if (lines := _find_lines(found)).any():
        return _grow(lines, EDGE)
    around = _grow(found, EDGE)
    low, high = sample.quantiles(OTHER_END, 99.8, without=around)
    if not sample.values[found].min(initial=np.inf) - high > high - low:
        return None
    is_outlier = _are_hot(found, sample.step) or _has_signal(sample, found, around, MIN_SIGNAL)
    return around if is_outlier else None


def _find_gap(heights: NDArray[np.floating], size: int) -> float | None:
    """Find the uppermost height between outliers and all others.

    Parameters
    ----------
    heights : ndarray, sorted
        Of the highest values, over the median.
    size : int
        Number of all values.
    """
    # a grid of half octaves, from the highest down
    grid = heights[-1] / 2.0 ** np.arange(0, 40, 0.5)
    above = len(heights) - np.searchsorted(heights, grid)
    width = round(2 * math.log2(MIN_GAP))
    for top, bottom in zip(range(1, len(grid)), range(1 + width, len(grid)), strict=False):
        count = above[top]
        if count > MAX_OUTLIERS * size:
            return None
        within = above[bottom] - count
        if count >= MIN_OUTLIERS * size and within <= min(count / 2, MAX_IN_GAP * size):
            return math.sqrt(grid[top] * grid[bottom])
    return None


def _find_lines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find rows and columns that are in a mask from end to end."""
    rows, columns = mask.mean(axis=1) >= MIN_LINE, mask.mean(axis=0) >= MIN_LINE
    return rows[:, None] | columns


def _are_hot(mask: NDArray[np.bool_], step: int) -> bool:
    """Return whether nearly all pixels are single ones or pairs, as no nucleus is."""
    pairs = np.count_nonzero(mask[1:] & mask[:-1]) + np.count_nonzero(mask[:, 1:] & mask[:, :-1])
    return bool(step <= MAX_STEP_FOR_HOT_PIXELS and pairs <= np.count_nonzero(mask) / 2)


def _has_signal(
    sample: _Sample, found: NDArray[np.bool_], around: NDArray[np.bool_], part: float
) -> bool:
    """Return whether there are objects on even ground that have nothing to do with outliers.

    ``part`` is how much of them there must be, as part of the area of outliers.
    """
    values = sample.values
    tails = sample.quantiles(0.2, 15.9, 50, 84.1, 99.8, without=around)
    lowest, low, middle, high, highest = tails
    for sign, height, spread in (
        (1, highest - middle, middle - low),
        (-1, middle - lowest, high - middle),
    ):
        if not height > MIN_CONTRAST * spread:
            continue
        above = sign * (values - middle)
        # steps of a coarse scale of grey are no signal
        grain = above[(above > 0) & ~sample.ignored].min(initial=np.inf)
        if not height > MIN_CONTRAST * grain:
            continue
        objects = (above > height / 2) & ~sample.ignored
        labels, count = ndimage.label(_grow(_shrink(objects, 1), 1))
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        outliers = np.bincount(labels[found], minlength=count + 1)
        is_signal = outliers <= MAX_OUTLIERS_IN_SIGNAL * areas
        is_signal[0] = False
        if sign < 0:
            is_signal[_rim(labels)] = False  # it may be fill
        if is_signal.any() and areas[is_signal].sum() >= part * np.count_nonzero(found):
            return True
    return False


def _rim(sample: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the values at the four edges."""
    return np.concatenate([sample[0], sample[-1], sample[1:-1, 0], sample[1:-1, -1]])


def _grow(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Dilate by a square; faster than that of scipy."""
    grown = mask.copy()
    for _ in range(distance):
        before = grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        before = grown.copy()
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
    return grown


def _shrink(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Erode by a square; what is outside counts as part of the mask."""
    return ~_grow(~mask, distance)
