"""The watershed of a plane in strips of rows, by compiled loops and in a few threads."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.quantization import dequantize_unit
from ..labels.threads import map_in_threads

# So many pixels, and what is computed of them, stay in the cache of a core.
_STRIP_PIXELS = 2**18
# As many rows at least: those around a strip are smoothed twice.
_MIN_STRIP_ROWS = 16


@dataclass(frozen=True, eq=False)
class RawDistance:
    """A distance, and how it becomes a relief.

    Attributes
    ----------
    values : ndarray, shape (Y, X), float32 or uint16 in steps of 1/65535
    smoothing : float
        Standard deviation, in pixels, of a Gaussian; 0: it is a relief already.
    """

    values: NDArray[Any]
    smoothing: float

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights of the Gaussian, as ``scipy.ndimage`` has them, from the centre outwards."""
        reach = int(4 * self.smoothing + 0.5)
        if reach == 0:
            return np.ones(1)
        weights = np.exp(-0.5 / self.smoothing**2 * np.arange(-reach, reach + 1) ** 2)
        return np.asarray((weights / weights.sum())[reach:])


@dataclass(frozen=True, eq=False)
class BasinSums:
    """Sums over the pixels of basins, one entry each.

    Attributes
    ----------
    area, counted : ndarray, integer
        Number of pixels, and of those that count in the confidence.
    total : ndarray
        Sum of the nucleus map over those that count.
    """

    area: NDArray[np.integer]
    counted: NDArray[np.integer]
    total: NDArray[Any]

    @classmethod
    def zeros(cls, n: int) -> BasinSums:
        """Create sums over no pixels."""
        return cls(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n))

    def add(self, basins: NDArray[np.integer], other: BasinSums) -> None:
        """Add what was summed elsewhere to the entries of basins, of which some may be the same."""
        np.add.at(self.area, basins, other.area)
        np.add.at(self.counted, basins, other.counted)
        np.add.at(self.total, basins, other.total)


@dataclass(frozen=True, eq=False)
class Basins:
    """Basins of a plane, and which of them are one nucleus.

    Attributes
    ----------
    labels : ndarray, shape (Y, X), int32
        0 is background, 1..n are basins.
    joined : ndarray, shape (n + 1,), int32
        By basin: the one whose summit is its nucleus'.
    sums : BasinSums
        By the basin of a nucleus' summit, of all pixels of the nucleus.
    """

    labels: NDArray[np.int32]
    joined: NDArray[np.int32]
    sums: BasinSums


@dataclass(frozen=True, eq=False)
class _StripSums:
    """Sums of a strip; the first entry is that of the basin ``lowest``."""

    lowest: int
    sums: BasinSums


@dataclass(frozen=True, eq=False)
class _Passes:
    pairs: NDArray[np.int64]
    heights: NDArray[np.float32]


def smooth_in_strips(kernels: ModuleType, distance: RawDistance) -> NDArray[np.float32]:
    """Compute the relief of a whole plane, the same to the bit as ``scipy.ndimage`` does.

    Parameters
    ----------
    kernels : module
        As from :func:`.kernel_choice.load_kernels`.
    distance : RawDistance

    Returns
    -------
    ndarray, shape (Y, X), float32
    """
    relief = np.empty(distance.values.shape, np.float32)

    def smooth(rows: slice) -> None:
        _smooth(kernels, distance, rows, np.ones(relief[rows].shape, bool), relief[rows])

    map_in_threads(smooth, _strips(relief.shape))
    return relief


def label_basins(
    kernels: ModuleType,
    nucleus: NDArray[Any],
    distance: RawDistance,
    threshold: float,
    dynamics: float,
    min_counted: float,
) -> Basins:
    """Label the basins of a distance, and join those whose summits are not high enough.

    As :func:`.watershed.label_summits` does, to the pixel, in a fifth of the time.

    Parameters
    ----------
    kernels : module
        As from :func:`.kernel_choice.load_kernels`.
    nucleus : ndarray, shape (Y, X), float32 or uint16 in steps of 1/65535
    distance : RawDistance
    threshold : float
        The mask is where ``nucleus`` is above.
    dynamics : float
        Summits that rise less above the saddle to a higher neighbour belong to it.
    min_counted : float
        Pixels count in the confidence where ``nucleus`` is above.

    Returns
    -------
    Basins
    """
    plane = _StripedPlane(kernels, nucleus, distance)
    strips = _strips(nucleus.shape)
    places = map_in_threads(lambda rows: plane.raise_relief(rows, threshold), strips)
    summits = plane.number_summits(np.concatenate(places))
    del places
    sums = map_in_threads(lambda rows: plane.climb(rows, min_counted), strips)
    passes = map_in_threads(plane.find_passes, strips)
    joined = _join(kernels, passes, summits, dynamics)
    total = BasinSums.zeros(joined.size)
    # what counts are multiples of 2^-24, so that float64 has their sum exactly, in any order
    for strip in sums:
        total.add(joined[strip.lowest : strip.lowest + strip.sums.area.size], strip.sums)
    return Basins(plane.labels, joined, total)


