"""Mistakes put into right labels on purpose, to try corrections on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import disk
from skimage.measure import regionprops

MERGED_PAIRS, SPLIT_NUCLEI, MISSED_NUCLEI, FALSE_NUCLEI = 3, 3, 2, 2
# Nuclei are as far apart as this, in pixels, where they can be seen as one.
MAX_MERGE_GAP = 3
# Of a false nucleus, and of the empty place around it, in pixels.
FALSE_NUCLEUS_RADIUS, FALSE_NUCLEUS_MARGIN = 6, 12


def plant_errors(annotation: NDArray[np.integer]) -> NDArray[np.int32]:
    """Merge three pairs of nuclei, split three, leave two out and add two; always the same ones.

    Parameters
    ----------
    annotation : ndarray, shape (Y, X), integer
        0 is background, else the nucleus' id.

    Returns
    -------
    ndarray, shape (Y, X), int32
        Ids are those of the annotation, and two above them for each nucleus that is new.
    """
    labels = annotation.astype(np.int32)
    free = int(labels.max()) + 1
    used: set[int] = set()
    for one, other in _touching_pairs(annotation, used):
        labels[annotation == other] = one
        gap = ndimage.binary_closing(
            np.isin(annotation, (one, other)), np.ones((3, 3)), MAX_MERGE_GAP
        )
        labels[gap & (annotation == 0)] = one
    for nucleus in _most_convex(annotation, used, SPLIT_NUCLEI):
        half = _half_mask(annotation == nucleus)
        labels[half] = free
        free += 1
    for nucleus in _most_convex(annotation, used, MISSED_NUCLEI):
        labels[annotation == nucleus] = 0
    for place in _empty_positions(labels):
        labels[disk(place, FALSE_NUCLEUS_RADIUS, shape=labels.shape)] = free
        free += 1
    return labels


def _touching_pairs(annotation: NDArray[np.integer], used: set[int]) -> Iterator[tuple[int, int]]:
    """Nuclei that nearly touch, and are about as large as each other."""
    found = 0
    area = np.bincount(annotation.ravel())
    for nucleus in np.flatnonzero(area)[1:].tolist():
        around = ndimage.binary_dilation(annotation == nucleus, iterations=MAX_MERGE_GAP)
        others = set(np.unique(annotation[around]).tolist()) - {0, nucleus} - used
        alike = [one for one in sorted(others) if 0.6 < area[one] / area[nucleus] < 1.7]
        if nucleus in used or not alike or found == MERGED_PAIRS:
            continue
        used |= {nucleus, alike[0]}
        found += 1
        yield nucleus, alike[0]


def _most_convex(annotation: NDArray[np.integer], used: set[int], count: int) -> list[int]:
    """Nuclei inside the image that nobody would cut: the most convex ones."""
    height, width = annotation.shape
    whole = [
        one
        for one in regionprops(annotation)
        if one.label not in used
        and min(one.bbox[:2]) > 0
        and one.bbox[2] < height
        and one.bbox[3] < width
    ]
    chosen = [one.label for one in sorted(whole, key=lambda one: -one.solidity)[:count]]
    used |= set(chosen)
    return chosen


def _half_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels on one side of the short axis of a nucleus, slightly off its middle."""
    rows, columns = np.nonzero(mask)
    down, right = rows - rows.mean(), columns - columns.mean()
    # the long axis, upwards; the sign of an eigenvector would be up to LAPACK
    angle = np.arctan2(2 * (down @ right), down @ down - right @ right) / 2
    along = -np.cos(angle) * down - np.sin(angle) * right
    half = np.zeros_like(mask)
    side = along > 0.1 * np.abs(along).max()
    half[rows[side], columns[side]] = True
    return half


def _empty_positions(labels: NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """Middles of the emptiest places."""
    background = np.pad(labels == 0, 1)
    for _ in range(FALSE_NUCLEI):
        distance = ndimage.distance_transform_edt(background)[1:-1, 1:-1]
        row, column = (int(at) for at in np.unravel_index(distance.argmax(), distance.shape))
        rows, columns = disk(
            (row + 1, column + 1),
            FALSE_NUCLEUS_RADIUS + FALSE_NUCLEUS_MARGIN,
            shape=background.shape,
        )
        background[rows, columns] = False
        yield row, column
