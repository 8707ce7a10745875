"""Labels renumbered to 1..n."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

# Fewer pixels are counted in 32 bits.
MAX_INT32_PIXELS = np.iinfo(np.int32).max


def check_not_negative(labels: NDArray[np.integer]) -> None:
    """Raise a UserError if there is a negative label."""
    if labels.min(initial=0) < 0:
        raise UserError(
            "Labels must not be negative: 0 is the background, and every other number is a nucleus."
        )


def relabel_sequential(
    labels: NDArray[np.integer],
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Relabel the nuclei 1..n, in the order of their ids.

    As ``skimage.segmentation.relabel_sequential``, in half the time where ids are dense, as those
    of most labels are (docs/decisions/0009-own-code.md).

    Parameters
    ----------
    labels : ndarray, integer
        0 is background.

    Returns
    -------
    labels : ndarray of the same shape, int32 or int64
    ids : ndarray, shape (n + 1,), integer
        The id that each label had; 0 for the background, whether or not there is any.

    Raises
    ------
    UserError
        If they are no whole numbers from 0.
    """
    if labels.dtype.kind not in "ui":
        raise UserError(f"Labels must be whole numbers, but are {labels.dtype}.")
    flat = labels.ravel()
    if flat.size and flat.min() >= 0 and flat.max() <= 4 * flat.size:
        used = np.bincount(flat.astype(np.intp, copy=False)) > 0  # quicker than sorting
        used[0] = True
        dtype = np.int32 if flat.size < MAX_INT32_PIXELS else np.int64
        return (np.cumsum(used, dtype=dtype) - 1)[labels], np.flatnonzero(used)
    ids, place = np.unique(np.append(flat.dtype.type(0), flat), return_inverse=True)
    check_not_negative(ids)
    return place[1:].reshape(labels.shape), ids


def consecutive_ids(kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return a table that numbers the labels that are kept 1..n, and maps all others to 0."""
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)
