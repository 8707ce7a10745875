"""Stitching: nuclei of the slices of a stack, joined in three dimensions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays.relabel import check_not_negative, relabel_sequential
from ..metrics.matching import find_overlaps

# Where a nucleus shrank in steps, its last section but one and its last to less than these shares
# of its widest, and then grows by this factor, there is a waist: two lie on each other. A single
# small section between wide ones is no waist: it was badly segmented.
MAX_NARROWING_RATIO = 0.85
MAX_WAIST_RATIO = 0.4
MIN_REGROWTH_RATIO = 1.3


@dataclass(frozen=True, eq=False)
class _Slice:
    """A slice with its sections numbered 1..n in order of their first pixel; 0 is background."""

    numbers: NDArray[np.intp]  # (Y * X,)
    areas: NDArray[np.int64]  # (n + 1,)
    ids: NDArray[np.int64]  # (n + 1,), of the nuclei in the stack; 0: none yet


class SliceJoiner:
    """Joins the nuclei of successive slices; only the last ``gap + 1`` are kept in memory.

    A cross section continues the nucleus of the slice before that it overlaps. Pairs whose
    overlap is at least ``overlap`` of the smaller section are candidates, and of these the
    one-to-one assignment with the largest sum of IoU is taken (Crouse 2016,
    doi:10.1109/TAES.2016.140952). Cellpose joins by IoU alone (Stringer et al. 2021,
    doi:10.1038/s41592-020-01018-x), which loses the poles: there the section of a sphere grows
    tenfold from one slice to the next, so its IoU is 0.1, but the smaller lies in the larger.
    Between sections that compete, IoU is the best measure of similarity.

    Where a section shrank a lot and grows again, another nucleus lies on the first: it gets a new
    id.

    Parameters
    ----------
    overlap : float, above 0 to 1
        Smallest share of the smaller section that is in both.
    gap : int, 0 or more
        How many slices of a nucleus may be missing in a row. They are not filled in.

    Raises
    ------
    ValueError
        If a parameter is out of its bounds.
    """

    def __init__(self, overlap: float = 0.5, gap: int = 1) -> None:
        if not 0 < overlap <= 1:
            raise ValueError(f"overlap must be above 0 and at most 1, not {overlap}")
        if gap < 0:
            raise ValueError(f"gap must not be negative, but is {gap}")
        self._overlap = overlap
        self._recent: deque[_Slice] = deque(maxlen=gap + 1)  # newest first
        self._shape: tuple[int, ...] | None = None
        # areas by id: of the widest section so far, of the last but one, of the last
        self._areas = np.zeros((3, 1), np.int64)

    @property
    def count(self) -> int:
        """Number of nuclei so far."""
        return self._areas.shape[1] - 1

    def join(self, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """Relabel the sections of the next slice with the ids of their nuclei.

        Parameters
        ----------
        labels : ndarray, shape (Y, X), integer
            0 is background, else the id of a section, in any order.

        Returns
        -------
        ndarray, shape (Y, X), int32
            0 is background, else the id of a nucleus of the stack, 1..n in order of first
            appearance. Ids are unique in a slice.

        Raises
        ------
        UserError
            If an id is negative.
        ValueError
            If the shape is not that of the slices before.
        """
        if self._shape not in (None, labels.shape):
            raise ValueError(f"shapes differ: {self._shape} and {labels.shape}")
        self._shape = labels.shape
        new = _number_sections(labels)
        is_continued = np.zeros(self.count + 1, bool)
        for earlier in self._recent:
            self._continue(earlier, new, is_continued)
            is_continued[earlier.ids] = True
        self._begin(new)
        self._remember(new)
        self._recent.appendleft(new)
        return new.ids.astype(np.int32)[new.numbers].reshape(labels.shape)

    def _continue(self, earlier: _Slice, new: _Slice, is_continued: NDArray[np.bool_]) -> None:
        """Continue nuclei that were not seen after a slice in the new one."""
        pairs = find_overlaps(earlier.numbers, new.numbers)
        before, after = pairs.true + 1, pairs.predicted + 1
        ids, areas, old = earlier.ids[before], new.areas[after], earlier.areas[before]
        alike = pairs.overlap >= self._overlap * np.minimum(areas, old)
        good = alike & ~is_continued[ids] & (new.ids[after] == 0) & ~self._has_waist(ids, areas)
        first, second = _assign(before[good], after[good], pairs.iou[good])
        new.ids[second] = earlier.ids[first]

    def _has_waist(self, ids: NDArray[np.int64], areas: NDArray[np.int64]) -> NDArray[np.bool_]:
        widest, earlier, last = self._areas[:, ids]
        shrank = (earlier < MAX_NARROWING_RATIO * widest) & (last < MAX_WAIST_RATIO * widest)
        return np.asarray(shrank & (areas > MIN_REGROWTH_RATIO * last))

    def _begin(self, new: _Slice) -> None:
        """Assign new ids to the sections that continue no nucleus."""
        fresh = np.flatnonzero(new.ids[1:] == 0) + 1
        new.ids[fresh] = self.count + 1 + np.arange(fresh.size)
        self._areas = np.pad(self._areas, ((0, 0), (0, fresh.size)))

    def _remember(self, new: _Slice) -> None:
        ids, areas = new.ids[1:], new.areas[1:]
        widest, _, last = self._areas[:, ids]
        self._areas[:, ids] = np.maximum(widest, areas), last, areas


def join_slices(
    stack: Iterable[NDArray[np.integer]], overlap: float = 0.5, gap: int = 1
) -> NDArray[np.int32]:
    """Join the nuclei of all slices of a stack; :class:`SliceJoiner` does it one by one.

    Parameters
    ----------
    stack : ndarray, shape (Z, Y, X), or iterable of ndarray, shape (Y, X), integer
        0 is background, else the id of a section in its slice.
    overlap, gap
        As in :class:`SliceJoiner`.

    Returns
    -------
    ndarray, shape (Z, Y, X), int32
        0 is background; the nuclei are 1..n in order of first appearance. Without slices, of
        shape (0, 0, 0).

    Raises
    ------
    UserError
        If an id is negative.
    ValueError
        If the shapes of the slices differ, or a parameter is out of its bounds.
    """
    joiner = SliceJoiner(overlap, gap)
    joined = [joiner.join(labels) for labels in stack]
    return np.stack(joined) if joined else np.zeros((0, 0, 0), np.int32)


def _number_sections(labels: NDArray[np.integer]) -> _Slice:
    """Relabel the sections in the order of their first pixel, whatever their ids are."""
    check_not_negative(labels)
    flat = labels.ravel()
    places = np.flatnonzero(flat)
    order, ids = relabel_sequential(flat[places])
    first = np.full(ids.size, -1)
    first[order[::-1]] = places[::-1]  # the last value written for an id stays: its first pixel
    numbers = np.zeros(flat.size, np.intp)
    numbers[places] = np.argsort(np.argsort(first))[order]
    return _Slice(numbers, np.bincount(numbers, minlength=ids.size), np.zeros(ids.size, np.int64))


def _assign(
    before: NDArray[np.intp], after: NDArray[np.intp], gain: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose pairs so that numbers are unique on each side and the sum of gains is largest."""
    # here and below: takes longer to load than a small image to segment
    from scipy.optimize import linear_sum_assignment

    free = (np.bincount(before)[before] == 1) & (np.bincount(after)[after] == 1)
    chosen = [np.flatnonzero(free)]
    for group in _split_competing(before, after, np.flatnonzero(~free)):
        rows, i = np.unique(before[group], return_inverse=True)
        columns, j = np.unique(after[group], return_inverse=True)
        table = np.zeros((rows.size, columns.size))
        table[i, j] = gain[group]
        partner = np.full(rows.size, -1)
        row, column = linear_sum_assignment(table, maximize=True)
        partner[row] = column
        chosen.append(group[partner[i] == j])
    pairs = np.concatenate(chosen)
    return before[pairs], after[pairs]


def _split_competing(
    before: NDArray[np.intp], after: NDArray[np.intp], pairs: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Split pairs into groups that share no number: many small tables are faster than one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs.size:
        return []
    n = int(before[pairs].max()) + 1
    size = n + int(after[pairs].max()) + 1
    links = coo_array(
        (np.ones(pairs.size, bool), (before[pairs], n + after[pairs])), shape=(size, size)
    )
    group = connected_components(links, directed=False)[1][before[pairs]]
    order = np.argsort(group, kind="stable")
    return np.split(pairs[order], np.flatnonzero(np.diff(group[order])) + 1)
