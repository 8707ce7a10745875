"""Nuclei at the edge of a plane, of which a part may be missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box, full_box


def find_border_ids(
    labels: NDArray[np.integer], box: Box | None = None, shape: tuple[int, int] | None = None
) -> NDArray[np.integer]:
    """Find the nuclei with a pixel at the edge of a plane.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        Of the plane, or a part of it; 0 is background.
    box : (slice, slice), optional
        The part.
    shape : (int, int), optional
        Of the whole plane, given with the part.

    Returns
    -------
    ndarray, shape (n,), integer
        Ascending.
    """
    rows, columns = box or full_box(labels.shape)
    height, width = shape or labels.shape
    edges = [
        labels[:1] if rows.start == 0 else labels[:0],
        labels[-1:] if rows.stop == height else labels[:0],
        labels[:, :1] if columns.start == 0 else labels[:, :0],
        labels[:, -1:] if columns.stop == width else labels[:, :0],
    ]
    ids = np.unique(np.concatenate([edge.ravel() for edge in edges]))
    return ids[ids != 0]


def clear_border(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return labels without the nuclei at the edge of the plane; all others keep their ids."""
    return clear_ids(labels, find_border_ids(labels))


def clear_ids(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return labels without some nuclei; all others keep their ids."""
    return np.where(np.isin(labels, ids), labels.dtype.type(0), labels) if ids.size else labels
