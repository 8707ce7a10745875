"""Rows of tables that are columns of arrays: taken, joined, and found by their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box

FeatureRows = dict[str, NDArray[Any]]


def select_rows(rows: FeatureRows, which: NDArray[Any]) -> FeatureRows:
    """Take some rows, by a mask or in an order."""
    return {name: column[which] for name, column in rows.items()}


def merge_rows(one: FeatureRows, other: FeatureRows) -> tuple[FeatureRows, NDArray[np.intp]]:
    """Put rows together, by rising label; what one of them lacks is NaN.

    Returns
    -------
    rows : dict of str to ndarray
    order : ndarray, int
        Of the rows of both, one after the other.
    """
    order = np.argsort(np.concatenate([one["label"], other["label"]]), kind="stable")
    sizes = one["label"].size, other["label"].size
    made = {}
    for name in dict.fromkeys([*one, *other]):
        parts = [
            rows[name] if name in rows else np.full(size, np.nan)
            for rows, size in zip((one, other), sizes, strict=True)
        ]
        made[name] = np.concatenate(parts)[order]
    return made, order


def stack_boxes(parts: Sequence[Box]) -> NDArray[np.int64]:
    """Give boxes as rows: first row and column, and those after the last."""
    return np.array([[r.start, c.start, r.stop, c.stop] for r, c in parts], np.int64)


def find_overlapping_boxes(boxes: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Say which boxes share a pixel with one."""
    top, left, bottom, right = boxes.T
    rows, columns = box
    above = (top < rows.stop) & (bottom > rows.start)
    return above & (left < columns.stop) & (right > columns.start)


def enclose_boxes(box: Box, boxes: NDArray[np.int64]) -> Box:
    """Smallest box around a box and some others."""
    rows, columns = box
    own = np.array([[rows.start, columns.start, rows.stop, columns.stop]])
    every = np.concatenate([own, boxes])
    top, left = every[:, :2].min(axis=0).tolist()
    bottom, right = every[:, 2:].max(axis=0).tolist()
    return slice(top, bottom), slice(left, right)
