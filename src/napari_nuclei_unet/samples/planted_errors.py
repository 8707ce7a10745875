"""Errors planted in correct labels, to practise corrections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import disk
from skimage.measure import regionprops

MERGED_PAIRS, SPLIT_NUCLEI, MISSED_NUCLEI, FALSE_NUCLEI = 3, 3, 2, 2
# Largest distance of nuclei that are merged, in pixels.
MAX_MERGE_GAP = 3
# Radius of a false nucleus, and width of the background around it, in pixels.
FALSE_NUCLEUS_RADIUS, FALSE_NUCLEUS_MARGIN = 6, 12


def plant_errors(annotation: NDArray[np.integer]) -> NDArray[np.int32]:
    """Merge three pairs of nuclei, split three, remove two and add two; always the same ones.

    Parameters
    ----------
    annotation : ndarray, shape (Y, X), integer
        0 is background, else the nucleus' id.

    Returns
    -------
    ndarray, shape (Y, X), int32
        Ids are those of the annotation; new nuclei get higher ones.
    """
    labels = annotation.astype(np.int32)
    free = int(labels.max()) + 1
    used: set[int] = set()
    for first, second in _find_touching(annotation, used):
        labels[annotation == second] = first
        gap = ndimage.binary_closing(
            np.isin(annotation, (first, second)), np.ones((3, 3)), MAX_MERGE_GAP
        )
        labels[gap & (annotation == 0)] = first
    for nucleus in _find_most_convex(annotation, used, SPLIT_NUCLEI):
        half = _half_mask(annotation == nucleus)
        labels[half] = free
        free += 1
    for nucleus in _find_most_convex(annotation, used, MISSED_NUCLEI):
        labels[annotation == nucleus] = 0
    for centre in _find_empty_positions(labels):
        labels[disk(centre, FALSE_NUCLEUS_RADIUS, shape=labels.shape)] = free
        free += 1
    return labels


def _find_touching(annotation: NDArray[np.integer], used: set[int]) -> Iterator[tuple[int, int]]:
    """Find pairs of nuclei that nearly touch and are of similar size."""
    found = 0
    area = np.bincount(annotation.ravel())
    for nucleus in np.flatnonzero(area)[1:].tolist():
        neighbourhood = ndimage.binary_dilation(annotation == nucleus, iterations=MAX_MERGE_GAP)
        others = set(np.unique(annotation[neighbourhood]).tolist()) - {0, nucleus} - used
        similar = [other for other in sorted(others) if 0.6 < area[other] / area[nucleus] < 1.7]
        if nucleus in used or not similar or found == MERGED_PAIRS:
            continue
        used |= {nucleus, similar[0]}
        found += 1
        yield nucleus, similar[0]


def _find_most_convex(annotation: NDArray[np.integer], used: set[int], count: int) -> list[int]:
    """Find the most convex nuclei inside the image, which nobody would split."""
    height, width = annotation.shape
    inside = [
        region
        for region in regionprops(annotation)
        if region.label not in used
        and min(region.bbox[:2]) > 0
        and region.bbox[2] < height
        and region.bbox[3] < width
    ]
    inside.sort(key=lambda region: -region.solidity)
    chosen = [region.label for region in inside[:count]]
    used |= set(chosen)
    return chosen


def _half_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels on one side of the short axis of a nucleus, slightly off its centre."""
    rows, columns = np.nonzero(mask)
    down, right = rows - rows.mean(), columns - columns.mean()
    # the long axis, upwards; the sign of an eigenvector would depend on LAPACK
    angle = np.arctan2(2 * (down @ right), down @ down - right @ right) / 2
    along = -np.cos(angle) * down - np.sin(angle) * right
    half = np.zeros_like(mask)
    side = along > 0.1 * np.abs(along).max()
    half[rows[side], columns[side]] = True
    return half


def _find_empty_positions(labels: NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """Yield the centres of the largest empty areas."""
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
