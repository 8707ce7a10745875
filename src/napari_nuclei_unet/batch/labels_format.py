"""Whether labels of an image are written as TIFF, from memory, or block by block as OME-Zarr."""

from __future__ import annotations

import math
from dataclasses import replace

from ..arrays.selection import PlaneSelection
from ..errors import UserError
from ..export.ome_tiff import ome_axes
from ..io.labels import LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX
from ..io.lazy_images import LazyImage
from ..limits import Limits
from .inputs import OME_TIFF_SUFFIXES
from .outputs import OutputOptions, ResultPaths, result_paths_beside, result_paths_in

NOTICE = "{}: its labels are written block by block, as OME-Zarr, to {}."


def choose_result_paths(
    output: OutputOptions,
    stem: str,
    opened: LazyImage,
    full: LazyImage,
    selection: PlaneSelection,
    limits: Limits,
) -> ResultPaths:
    """Choose the format of an image's labels, and with it the paths of all its results.

    Parameters
    ----------
    output : OutputOptions
    stem : str
        Start of the names of results.
    opened, full : LazyImage
        At the level that is segmented, and at full resolution.
    selection : PlaneSelection
        Of the former.
    limits : Limits

    Raises
    ------
    UserError
        If a file that is asked for cannot hold the axes of the labels.
    """
    if output.is_file:
        if output.out.name.lower().endswith(OME_TIFF_SUFFIXES):
            ome_axes(selection.label_axes)  # raises an error if it cannot hold them
        return result_paths_beside(output.out)
    # also of a lower level: labels in TIFF have full resolution
    pixels = max(math.prod(selection.size), _plane_pixels(full, selection))
    read = count_plane_bytes(opened, math.prod(selection.size))
    if _is_written_in_blocks(output, stem, pixels, read, limits):
        store = result_paths_in(output.out, stem, STORE_SUFFIX)
        is_new = output.format is None and not output.on_cluster and not store.labels.is_dir()
        reason = limits.explain_blocks(pixels, read) if is_new else ""
        return replace(store, notice=NOTICE.format(reason, store.labels.name) if reason else "")
    return result_paths_in(output.out, stem, _choose_tiff_suffix(selection.label_axes))


def _is_written_in_blocks(
    output: OutputOptions, stem: str, pixels: int, bytes_read: int, limits: Limits
) -> bool:
    """Return whether labels become an OME-Zarr, by choice or as a plane is too large for memory.

    Results of an earlier run keep their format, however much memory was free then.
    """
    if output.format is not None or output.on_cluster:
        return output.format == "zarr" or output.format is None
    if pixels > limits.large_plane_pixels:
        return True
    tiff, store = (result_paths_in(output.out, stem, one) for one in (LABELS_SUFFIX, STORE_SUFFIX))
    if tiff.find_labels() is not None:
        return False
    return limits.needs_blocks(pixels, bytes_read) or store.labels.is_dir()


def _choose_tiff_suffix(axes: str) -> str:
    """Return the suffix of labels: of OME-TIFF, unless it cannot hold their axes."""
    try:
        ome_axes(axes)
    except UserError:
        return PLAIN_LABELS_SUFFIX
    return LABELS_SUFFIX


def _plane_pixels(opened: LazyImage, selection: PlaneSelection) -> int:
    """Return the number of pixels in a plane."""
    lengths = zip(selection.axes, opened.pixels.shape, strict=False)
    return math.prod(length for name, length in lengths if name in "YX")


def count_plane_bytes(opened: LazyImage, pixels: int) -> int:
    """Count the bytes that are read of an image to segment a plane of so many pixels."""
    shape = opened.pixels.shape
    in_plane = pixels * shape[-1] if opened.is_rgb else pixels
    values = math.prod(shape) if opened.is_read_whole else in_plane
    return values * opened.pixels.dtype.itemsize
