"""Masks, in which all nuclei have the same number, told from labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import UserError

# Smaller pieces, compared with the largest, are specks beside a nucleus.
MIN_PIECE_SHARE = 0.1
# An image alone may have one nucleus in two pieces.
MIN_PIECES_OF_ONE = 3
MASK_HINT = (
    "a mask: every nucleus needs a number of its own, and masks have one for all; "
    "skimage.measure.label(mask) gives one to each connected part."
)


def count_pieces(labels: NDArray[Any]) -> int:
    """Count the separate parts of the only id of a plane.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer

    Returns
    -------
    int
        0 if there is no id or more than one; parts that are small beside the largest do not count.
    """
    inside = labels > 0
    if not inside.any():
        return 0
    largest = labels.max()
    if (labels[inside] != largest).any():
        return 0
    pieces, count = ndimage.label(inside, np.ones((3, 3), int))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return int(np.count_nonzero(areas >= MIN_PIECE_SHARE * areas.max()))


def is_mask(planes: Iterable[NDArray[Any]]) -> bool:
    """Return whether the planes of labels have one id only, in separate parts of one plane.

    Parameters
    ----------
    planes : iterable of ndarray, shape (Y, X), integer
    """
    pieces, ids = 0, set[int]()
    for labels in planes:
        if not labels.any():
            continue
        pieces_here = count_pieces(labels)
        ids.add(int(labels.max()))
        if not pieces_here or len(ids) > 1:
            return False
        pieces = max(pieces, pieces_here)
    return pieces > 1


def check_instances(name: str, planes: Iterable[NDArray[Any]]) -> None:
    """Raise an error where labels are a mask, as of :func:`is_mask`.

    Raises
    ------
    UserError
    """
    if is_mask(planes):
        raise UserError(f"{name} is {MASK_HINT}")


def check_all_instances(labels: dict[str, NDArray[Any]]) -> None:
    """Raise an error where one of several label images is a mask.

    Parameters
    ----------
    labels : dict of str to ndarray, shape (Y, X), integer
        By the name of the image.

    Raises
    ------
    UserError
    """
    counts = {name: count_pieces(plane) for name, plane in labels.items() if plane.any()}
    alone = not any(count == 0 for count in counts.values())
    for name, count in counts.items():
        if count >= (2 if alone else MIN_PIECES_OF_ONE):
            raise UserError(f"{name} is {MASK_HINT}")
