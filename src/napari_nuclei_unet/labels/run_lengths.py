"""Nuclei as runs: what each has in one row without a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# About so many pixels are looked at in one go: what this takes stays in the cache.
BAND = 2**19


@dataclass(frozen=True, eq=False)
class RunLengths:
    """The m runs of a plane in reading order, and the n nuclei that they make up.

    Attributes
    ----------
    rows, starts, stops : ndarray, shape (m,)
        Row of each, its first column, and the one after its last.
    owner : ndarray, shape (m,)
        The nucleus of each, 0..n-1.
    ids : ndarray, shape (n,)
        Ascending.
    order : ndarray, shape (m,)
        Runs sorted by nucleus.
    first : ndarray, shape (n,)
        Where in that order each nucleus begins.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    owner: NDArray[np.int64]
    ids: NDArray[np.int64]
    order: NDArray[np.int64]
    first: NDArray[np.int64]

    def reduce_by_nucleus(self, ufunc: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Sum up, or compare, what the runs of each nucleus have."""
        return np.asarray(ufunc.reduceat(values[self.order], self.first))

    def mean(self, sums: NDArray[Any]) -> NDArray[np.float64]:
        """Give the mean over pixels, of sums along runs."""
        return self.reduce_by_nucleus(np.add, sums) / self.area

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Pixels of each run."""
        return self.stops - self.starts

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """Pixels of each nucleus."""
        return self.reduce_by_nucleus(np.add, self.lengths)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Top, left, bottom and right of each nucleus, shape (n, 4)."""
        top, bottom = (self.reduce_by_nucleus(how, self.rows) for how in (np.minimum, np.maximum))
        left = self.reduce_by_nucleus(np.minimum, self.starts)
        return np.stack(
            [top, left, bottom + 1, self.reduce_by_nucleus(np.maximum, self.stops)], axis=1
        )


def encode_run_lengths(labels: NDArray[np.integer]) -> RunLengths:
    """Find all runs.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background, any greater number the id of a nucleus.
    """
    height, width = labels.shape
    ends = np.ones((height, width + 1), np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=ends[:, 1:-1])
    rows, columns = np.divmod(np.flatnonzero(ends), width + 1)
    starts = np.flatnonzero(columns < width)
    starts = starts[labels[rows[starts], columns[starts]] != 0]
    rows, starts, stops = rows[starts], columns[starts], columns[starts + 1]
    values = labels[rows, starts]
    order = np.argsort(values, kind="stable")
    is_first = find_changes(values[order])
    owner = np.empty_like(order)
    owner[order] = np.cumsum(is_first) - 1
    first = np.flatnonzero(is_first)
    ids = values[order[first]].astype(np.int64)
    return RunLengths(rows, starts, stops, owner, ids, order, first)


def find_changes(*values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell where any of them is not what it was just before; True for the first."""
    differ = np.ones(values[0].size, np.bool_)
    differ[1:] = np.any([one[1:] != one[:-1] for one in values], axis=0)
    return differ


def iter_row_bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Part the rows of a plane, so that in each part there are not too many pixels."""
    step = max(1, BAND // max(shape[1], 1))
    return (slice(top, min(top + step, shape[0])) for top in range(0, shape[0], step))
