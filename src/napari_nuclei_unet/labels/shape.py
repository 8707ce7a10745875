"""Perimeters and convex hulls of all nuclei of a plane at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .run_lengths import RunLengths, find_changes, split_into_row_bands

# Hulls are computed for nuclei of about so many rows in all at a time, to save memory.
HULL_ROWS = 2**16
# 1 + 2 * straight + 10 * diagonal links of a border pixel, which adds a straight link, a diagonal
# one, or the mean of both.
STRAIGHT_LINKS, DIAGONAL_LINKS, MIXED_LINKS = (5, 7, 15, 17, 25, 27), (21, 33), (13, 23)


def perimeter(
    runs: RunLengths, labels: NDArray[np.integer], spacing: tuple[float, float]
) -> NDArray[np.float64]:
    """Measure the perimeter of every nucleus, as scikit-image does.

    Border pixels have at least one of their four neighbours outside, so the ends of every run are
    such. They are weighted as by Benkrid and Crookes, "Design and FPGA implementation of a
    perimeter estimator"; where pixels are not square, a straight link has the mean length of the
    straight links of its pixel.

    Parameters
    ----------
    runs : RunLengths
    labels : ndarray, shape (Y, X), integer
        The labels that were encoded.
    spacing : (float, float)
        Size of a pixel along Y and X.

    Returns
    -------
    ndarray, shape (n,), float64
        In units of the spacing.
    """
    lengths = _link_lengths(spacing)
    parts = [np.zeros(0)]
    for band in split_into_row_bands(labels.shape):
        framed = _pad_rows(labels, band)
        inner = framed[1:-1, 1:-1]
        around = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
        border = np.where(np.any([inner != neighbour for neighbour in around], axis=0), inner, 0)
        across = border.shape[1]
        at = np.flatnonzero(border[1:-1]) + across
        links = _count_links(border.ravel(), at, across)
        begins = np.flatnonzero(inner.ravel()[at - 1] != border.ravel()[at])
        if begins.size:
            parts.append(np.add.reduceat(lengths[links], begins))
    return runs.reduce_by_nucleus(np.add, np.concatenate(parts))


def _pad_rows(labels: NDArray[np.integer], band: slice) -> NDArray[np.integer]:
    """Return rows with two pixels around them, which are 0 outside of the plane."""
    above, below = min(2, band.start), min(2, labels.shape[0] - band.stop)
    rows = labels[band.start - above : band.stop + below]
    return np.pad(rows, ((2 - above, 2 - below), (2, 2)))


def _count_links(
    border: NDArray[np.integer], at: NDArray[np.int64], across: int
) -> NDArray[np.uint8]:
    """Count neighbours of the same border: 15 for one in the row, 5 in the column, 1 diagonal."""
    owner = border[at]
    links = np.zeros(at.size, np.uint8)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            worth = np.uint8(1 if down and right else 5 if down else 15 if right else 0)
            links += worth * (border[at + down * across + right] == owner)
    return links


def _link_lengths(spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Compute what a border pixel adds to the perimeter, for all values of :func:`_count_links`."""
    row, column, slanted = np.mgrid[:3, :3, :5].reshape(3, -1)
    code = 1 + 2 * (row + column) + 10 * slanted
    straight = (row * spacing[1] + column * spacing[0]) / np.maximum(row + column, 1)
    both = np.isin(code, MIXED_LINKS) / 2
    return np.asarray(
        (np.isin(code, STRAIGHT_LINKS) + both) * straight
        + (np.isin(code, DIAGONAL_LINKS) + both) * np.hypot(*spacing)
    )


@dataclass(frozen=True, eq=False)
class HullRows:
    """Rows of the convex hulls of all nuclei: pixels whose centres are inside or on its border.

    They are those of scikit-image: of the hull of the midpoints of all pixel edges.

    Attributes
    ----------
    owner, rows, left, right : ndarray, shape (m,)
        Nucleus, row, and first and last column, sorted by nucleus and row.
    first : ndarray, shape (n,)
        Position at which each nucleus begins.
    """

    owner: NDArray[np.int64]
    rows: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def area(self) -> NDArray[np.int64]:
        """Pixels of each hull."""
        return np.asarray(np.add.reduceat(self.right - self.left + 1, self.first))

    def feret_diameter(self, spacing: tuple[float, float]) -> NDArray[np.float64]:
        """Compute the largest distance between two points of each outline.

        Parameters
        ----------
        spacing : (float, float)
            Size of a pixel along Y and X.

        Returns
        -------
        ndarray, shape (n,), float64
            In units of the spacing; the outline runs through the midpoints of pixel edges.
        """
        sides = [_left_outline(self.owner, self.rows, side) for side in (self.left, -self.right)]
        owner, y = (np.concatenate([side[at] for side in sides]) for at in (0, 1))
        x = np.concatenate([sides[0][2], -sides[1][2]])
        order = np.argsort(owner, kind="stable")
        owner, y, x = owner[order], y[order] * spacing[0] / 2, x[order] * spacing[1] / 2
        first = np.flatnonzero(find_changes(owner))
        farthest = np.zeros(owner.size)
        # all pairs of corners, of which a nucleus has few
        for apart in range(1, int(np.diff(first, append=owner.size).max(initial=0))):
            same = np.flatnonzero(owner[apart:] == owner[:-apart])
            squared = (y[same + apart] - y[same]) ** 2 + (x[same + apart] - x[same]) ** 2
            farthest[same] = np.maximum(farthest[same], squared)
        return np.asarray(np.sqrt(np.maximum.reduceat(farthest, first)))