def renumber_in_strips(
    kernels: ModuleType, labels: NDArray[np.int32], numbers: NDArray[np.int32]
) -> None:
    """Replace the labels of a plane, in place, by what a table says."""
    map_in_threads(
        lambda rows: kernels.renumber(labels[rows].reshape(-1), numbers), _strips(labels.shape)
    )


class _StripedPlane:
    """What is computed of a plane, strip by strip: nine bytes a pixel with the labels.

    Attributes
    ----------
    labels : ndarray, shape (Y, X), int32
        Of basins.
    """

    def __init__(self, kernels: ModuleType, nucleus: NDArray[Any], distance: RawDistance) -> None:
        self._kernels, self._nucleus, self._distance = kernels, nucleus, distance
        self._relief = np.empty(nucleus.shape, np.float32)
        self._direction = np.empty(nucleus.shape, np.int8)
        self.labels: NDArray[np.int32] = np.zeros(nucleus.shape, np.int32)

    def raise_relief(self, rows: slice, threshold: float) -> NDArray[np.int32]:
        """Compute relief and steepest ways up of a strip; return the positions of its summits."""
        kernels, (n_rows, width) = self._kernels, self.labels.shape
        height = np.full(
            (rows.stop - rows.start + 2, width + 2), kernels.OUTSIDE_HEIGHT, np.float32
        )
        seen = slice(max(rows.start - 1, 0), min(rows.stop + 1, n_rows))
        inside = np.ascontiguousarray(dequantize_unit(self._nucleus[seen]) > threshold)
        first = seen.start - rows.start + 1
        within = height[first : first + len(inside), 1:-1]
        _smooth(kernels, self._distance, seen, inside, within)
        self._relief[rows] = height[1:-1, 1:-1]
        kernels.point_up(height, self._direction[rows])
        places = np.flatnonzero(self._direction[rows] == kernels.STAYS)
        return (places + rows.start * width).astype(np.int32)

    def number_summits(self, places: NDArray[np.int32]) -> NDArray[np.float32]:
        """Label the summits of the plane; return their heights by label."""
        first = self._kernels.number_summits(places, self.labels.reshape(-1), self.labels.shape[1])
        return np.append(np.float32(0), self._relief.reshape(-1)[first])

    def climb(self, rows: slice, min_counted: float) -> _StripSums:
        """Label the basins of a strip, and sum over their pixels."""
        width = self.labels.shape[1]
        flat = self._direction.reshape(-1), self.labels.reshape(-1)
        self._kernels.climb(*flat, width, rows.start * width, rows.stop * width)
        basins = self.labels[rows].reshape(-1)
        lowest = int(basins.min(initial=np.iinfo(np.int32).max, where=basins > 0))
        sums = BasinSums.zeros(max(int(basins.max()) - lowest + 1, 0))
        # a copy: kernels take no arrays that are read-only
        nucleus = np.array(dequantize_unit(self._nucleus[rows]), order="C").reshape(-1)
        self._kernels.sum_basins(
            basins, nucleus, min_counted, lowest, sums.area, sums.counted, sums.total
        )
        return _StripSums(lowest, sums)

    def find_passes(self, rows: slice) -> list[_Passes]:
        """Find passes between basins of a strip, and to the row below it."""
        below = slice(rows.start + 1, min(rows.stop + 1, len(self.labels)))
        above = slice(rows.start, below.stop - 1)
        neighbours = (((rows, slice(-1)), (rows, slice(1, None))), ((above,), (below,)))
        return [
            _Passes(
                *self._kernels.find_passes(
                    self.labels[here], self.labels[there], self._relief[here], self._relief[there]
                )
            )
            for here, there in neighbours
        ]


def _strips(shape: tuple[int, ...]) -> list[slice]:
    """Divide the rows of a plane."""
    n_rows, width = shape
    step = max(_MIN_STRIP_ROWS, _STRIP_PIXELS // width)
    return [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]


def _smooth(
    kernels: ModuleType,
    distance: RawDistance,
    rows: slice,
    inside: NDArray[np.bool_],
    smoothed: NDArray[np.float32],
) -> None:
    """Smooth rows of a distance where they are inside; the plane is mirrored at its edges."""
    weights = distance.weights
    reach, n = weights.size - 1, len(distance.values)
    places = np.arange(rows.start - reach, rows.stop + reach) % (2 * n)
    source = dequantize_unit(distance.values[np.minimum(places, 2 * n - 1 - places)])
    kernels.smooth_strip(source.ravel(), inside, weights, smoothed)


def _join(
    kernels: ModuleType,
    passes: list[list[_Passes]],
    summits: NDArray[np.float32],
    dynamics: float,
) -> NDArray[np.int32]:
    """Find the basin that each is joined to, from all passes, the highest first."""
    found = [one for strip in passes for one in strip]
    pairs = np.concatenate([one.pairs for one in found])
    heights = np.concatenate([one.heights for one in found])
    order = np.lexsort((pairs, -heights))
    joined: NDArray[np.int32] = kernels.join_basins(pairs[order], heights[order], summits, dynamics)
    return joined
