"""The loops of the watershed over pixels, compiled by numba; imported only where numba is.

Planes are handed in as strips of rows or, where a pixel is known by its position, flat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .smoothing_kernels import compile_kernel
from .smoothing_kernels import smooth_strip as smooth_strip

# Where a pixel's steepest way up leads to. In a tie the first wins, as in NumPy's code.
OUTSIDE, UP, LEFT, DOWN, RIGHT, STAYS = range(6)
# Height of what is not in the mask: below all others.
OUTSIDE_HEIGHT = -1.0

# Pairs of basins that are gathered while their borders are followed.
_SLOTS = 1024


@compile_kernel("void(float32[:, ::1], int8[:, ::1])")
def point_up(height: NDArray[np.float32], direction: NDArray[np.int8]) -> None:
    """Find the highest of each pixel and its direct neighbours.

    Parameters
    ----------
    height : ndarray, shape (N + 2, X + 2)
        With a frame of one pixel; ``OUTSIDE_HEIGHT`` outside of the mask.
    direction : ndarray, shape (N, X)
        Is written.
    """
    n, width = direction.shape
    for y in range(n):
        above, own, below = height[y], height[y + 1], height[y + 2]
        for x in range(width):
            best, way = own[x + 1], STAYS
            if above[x + 1] > best:
                best, way = above[x + 1], UP
            if own[x] > best:
                best, way = own[x], LEFT
            if below[x + 1] > best:
                best, way = below[x + 1], DOWN
            if own[x + 2] > best:
                way = RIGHT
            direction[y, x] = way if own[x + 1] > OUTSIDE_HEIGHT else OUTSIDE


@compile_kernel("int32[::1](int32[::1], int32[::1], int64)")
def number_summits(
    places: NDArray[np.int32], labels: NDArray[np.int32], width: int
) -> NDArray[np.int32]:
    """Label summits of a plane 1..n in reading order; pixels that touch are one summit.

    Parameters
    ----------
    places : ndarray, shape (M,)
        Positions of their pixels, sorted.
    labels : ndarray, shape (Y * X,)
        All 0; is written at ``places``.
    width : int
        Of the plane.

    Returns
    -------
    ndarray, shape (n,), int32
        The first position of each.
    """
    parent = np.empty(places.size + 1, np.int32)
    n = 0
    for place in places:
        low = labels[place - 1] if place % width else np.int32(0)
        high = labels[place - width] if place >= width else np.int32(0)
        if low == 0 and high == 0:
            n += 1
            parent[n] = labels[place] = n
            continue
        low = low if low else high
        high = high if high else low
        while parent[low] != low:
            low = parent[low]
        while parent[high] != high:
            parent[high] = parent[parent[high]]
            high = parent[high]
        parent[max(low, high)] = labels[place] = min(low, high)
    kept = 0
    for i in range(1, n + 1):
        # a parent has the smaller number, so that it has its final one already
        if parent[i] == i:
            kept += 1
            parent[i] = kept
        else:
            parent[i] = parent[parent[i]]
    first = np.empty(kept, np.int32)
    for place in places[::-1]:
        labels[place] = parent[labels[place]]
        first[labels[place] - 1] = place
    return first


@compile_kernel("void(int8[::1], int32[::1], int64, int64, int64)")
def climb(
    direction: NDArray[np.int8], labels: NDArray[np.int32], width: int, start: int, stop: int
) -> None:
    """Label the pixels of a strip by the summits that they climb to.

    Parameters
    ----------
    direction, labels : ndarray, shape (Y * X,)
        Of the plane. ``labels`` of summits are read, those of the strip are written.
    width : int
        Of the plane.
    start, stop : int
        Positions where the strip begins and ends.
    """
    for place in range(start, stop):
        way = direction[place]
        if way == OUTSIDE:
            continue
        above = place
        # to a summit, or to a pixel of this strip that has its label: of others it may come now
        while way != STAYS:
            if way == UP:
                above -= width
            elif way == LEFT:
                above -= 1
            elif way == DOWN:
                above += width
            else:
                above += 1
            if start <= above < place:
                break
            way = direction[above]
        if above != place:  # summits are read by other threads
            labels[place] = labels[above]


@compile_kernel(
    "void(int32[::1], float32[::1], float32, int64, int64[::1], int64[::1], float64[::1])"
)
def sum_basins(
    basins: NDArray[np.int32],
    nucleus: NDArray[np.float32],
    least: float,
    lowest: int,
    area: NDArray[np.int64],
    n: NDArray[np.int64],
    total: NDArray[np.float64],
) -> None:
    """Add up the pixels of basins, those that count in their confidence, and the map over these.

    Parameters
    ----------
    basins : ndarray, shape (N,)
    nucleus : ndarray, shape (N,)
    least : float
        Where ``nucleus`` is above, it counts.
    lowest : int
        The basin that the sums begin with.
    area, n, total : ndarray, one entry a basin
        Are added to.
    """
    for i in range(basins.size):
        if basins[i]:
            basin = basins[i] - lowest
            area[basin] += 1
            if nucleus[i] > least:
                n[basin] += 1
                total[basin] += nucleus[i]


_PASSES = "Tuple((int64[::1], float32[::1]))"


@compile_kernel(f"{_PASSES}(int32[:, :], int32[:, :], float32[:, :], float32[:, :])")
def find_passes(
    basins: NDArray[np.int32],
    others: NDArray[np.int32],
    height: NDArray[np.float32],
    other_height: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find pairs of touching basins and the highest pass between them.

    Parameters
    ----------
    basins, others : ndarray, shape (N, X)
        Of pixels and of a neighbour of each.
    height, other_height : ndarray, shape (N, X)

    Returns
    -------
    pairs : ndarray, int64
        ``lower id << 32 | higher id``; a pair may come several times.
    passes : ndarray, float32
    """
    n = 0
    for y in range(basins.shape[0]):
        for x in range(basins.shape[1]):
            own, other = basins[y, x], others[y, x]
            n += own != other and own != 0 and other != 0
    pairs, passes = np.empty(n + _SLOTS, np.int64), np.empty(n + _SLOTS, np.float32)
    # most touch in many pixels: the first entries gather those met lately, each at its place
    pairs[:_SLOTS] = 0
    n = _SLOTS
    for y in range(basins.shape[0]):
        for x in range(basins.shape[1]):
            own, other = np.int64(basins[y, x]), np.int64(others[y, x])
            if own == other or own == 0 or other == 0:
                continue
            low, high = min(own, other), max(own, other)
            saddle = min(height[y, x], other_height[y, x])
            slot = (low * 31 + high) % _SLOTS
            if pairs[slot] == (low << 32 | high):
                passes[slot] = max(passes[slot], saddle)
                continue
            if pairs[slot]:
                pairs[n], passes[n] = pairs[slot], passes[slot]
                n += 1
            pairs[slot], passes[slot] = low << 32 | high, saddle
    return pairs[:n].copy(), passes[:n].copy()


