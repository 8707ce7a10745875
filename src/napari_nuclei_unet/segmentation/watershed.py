"""From the maps that a network predicts to separated nuclei."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.quantization import dequantize_unit
from .kernel_choice import KERNELS, fits_kernels, load_kernels
from .left_out import (
    MIN_COUNTED_PROBABILITY,
    KeepRule,
    LeftOutNuclei,
    Separation,
    find_ids_at_edge,
    keep_nuclei_of,
    number_by_reason,
    select_reasons,
)
from .watershed_strips import RawDistance, label_basins, renumber_in_strips, smooth_in_strips

# Smooths ripples of the predicted distance away, in pixels that the network saw; nuclei are
# several times as wide.
DISTANCE_SMOOTHING = 1.0
# The bound of the parameter: a record with a larger one could not be repeated.
MAX_MINIMUM_AREA = 1_000_000


@dataclass(frozen=True)
class SeparationParams:
    """How nuclei are separated in the maps of a plane.

    Attributes
    ----------
    threshold : float, 0 to 1
        Where the nucleus map is above, there is a nucleus.
    separation : float, 0 to 1
        How low a summit may be that still counts. Higher separates more.
    minimum_area : int
        Smaller nuclei, in pixels, are removed.
    confidence : float, 0 to 1
        Nuclei over which the nucleus map is lower on average are removed: most of them are
        none (docs/decisions/0004-model.md). Pixels of 0.6 and less do not count in that.
    smoothing : float
        Standard deviation, in pixels, of the Gaussian that smooths the distance.
    fragment_area : int
        Smaller nuclei, in pixels of the plane, are removed unless they touch its edge.
    """

    threshold: float
    separation: float
    minimum_area: int
    confidence: float = 0.0
    smoothing: float = DISTANCE_SMOOTHING
    fragment_area: int = 0

    @property
    def rule(self) -> KeepRule:
        """What a nucleus has to be."""
        return KeepRule(self.minimum_area, self.confidence, self.fragment_area)

    def at_zoom(self, zoom: float) -> SeparationParams:
        """Convert lengths and areas from pixels that the network sees at a zoom to the plane's."""
        area = min(max(1, round(self.minimum_area / zoom**2)), MAX_MINIMUM_AREA)
        return replace(self, minimum_area=area, smoothing=self.smoothing / zoom)


def smooth_distance(maps: NDArray[Any], smoothing: float) -> NDArray[np.floating] | None:
    """Smooth the predicted distance; None where it is measured, and depends on the threshold.

    Parameters
    ----------
    maps
        As in :func:`separate_nuclei`.
    smoothing : float
        As in :class:`SeparationParams`.

    Returns
    -------
    ndarray, shape (Y, X), floating, or None
    """
    distance = _distance_map(maps)
    if distance is None:
        return None
    kernels = KERNELS.find(distance.size) if fits_kernels(maps) else None
    if kernels is not None:
        return smooth_in_strips(kernels, RawDistance(distance, smoothing))
    smoothed: NDArray[np.floating] = ndimage.gaussian_filter(dequantize_unit(distance), smoothing)
    return smoothed


def separate_nuclei(
    maps: NDArray[Any],
    params: SeparationParams,
    relief: NDArray[np.floating] | None = None,
    compiled: bool | None = None,
) -> NDArray[np.int32]:
    """Convert predicted maps to labels by a watershed with one summit per nucleus.

    The predicted distance is a relief with a summit in every nucleus. From every pixel the
    steepest way up leads to a summit: all that lead to one are its basin, a watershed by the
    drop of water principle (Cousty et al. 2009, doi:10.1109/TPAMI.2008.173). Then neighbours
    are joined, highest saddle first, where the lower of their summits rises above the saddle by
    less than ``1 - separation``: its dynamics (Najman and Schmitt 1996, doi:10.1109/34.546254).
    The nuclei are those of h-maxima as seeds of a flooding watershed, at a tenth of the time.

    Parameters
    ----------
    maps : ndarray, shape (1 to 4, Y, X), floating, values 0 to 1, or uint16 in steps of 1/65535
        Nucleus; nucleus and distance; or nucleus, border, distance and perhaps size, as
        ``example.make_targets`` defines them. Border and size help the network to learn and are
        not used here (docs/decisions/0002-separation.md). Of the nucleus alone, the distance is
        measured.
    params : SeparationParams
    relief : ndarray, shape (Y, X), floating, optional
        As from :func:`smooth_distance`, which takes a quarter of the time.
    compiled : bool, optional
        Whether numba's loops are used, which give the same labels in a fifth of the time; unset:
        where they are there and loading them pays.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 is background; the nuclei are 1..n without gaps, each 4-connected.
    """
    return separate_plane(maps, params, relief, compiled).labels