def find_hull_rows(runs: RunLengths) -> HullRows:
    """Find the rows of the convex hull of every nucleus.

    Parameters
    ----------
    runs : RunLengths
    """
    row, owner = runs.rows[runs.order], runs.owner[runs.order]
    first = np.flatnonzero(find_changes(owner, row))
    last = np.append(first[1:], row.size)[: first.size] - 1
    owner, row = owner[first], row[first]
    left, right = runs.starts[runs.order[first]], runs.stops[runs.order[last]] - 1
    height = runs.boxes[:, 2] - runs.boxes[:, 0]
    parts = np.flatnonzero(np.diff(np.cumsum(height) // HULL_ROWS)) + 1
    found: list[list[NDArray[np.int64]]] = [[], []]
    for begin, end in pairwise([0, *parts.tolist(), height.size]):
        some = slice(*np.searchsorted(owner, (begin, end)))
        for side, chain in zip(found, (left, -right), strict=True):  # mirrored, it is a left one
            side.append(_hull_columns(*_left_outline(owner[some], row[some], chain[some])))
    start = np.cumsum(height) - height
    within = np.arange(height.sum()) - np.repeat(start, height)
    return HullRows(
        np.repeat(np.arange(height.size), height), within + np.repeat(runs.boxes[:, 0], height),
        np.concatenate(found[0]), -np.concatenate(found[1]), start,
    )  # fmt: skip


def _left_outline(
    owner: NDArray[np.int64], row: NDArray[np.int64], left: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the left side of convex hulls, downwards: the owner, 2 y and 2 x of each corner."""
    joined = ~find_changes(owner, row - np.arange(row.size))[1:]
    x = 2 * np.stack([left, left, left], axis=1)
    x[1:, 0] -= 2 * np.where(joined, np.maximum(left[1:] - left[:-1], 0), 0)
    x[:, 1] -= 1
    y = 2 * row[:, None] + np.arange(-1, 2)
    there = np.ones(x.shape, np.bool_)
    there[:-1, 2] = ~joined  # it is the first of the next row
    return _hull_corners(np.broadcast_to(owner[:, None], x.shape)[there], y[there], x[there])


def _hull_corners(
    owner: NDArray[np.int64], y: NDArray[np.int64], x: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Remove all points that are not left of every line between others of their nucleus.

    A point that is not left of the line between its neighbours is no corner; all such are removed
    at once, until none is left: the monotone chain of Andrew (1979,
    doi:10.1016/0020-0190(79)90072-3) for all nuclei together. Twice the coordinates are integers,
    so that nothing is rounded.
    """
    index = np.arange(owner.size)
    done = [index[:0]]
    while index.size:
        of, v, u = owner[index], y[index], x[index]
        flat = np.zeros(index.size, np.bool_)
        flat[1:-1] = (of[2:] == of[:-2]) & (
            (u[1:-1] - u[:-2]) * (v[2:] - v[:-2]) >= (u[2:] - u[:-2]) * (v[1:-1] - v[:-2])
        )
        busy = np.zeros(of[-1] + 1, np.bool_)
        busy[of[flat]] = True
        done.append(index[~busy[of]])
        index = index[busy[of] & ~flat]
    corners = np.sort(np.concatenate(done))
    return owner[corners], y[corners], x[corners]


def _hull_columns(
    owner: NDArray[np.int64], y: NDArray[np.int64], x: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first column that is not left of the corners, for all rows of each nucleus."""
    edge = np.flatnonzero(owner[1:] == owner[:-1])
    first, stop = (y[edge] + 1) // 2, (y[edge + 1] + 1) // 2
    rows = stop - first
    row = np.arange(rows.sum()) + np.repeat(first - np.cumsum(rows) + rows, rows)
    edge = np.repeat(edge, rows)
    high, wide = y[edge + 1] - y[edge], x[edge + 1] - x[edge]
    return np.asarray(-(-(x[edge] * high + wide * (2 * row - y[edge])) // (2 * high)))