@compile_kernel("int32[::1](int64[::1], float32[::1], float32[::1], float64)")
def join_basins(
    pairs: NDArray[np.int64],
    passes: NDArray[np.float32],
    summits: NDArray[np.float32],
    dynamics: float,
) -> NDArray[np.int32]:
    """Join each basin to a neighbour unless its summit is high enough above the saddle.

    Parameters
    ----------
    pairs, passes : ndarray
        As from :func:`find_passes`, the highest pass first.
    summits : ndarray, shape (n + 1,)
        Heights of the basins' summits, by id.
    dynamics : float
        Summits that rise less above the saddle are joined.

    Returns
    -------
    ndarray, shape (n + 1,), int32
        The basin that each belongs to.
    """
    parent = np.arange(summits.size).astype(np.int32)
    for i in range(pairs.size):
        low, high = np.int32(pairs[i] >> 32), np.int32(pairs[i] & 0x7FFFFFFF)
        while parent[low] != low:
            parent[low] = parent[parent[low]]
            low = parent[low]
        while parent[high] != high:
            parent[high] = parent[parent[high]]
            high = parent[high]
        if summits[low] > summits[high]:
            low, high = high, low
        if np.float64(summits[low]) - np.float64(passes[i]) < dynamics:
            parent[low] = high
    for basin in range(parent.size):
        root = parent[basin]
        while parent[root] != root:
            root = parent[root]
        parent[basin] = root
    return parent


@compile_kernel("void(int32[::1], int32[::1])")
def renumber(labels: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    """Replace labels, in place, by what a table says.

    Parameters
    ----------
    labels : ndarray, shape (N,)
    numbers : ndarray, shape (n + 1,)
    """
    for i in range(labels.size):
        labels[i] = numbers[labels[i]]