def separate_plane(
    maps: NDArray[Any],
    params: SeparationParams,
    relief: NDArray[np.floating] | None = None,
    compiled: bool | None = None,
) -> Separation:
    """Separate nuclei as :func:`separate_nuclei`; return them with what is left out."""
    kernels = None
    if compiled is not False and fits_kernels(maps, relief):
        kernels = load_kernels() if compiled else KERNELS.find(maps[0].size)
    if kernels is None:
        return _separate_by_numpy(maps, params, relief)
    return _separate_by_kernels(kernels, maps, params, relief)


def _separate_by_kernels(
    kernels: ModuleType,
    maps: NDArray[Any],
    params: SeparationParams,
    relief: NDArray[np.floating] | None,
) -> Separation:
    """Separate nuclei by compiled loops."""
    if relief is not None:
        source = RawDistance(relief, 0)
    else:
        distance = _distance_map(maps)
        if distance is None:
            distance = _measure_distance(dequantize_unit(maps[0]) > params.threshold)
        source = RawDistance(distance, params.smoothing)
    basins = label_basins(
        kernels, maps[0], source, params.threshold, 1 - params.separation, MIN_COUNTED_PROBABILITY
    )
    at_edge = np.zeros(basins.joined.size, bool)
    at_edge[basins.joined[find_ids_at_edge(basins.labels, at_edge.size)]] = True
    reasons = params.rule.find_reasons(basins.sums, at_edge)
    is_used = basins.sums.area > 0
    numbers = number_by_reason(reasons, is_used)
    renumber_in_strips(kernels, basins.labels, numbers[basins.joined])
    left_out = LeftOutNuclei.take_from(basins.labels, select_reasons(reasons, is_used))
    return Separation(basins.labels, left_out)


def _separate_by_numpy(
    maps: NDArray[Any], params: SeparationParams, relief: NDArray[np.floating] | None
) -> Separation:
    """Separate nuclei by NumPy and SciPy."""
    mask = dequantize_unit(maps[0]) > params.threshold
    height = np.where(mask, _smooth_by_scipy(maps, mask, params) if relief is None else relief, 0)
    labels = label_summits(height, mask, 1 - params.separation)
    del height, mask
    nucleus = dequantize_unit(maps[0])  # converted twice, to have the memory meanwhile
    return keep_nuclei_of(labels, nucleus, params.rule)


def _smooth_by_scipy(
    maps: NDArray[Any], mask: NDArray[np.bool_], params: SeparationParams
) -> NDArray[np.floating]:
    """Smooth the distance that is predicted, or measured in a mask."""
    distance = _distance_map(maps)
    distance = _measure_distance(mask) if distance is None else dequantize_unit(distance)
    relief: NDArray[np.floating] = ndimage.gaussian_filter(distance, params.smoothing)
    return relief


def _distance_map(maps: NDArray[Any]) -> NDArray[Any] | None:
    """Return the predicted distance, if there is one."""
    if len(maps) == 1:
        return None
    distance: NDArray[Any] = maps[1] if len(maps) == 2 else maps[2]
    return distance


def label_summits(
    height: NDArray[np.floating], mask: NDArray[np.bool_], dynamics: float
) -> NDArray[np.int32]:
    """Label the basins of a relief whose summits rise high enough above their saddles.

    Parameters
    ----------
    height : ndarray, of a plane or a volume, floating
        0 outside of the mask.
    mask : ndarray, same shape, bool
    dynamics : float
        Summits that rise less above the saddle to a higher neighbour belong to it.

    Returns
    -------
    ndarray, same shape, int32
        0 outside of the mask; ids have gaps. Neighbours share an edge, or in volumes a face.
    """
    basins, summits = _basins(height, mask)
    return _merge_basins(basins, height, summits, dynamics)


