"""Whether labels of an image are written as TIFF, from memory, or block by block as OME-Zarr."""

from __future__ import annotations

import math

from ..io.labels import LABELS_SUFFIX, STORE_SUFFIX
from ..io.lazy_images import LazyImage
from ..limits import Limits
from .outputs import OutputOptions, result_paths_in


def is_written_in_blocks(
    output: OutputOptions, stem: str, pixels: int, bytes_read: int, limits: Limits
) -> bool:
    """Return whether labels become an OME-Zarr, by choice or as a plane is too large for memory.

    Results of an earlier run keep their format, however much memory was free then.

    Parameters
    ----------
    output : OutputOptions
    stem : str
        Start of the names of results.
    pixels : int
        Of a plane of the labels in TIFF.
    bytes_read : int
        As of :func:`count_plane_bytes`.
    limits : Limits
    """
    if output.format is not None or output.on_cluster:
        return output.format == "zarr" or output.format is None
    if pixels > limits.large_plane_pixels:
        return True
    tiff, store = (result_paths_in(output.out, stem, one) for one in (LABELS_SUFFIX, STORE_SUFFIX))
    if tiff.find_labels() is not None:
        return False
    return limits.needs_blocks(pixels, bytes_read) or store.labels.is_dir()


def count_plane_bytes(opened: LazyImage, pixels: int) -> int:
    """Count the bytes that are read of an image to segment a plane of so many pixels."""
    shape = opened.pixels.shape
    in_plane = pixels * shape[-1] if opened.is_rgb else pixels
    values = math.prod(shape) if opened.is_read_whole else in_plane
    return values * opened.pixels.dtype.itemsize
