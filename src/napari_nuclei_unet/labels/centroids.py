"""Centroids, areas and bounding boxes of the nuclei of a plane or volume, found block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box
from ..arrays.relabel import check_not_negative, relabel_sequential
from ..arrays.tiling import ArrayLike, split_into_squares

# Edge of the blocks in which labels are read, in pixels.
SCAN_BLOCK_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Positions of the nuclei of a plane or volume of d axes; each array has one row per nucleus.

    Attributes
    ----------
    ids : ndarray, shape (n,), integer
    areas : ndarray, shape (n,)
        In pixels; of volumes the voxels.
    centres : ndarray, shape (n, d)
        Centroids, (y, x) or (z, y, x), in pixels.
    low, high : ndarray, shape (n, d)
        Bounding boxes: the first pixel, and the one after the last.
    """

    ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    centres: NDArray[np.float64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def diameter(self) -> float:
        """Median diameter in pixels of circles, or of spheres; 0 without nuclei."""
        diameters = diameters_of_sizes(self.areas, self.centres.shape[1])
        return float(np.median(diameters)) if len(self) else 0.0

    def in_box(self, box: Box) -> NDArray[np.bool_]:
        """Return which nuclei have their centre in a box."""
        pixels = np.floor(self.centres + 0.5)
        return np.asarray(_within(pixels, pixels + 1, box))

    def whole_in(self, box: Box) -> NDArray[np.bool_]:
        """Return which nuclei lie completely in a box."""
        return np.asarray(_within(self.low, self.high, box))

    def touching(self, box: Box) -> NDArray[np.bool_]:
        """Return which nuclei have a bounding box that overlaps a box."""
        start, stop = _corners(box)
        return np.asarray(((self.high > start) & (self.low < stop)).all(axis=1))


def _corners(box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([extent.start for extent in box]), np.array([extent.stop for extent in box])


def _within(low: NDArray[Any], high: NDArray[Any], box: Box) -> NDArray[np.bool_]:
    start, stop = _corners(box)
    return np.asarray(((low >= start) & (high <= stop)).all(axis=1))


def diameters_of_sizes(sizes: NDArray[Any], ndim: int) -> NDArray[np.float64]:
    """Return the diameters of circles of these areas, or of spheres of these volumes.

    Parameters
    ----------
    sizes : ndarray
        In pixels or voxels, or of any other unit.
    ndim : int
        2 or 3.

    Returns
    -------
    ndarray of the same shape
    """
    unit = np.pi / 4 if ndim == 2 else np.pi / 6
    return np.asarray((np.asarray(sizes, np.float64) / unit) ** (1 / ndim))


def locate_nuclei(labels: ArrayLike) -> Nuclei:
    """Find the nuclei of a labelled plane or volume, block by block.

    Parameters
    ----------
    labels : array-like, shape (..., Y, X), integer
        0 is background, else the id of a nucleus.

    Returns
    -------
    Nuclei
        In the order of their ids.

    Raises
    ------
    UserError
        If an id is negative.
    """
    blocks = [_measure_block(np.asarray(labels[box]), box) for box in _split_blocks(labels.shape)]
    ids, areas, sums, low, high = _merge_rows(*map(np.concatenate, zip(*blocks, strict=True)))
    return Nuclei(ids, areas, sums / areas[:, None], low, high)


def _split_blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Split an array into blocks of one plane."""
    for at in np.ndindex(*shape[:-2]):
        for square in split_into_squares(shape[-2:], SCAN_BLOCK_SIZE):
            yield *(slice(n, n + 1) for n in at), *square


def _measure_block(part: NDArray[np.integer], box: tuple[slice, ...]) -> tuple[NDArray[Any], ...]:
    """Measure the nuclei of a block, in pixels of the plane."""
    check_not_negative(part)
    positions = np.argwhere(part) + [extent.start for extent in box]
    ids = part[part != 0].astype(np.int64)
    return _merge_rows(ids, np.ones(ids.size), positions, positions, positions + 1)


def _merge_rows(
    ids: NDArray[np.integer],
    areas: NDArray[Any],
    sums: NDArray[Any],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> tuple[NDArray[Any], ...]:
    """Merge the rows of one id: add areas and positions, and enclose first and last pixels."""
    row, ids = relabel_sequential(ids)
    n = ids.size
    shape = n, low.shape[1]
    lowest, highest = np.full(shape, 2**62), np.zeros(shape, np.int64)
    np.minimum.at(lowest, row, low)
    np.maximum.at(highest, row, high)
    area, *total = (np.bincount(row, values, n) for values in (areas, *sums.T))
    columns = ids, area.astype(np.int64), np.stack(total, axis=1), lowest, highest
    return tuple(column[1:] for column in columns)  # without the background