def _basins(
    height: NDArray[np.floating], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
    """Label each pixel of the mask by the summit it climbs to; labels, and heights by label."""
    above = _steepest(height)
    places = np.flatnonzero(mask)
    stays = places[above[places] == places]
    seeds = np.zeros(mask.shape, bool)
    seeds.flat[stays] = True
    labels, n = ndimage.label(seeds)
    # every pixel looks where the one it looks at looks, until all look at a summit
    target = above[places]
    while True:
        further = above[target]
        if np.array_equal(further, target):
            break
        above[places] = target = further
    summits = np.zeros(n + 1, height.dtype)
    summits[labels.flat[stays]] = height.flat[stays]
    basins = np.zeros(mask.shape, np.int32)
    basins.flat[places] = labels.flat[target]
    return basins, summits


def _steepest(height: NDArray[np.floating]) -> NDArray[np.signedinteger]:
    """Find the position of the highest of each pixel and its direct neighbours; at best its own."""
    wide = np.int32 if height.size < 2**31 else np.int64
    # first how far it is from the pixel
    best, above = height.copy(), np.zeros(height.shape, wide)
    ahead, behind = slice(1, None), slice(None, -1)
    for here, there, sign in ((ahead, behind, -1), (behind, ahead, 1)):
        for axis in range(height.ndim):
            prefix = (slice(None),) * axis
            own, other = (*prefix, here), (*prefix, there)
            higher = height[other] > best[own]
            np.copyto(best[own], height[other], where=higher)
            np.copyto(above[own], sign * math.prod(height.shape[axis + 1 :]), where=higher)
    del best
    flat = above.ravel()
    flat += np.arange(flat.size, dtype=wide)
    return flat


def _measure_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the distance to the edge, 1 at the deepest pixel of each connected part."""
    parts, n = ndimage.label(mask)
    depth = ndimage.distance_transform_edt(mask)
    deepest = np.append(1.0, ndimage.maximum(depth, parts, range(1, n + 1)))
    return (depth / deepest[parts]).astype(np.float32)


def _merge_basins(
    basins: NDArray[np.int32],
    height: NDArray[np.floating],
    summits: NDArray[np.floating],
    dynamics: float,
) -> NDArray[np.int32]:
    """Join each basin to a neighbour unless its summit is high enough above the saddle."""
    summit = summits.tolist()
    parent = list(range(len(summit)))

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    for first, second, saddle in zip(*_saddles(basins, height, len(summit) - 1), strict=True):
        low, high = sorted((root(first), root(second)), key=summit.__getitem__)
        if summit[low] - saddle < dynamics:
            parent[low] = high
    return np.array([root(basin) for basin in range(len(summit))], np.int32)[basins]


def _saddles(
    basins: NDArray[np.int32], height: NDArray[np.floating], n: int
) -> tuple[list[int], list[int], list[float]]:
    """Find pairs of touching basins and the highest pass between them, the highest pair first."""
    pairs, passes = [], []
    for axis in range(height.ndim):
        prefix = (slice(None),) * axis
        here, there = (*prefix, slice(None, -1)), (*prefix, slice(1, None))
        a, b = basins[here], basins[there]
        touching = (a != b) & (a > 0) & (b > 0)
        a, b = a[touching], b[touching]
        pairs.append(np.minimum(a, b).astype(np.int64) * (n + 1) + np.maximum(a, b))
        passes.append(np.minimum(height[here][touching], height[there][touching]))
    keys, pair = np.unique(np.concatenate(pairs), return_inverse=True)
    saddle = np.full(keys.size, -np.inf)
    np.maximum.at(saddle, pair, np.concatenate(passes))
    order = np.argsort(-saddle, kind="stable")
    first, second = np.divmod(keys[order], n + 1)
    return first.tolist(), second.tolist(), saddle[order].tolist()
