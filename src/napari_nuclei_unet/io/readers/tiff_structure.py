"""Whether the file of a TIFF is whole: its pages, their tags, and the data of each plane."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError

# Bytes of a value, by the type of a tag.
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
              16: 8, 17: 8, 18: 8}  # fmt: skip
# What readers take no harm from where it is lost: ICC, XMP, IPTC and Photoshop's own.
HARMLESS_TAGS = (700, 33723, 34377, 34675, 37724)
# Kinds whose writers leave the pointer behind the last page undefined.
UNTERMINATED_KINDS = ("is_lsm", "is_stk", "is_ndpi", "is_scanimage", "is_micromanager")


def check_pages(path: Path, opened: Any) -> None:
    """Raise an error if the list of pages, or what a page says, breaks off.

    A decoder passes over what lies behind the end of the file, and so returns fewer planes, or
    planes without the names of their axes.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile

    Raises
    ------
    UserError
    """
    if any(getattr(opened, kind) for kind in UNTERMINATED_KINDS):
        return
    whole = _count_whole_pages(opened)
    if whole is None:
        return
    claimed = count_claimed_planes(opened)
    if claimed is None or claimed <= whole:
        held = f"it breaks off after {whole} of its pages" if whole else "it breaks off at once"
    else:
        held = f"it says {claimed} planes and holds {whole}"
    raise UserError(f"{path} is not whole: {held}; copy it again, or save it anew.")


def _count_whole_pages(opened: Any) -> int | None:
    """Return the number of pages before the list breaks off; None if it does not."""
    file, form, size = opened.filehandle, opened.tiff, opened.filehandle.size
    at = _read_number(file, 4 if form.version == 42 else 8, form.offsetsize, form.byteorder)
    seen: set[int] = set()
    while at:
        if at is None or at in seen:
            return len(seen)
        count = _read_number(file, at, form.tagnosize, form.byteorder)
        if count is None:
            return len(seen)
        raw = file.read(count * form.tagsize)
        if len(raw) < count * form.tagsize or _lies_outside(raw, form, size):
            return len(seen)
        seen.add(at)
        end = at + form.tagnosize + count * form.tagsize
        at = _read_number(file, end, form.offsetsize, form.byteorder)
        if at is not None and at >= size:
            at = None
    return None if at == 0 else len(seen)


def _read_number(file: Any, at: int, length: int, byteorder: str) -> int | None:
    """Read a whole number; None behind the end of the file."""
    if at >= file.size:
        return None
    file.seek(at)
    raw = file.read(length)
    order = "little" if byteorder == "<" else "big"
    return None if len(raw) < length else int.from_bytes(raw, order)  # type: ignore[arg-type]


def _lies_outside(raw: bytes, form: Any, size: int) -> bool:
    """Return whether the value of a tag lies behind the end of the file."""
    layout = struct.Struct(f"{form.byteorder}HH{'II' if form.offsetsize == 4 else 'QQ'}")
    for code, kind, count, value in layout.iter_unpack(raw):
        length = TYPE_SIZES.get(kind, 0) * count
        if length > form.offsetsize and value + length > size and code not in HARMLESS_TAGS:
            return True
    return False


def count_claimed_planes(opened: Any) -> int | None:
    """Return how many planes the metadata say that there are; None if they do not say."""
    try:
        page = opened.pages.first
        if opened.is_ome:
            return sum(map(_count_ome_planes, ET.fromstring(opened.ome_metadata).iter()))
        if opened.is_imagej:
            said = opened.imagej_metadata
            lengths = (int(said.get(name, 1)) for name in ("frames", "slices", "channels"))
            planes = math.prod(lengths) // max(int(page.shaped[0]), 1)
            return max(planes, 1) if page.samplesperpixel > 1 else max(planes, said["images"])
        if opened.is_shaped:
            return math.prod(opened.shaped_metadata[0]["shape"]) // int(page.size)
    except (ET.ParseError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None
    return None


def _count_ome_planes(element: ET.Element) -> int:
    if not element.tag.endswith("Pixels"):
        return 0
    channel = element.find("{*}Channel")
    samples = 1 if channel is None else int(channel.get("SamplesPerPixel", 1))
    return math.prod(int(element.attrib[f"Size{axis}"]) for axis in "ZTC") // samples


def find_missing_planes(series: Any) -> NDArray[np.bool_]:
    """Find the planes of a series, in order, whose data are not, or not all, in the file.

    Parameters
    ----------
    series : tifffile.TiffPageSeries

    Returns
    -------
    ndarray, shape (planes,), bool
    """
    key, pages = series.keyframe, list(series.pages)
    planes = max(math.prod(series.shape) // max(int(key.size), 1), 1)
    if len(pages) == 1 and planes > 1 and key.is_final:  # the planes stand behind each other
        held = (_file_size(pages[0]) - pages[0].dataoffsets[0]) // max(int(key.nbytes), 1)
        return np.arange(planes) >= held
    pages += [None] * (planes - len(pages))
    return np.array([page is None or not _has_data(page, key) for page in pages[:planes]])


def _file_size(page: Any) -> int:
    file = page.parent.filehandle
    return int(os.path.getsize(file.path) if file.closed else file.size)


def _has_data(page: Any, key: Any) -> bool:
    """Return whether the data of a page lie inside its file."""
    size, held = _file_size(page), min(len(page.dataoffsets), len(page.databytecounts))
    if not held:
        return False
    if key.is_contiguous:
        start = page.dataoffsets[0]
        filled = key.is_tiled or sum(page.databytecounts) >= key.nbytes
        return bool(start > 0 and start + key.nbytes <= size and filled)
    offsets = np.asarray(page.dataoffsets[:held], np.int64)
    counts = np.asarray(page.databytecounts[:held], np.int64)
    inside = bool((offsets + counts <= size).all())
    if key.is_ndpi:  # its tiles are found inside one JPEG
        return inside
    empty = (offsets == 0) | (counts == 0)
    # a tile may be left out where nothing was seen; a strip, or all tiles, may not
    if empty.all() or (empty.any() and not key.is_tiled):
        return False
    return inside and held >= math.prod(key.chunked)
