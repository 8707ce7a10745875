"""Centroids, areas and bounding boxes of the nuclei of a labelled plane, found block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box
from napari_nuclei_unet.arrays.tiling import ArrayLike
from napari_nuclei_unet.errors import UserError

# Edge of the blocks in which labels are read, in pixels.
SCAN_BLOCK_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Positions of the nuclei of a plane; each array has one row per nucleus.

    Attributes
    ----------
    ids : ndarray, shape (n,), integer
    areas : ndarray, shape (n,)
        In pixels.
    centres : ndarray, shape (n, 2)
        Centroids, (y, x) in pixels.
    low, high : ndarray, shape (n, 2)
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
        """Median diameter in pixels; 0 without nuclei."""
        return float(np.median(np.sqrt(4 / np.pi * self.areas))) if len(self) else 0.0

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


def locate_nuclei(labels: ArrayLike) -> Nuclei:
    """Find the nuclei of a labelled plane, block by block.

    Parameters
    ----------
    labels : array-like, shape (Y, X), integer
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
    rows = [
        _measure_block(np.asarray(labels[box]), box)
        for box in split_into_squares(labels.shape, SCAN_BLOCK_SIZE)
    ]
    ids, areas, sums, low, high = (np.concatenate(part) for part in zip(*rows, strict=True))
    if ids.size and ids.min() < 0:
        raise UserError("Labels must not be negative: 0 is background, any other id a nucleus.")
    ids, row = np.unique(ids, return_inverse=True)
    n = ids.size
    nuclei = Nuclei(
        ids, np.zeros(n, np.int64), np.zeros((n, 2)), np.full((n, 2), 2**62), np.zeros((n, 2), int)
    )
    np.add.at(nuclei.areas, row, areas)
    np.add.at(nuclei.centres, row, sums)
    np.minimum.at(nuclei.low, row, low)
    np.maximum.at(nuclei.high, row, high)
    nuclei.centres[...] /= np.maximum(nuclei.areas, 1)[:, None]
    return nuclei


def _measure_block(part: NDArray[np.integer], box: Box) -> tuple[NDArray[np.generic], ...]:
    """Measure a block: ids, areas, sums of positions, first and last pixels, in the plane."""
    positions = np.argwhere(part)
    ids, row = np.unique(part[part != 0].astype(np.int64), return_inverse=True)
    positions += [extent.start for extent in box]
    areas = np.bincount(row, minlength=ids.size)
    sums = np.stack([np.bincount(row, axis, ids.size) for axis in positions.T], axis=1)
    low, high = np.full((ids.size, 2), 2**62), np.zeros((ids.size, 2), np.int64)
    np.minimum.at(low, row, positions)
    np.maximum.at(high, row, positions + 1)
    return ids, areas, sums, low, high


def split_into_squares(shape: Sequence[int], edge: int) -> Iterator[Box]:
    """Split a plane evenly into boxes of about this edge, in pixels."""
    rows, columns = (
        np.linspace(0, extent, max(1, round(extent / edge)) + 1).round().astype(int).tolist()
        for extent in shape[:2]
    )
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            yield slice(top, bottom), slice(left, right)
