"""Rows of tables, stored as columns of arrays: selected, merged, and found by their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box

FeatureRows = dict[str, NDArray[Any]]


def select_rows(rows: FeatureRows, which: NDArray[Any]) -> FeatureRows:
    """Select rows by a mask, or reorder them."""
    return {name: column[which] for name, column in rows.items()}


def concatenate_rows(tables: Sequence[FeatureRows]) -> FeatureRows:
    """Concatenate rows; columns that a table lacks are NaN there."""
    sizes = [next(iter(table.values())).size for table in tables]
    return {
        name: np.concatenate(
            [
                table[name] if name in table else np.full(size, np.nan)
                for table, size in zip(tables, sizes, strict=True)
            ]
        )
        for name in dict.fromkeys(name for table in tables for name in table)
    }


def merge_rows(first: FeatureRows, second: FeatureRows) -> tuple[FeatureRows, NDArray[np.intp]]:
    """Merge rows by ascending label; columns that one of them lacks are NaN there.

    Returns
    -------
    rows : dict of str to ndarray
    order : ndarray, int
        Of the concatenated rows.
    """
    rows = concatenate_rows([first, second])
    order = np.argsort(rows["label"], kind="stable")
    return select_rows(rows, order), order


def stack_boxes(boxes: Sequence[Box]) -> NDArray[np.int64]:
    """Stack boxes as rows: first row and column, and those after the last."""
    return np.array([[r.start, c.start, r.stop, c.stop] for r, c in boxes], np.int64)


def find_overlapping_boxes(boxes: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Return a mask of the boxes that share a pixel with ``box``."""
    top, left, bottom, right = boxes.T
    rows, columns = box
    overlaps_rows = (top < rows.stop) & (bottom > rows.start)
    return overlaps_rows & (left < columns.stop) & (right > columns.start)


def enclose_boxes(box: Box, boxes: NDArray[np.int64]) -> Box:
    """Return the smallest box around a box and others."""
    all_boxes = np.concatenate([stack_boxes([box]), boxes])
    top, left = all_boxes[:, :2].min(axis=0).tolist()
    bottom, right = all_boxes[:, 2:].max(axis=0).tolist()
    return slice(top, bottom), slice(left, right)
