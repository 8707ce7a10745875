"""The numbers in a label image of any program, as they stand in its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from ..errors import UserError
from .images import read_image
from .linked_files import check_tiff_references
from .openable import check_openable
from .read_errors import convert_decoder_errors
from .suffixes import TIFF_SUFFIXES

# Larger ids are numbered anew: of what counts up to the largest id, memory would not suffice.
MAX_ID = 2**31 - 1
# Compression of JPEG changes numbers.
LOSSY_SUFFIXES = (".jpg", ".jpeg")
# TIFF whose numbers are others than what is shown: tifffile writes masks so that 0 is white.
SHOWN_OTHERWISE = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.MINISWHITE)


def read_numbers(path: Path) -> NDArray[Any]:
    """Read a label image: its numbers, not what is shown for them.

    Of a palette these are the indices; where 0 is white, it is the background all the same.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in LOSSY_SUFFIXES:
        raise UserError(f"{path} is a JPEG, which changes numbers: save labels as TIFF or PNG.")
    check_openable(path)
    with convert_decoder_errors(path):
        if suffix in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as opened:
                check_tiff_references(path, opened)
                keeps_numbers = opened.pages.first.photometric in SHOWN_OTHERWISE
                if keeps_numbers and len(opened.series) == 1:
                    return np.asarray(opened.series[0].asarray()).squeeze()
        elif suffix == ".png":
            with PIL.Image.open(path) as picture:
                if picture.mode in ("P", "1"):
                    return np.asarray(picture)
    return read_image(path)


def to_labels(numbers: NDArray[Any], name: object) -> NDArray[Any]:
    """Convert numbers of any type to labels of one plane.

    Parameters
    ----------
    numbers : ndarray
        Booleans; integers; floats that are whole.
    name : object
        Of the image, for messages.

    Returns
    -------
    ndarray, shape (Y, X), integer
        0 is background.

    Raises
    ------
    UserError
        If they are no labels of one plane.
    """
    plane = numbers
    if plane.ndim == 3 and plane.shape[-1] in (3, 4):
        raise UserError(
            f"{name} contains colours, not labels: save the numbers themselves, such as a "
            "TIFF of 16 bits, or a PNG with a palette."
        )
    if plane.ndim != 2:
        raise UserError(
            f"{name} contains no labels of a single plane: the shape must be (Y, X), but it is "
            f"{plane.shape}; save planes as files of their own, and masks of single nuclei as one "
            "image in which each has a number."
        )
    if plane.dtype.kind == "b":
        return plane.astype(np.uint8)
    if plane.dtype.kind == "f":
        plane = _round(plane, name)
    if plane.dtype.kind not in "ui":
        raise UserError(
            f"{name} contains no labels: they must be whole numbers, but are {plane.dtype}."
        )
    if plane.min(initial=0) < 0:
        raise UserError(
            f"{name} contains negative numbers: 0 is the background, and nuclei are "
            "numbered from 1."
        )
    if plane.max(initial=0) > MAX_ID:
        ids, positions = np.unique(plane, return_inverse=True)
        first = 0 if ids[0] == 0 else 1
        return (positions.reshape(plane.shape) + first).astype(np.int32)
    return plane


def _round(plane: NDArray[Any], name: object) -> NDArray[Any]:
    """Convert floats to integers."""
    if not np.isfinite(plane).all() or (plane != np.round(plane)).any():
        raise UserError(
            f"{name} contains no labels: they must be whole numbers, but some are fractions, NaN "
            "or infinite."
        )
    limit = float(np.iinfo(np.int64).max)
    if float(np.abs(plane).max(initial=0)) >= limit:  # which half precision cannot hold
        raise UserError(f"{name} contains no labels: its numbers are too large.")
    return plane.astype(np.int64)
