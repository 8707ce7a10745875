"""Run-length encoding of labels: each run is a row of pixels of one nucleus without a gap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.tiling import split_extent

# About so many pixels are processed at a time, so that they stay in the cache.
BAND = 2**19


@dataclass(frozen=True, eq=False)
class RunLengths:
    """The m runs of a plane in reading order, and the n nuclei that they make up.

    Attributes
    ----------
    rows, starts, stops : ndarray, shape (m,)
        Row of each run, its first column, and the one after its last.
    owner : ndarray, shape (m,)
        The nucleus of each run, 0..n-1.
    ids : ndarray, shape (n,)
        Ascending.
    order : ndarray, shape (m,)
        Runs sorted by nucleus.
    first : ndarray, shape (n,)
        Position in that order at which each nucleus begins.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    owner: NDArray[np.int64]
    ids: NDArray[np.int64]
    order: NDArray[np.int64]
    first: NDArray[np.int64]

    def reduce_by_nucleus(self, ufunc: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Reduce the values of the runs of each nucleus, for example to their sum."""
        return np.asarray(ufunc.reduceat(values[self.order], self.first))

    def mean(self, sums: NDArray[Any]) -> NDArray[np.float64]:
        """Compute the mean over the pixels of each nucleus, from sums along runs."""
        return self.reduce_by_nucleus(np.add, sums) / self.area

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Pixels of each run."""
        return self.stops - self.starts

    @cached_property
    def middles(self) -> NDArray[np.float64]:
        """Column in the middle of each run."""
        return (self.starts + self.stops - 1) / 2

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """Pixels of each nucleus."""
        return self.reduce_by_nucleus(np.add, self.lengths)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Top, left, bottom and right of each nucleus, shape (n, 4)."""
        top, bottom = (
            self.reduce_by_nucleus(ufunc, self.rows) for ufunc in (np.minimum, np.maximum)
        )
        left = self.reduce_by_nucleus(np.minimum, self.starts)
        return np.stack(
            [top, left, bottom + 1, self.reduce_by_nucleus(np.maximum, self.stops)], axis=1
        )


def encode_run_lengths(labels: NDArray[np.integer]) -> RunLengths:
    """Find all runs.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background, else the id of a nucleus.
    """
    parts = [_encode_rows(labels[band], band.start) for band in split_into_row_bands(labels.shape)]
    nothing = np.zeros((3, 0), np.int64)
    rows, starts, stops = np.concatenate([nothing, *parts], axis=1)
    values = labels[rows, starts]
    order = np.argsort(values, kind="stable")
    is_first = find_changes(values[order])
    owner = np.empty_like(order)
    owner[order] = np.cumsum(is_first) - 1
    first = np.flatnonzero(is_first)
    ids = values[order[first]].astype(np.int64)
    return RunLengths(rows, starts, stops, owner, ids, order, first)


def _encode_rows(labels: NDArray[np.integer], first: int) -> NDArray[np.int64]:
    """Find the runs of some rows, of which the first is given: row, start and stop of each."""
    height, width = labels.shape
    ends = np.ones((height, width + 1), np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=ends[:, 1:-1])
    rows, columns = np.divmod(np.flatnonzero(ends), width + 1)
    starts = np.flatnonzero(columns < width)
    starts = starts[labels[rows[starts], columns[starts]] != 0]
    return np.stack([rows[starts] + first, columns[starts], columns[starts + 1]])


def find_changes(*values: NDArray[Any]) -> NDArray[np.bool_]:
    """Find where any of the arrays differs from its value just before; True for the first."""
    differ = np.ones(values[0].size, np.bool_)
    differ[1:] = np.any([array[1:] != array[:-1] for array in values], axis=0)
    return differ


def split_into_row_bands(shape: tuple[int, ...]) -> list[slice]:
    """Split the rows of a plane into bands of not too many pixels."""
    return split_extent(slice(0, shape[0]), max(1, BAND // max(shape[1], 1)))
