"""How many planes the metadata of a TIFF say that there are, and how many there are."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...errors import UserError

# Kinds of series of which no metadata are used.
GENERIC_KINDS = {"generic", "uniform"}
# More planes than these are a mistake in the metadata.
MAX_CLAIMED_PLANES = 2_000_000


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


def check_claimed(path: Path, opened: Any) -> None:
    """Raise an error for more planes than any file has, before a list of them is made.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile
        Whose series are not listed yet.

    Raises
    ------
    UserError
    """
    claimed = max(count_claimed_planes(opened) or 0, _find_largest_claim(opened))
    if claimed > MAX_CLAIMED_PLANES:
        raise UserError(
            f"{path} is damaged: according to its metadata it has {claimed:,} planes. Save it "
            "again."
        )


def _find_largest_claim(opened: Any) -> int:
    """Return the most planes, or steps of an axis, that an entry of OME-XML claims."""
    try:
        root = ET.fromstring(opened.ome_metadata if opened.is_ome else "<OME/>")
    except ET.ParseError:  # of which no series is made
        return 0
    counts = [
        data.get(name, "0")
        for data in root.iterfind(".//{*}TiffData")
        for name in ("NumPlanes", "PlaneCount")
    ]
    counts += [axis.get("End", "0") for axis in root.iter() if axis.tag[:-1].endswith("Along")]
    return max((int(count) for count in counts if count.isdecimal()), default=0)


def check_counts(path: Path, opened: Any, pages: int) -> None:
    """Raise an error where the metadata do not fit the pages, so that some would be left aside.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile
    pages : int
        Their number.

    Raises
    ------
    UserError
    """
    if not (opened.is_ome or opened.is_imagej or opened.is_shaped):
        return
    claimed = count_claimed_planes(opened) or None
    if {series.kind for series in opened.series} <= GENERIC_KINDS:
        if claimed is not None and (opened.is_ome or claimed != pages):
            raise _miscount(path, claimed, pages)
        return
    if any(_runs_into_pages(opened, series, pages) for series in opened.series):
        raise _miscount(path, claimed or pages, pages)
    used = sum(_count_pages(level) for series in opened.series for level in series.levels)
    if opened.is_imagej and claimed is not None and claimed > max(used, pages):
        raise _miscount(path, claimed, pages)
    if any(_is_left_aside(opened, at) for at in range(used, pages)):
        raise _miscount(path, claimed or used, pages)


def _miscount(path: Path, claimed: int, held: int) -> UserError:
    if claimed > held:
        return UserError(
            f"{path} is incomplete: it should have {claimed} planes, but contains {held}. Copy it "
            "again, or save it again."
        )
    return UserError(
        f"{path} has metadata that do not match: they describe {claimed} planes, but it contains "
        f"{held} of another number or size. Save it again."
    )


def _count_pages(series: Any) -> int:
    """Return how many pages of the list a series takes; those of a SubIFD are not in it."""
    if series.keyframe.is_subifd:
        return 0
    here = sum(page is not None and page.parent is series.keyframe.parent for page in series.pages)
    return max(here, math.prod(series.shape) // max(int(series.keyframe.size), 1))


def _runs_into_pages(opened: Any, series: Any, pages: int) -> bool:
    """Return whether planes of one page, one behind the other, would hold other pages."""
    planes, key = _count_pages(series), series.keyframe
    if len(series.pages) > 1 or planes == 1 or pages == 1 or not key.is_final:
        return False
    start = key.dataoffsets[0]
    end = start + planes * key.nbytes
    return any(start < opened.pages[number].offset < end for number in range(pages))


def _is_left_aside(opened: Any, number: int) -> bool:
    """Return whether a page that no series takes is a plane, and no preview."""
    opened.filehandle.seek(opened.pages[number].offset)
    page = tifffile.TiffPage(opened, number)
    return not (page.is_reduced or page.is_mask) and page.shape == opened.pages.first.shape


def find_empty_images(path: Path, opened: Any) -> list[str]:
    """Find the images of an OME-TIFF of which no plane is there, though they belong into the file.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile

    Returns
    -------
    list of str
        Their names.
    """
    if not opened.is_ome or any(series.kind != "ome" for series in opened.series):
        return []
    try:
        root = ET.fromstring(opened.ome_metadata)
    except ET.ParseError:
        return []
    lost = Counter(
        image.get("Name", "") for image in root.iterfind("{*}Image") if _belongs_to(image, path)
    )
    lost.subtract(series.name for series in opened.series)
    return [name for name, count in lost.items() for _ in range(count)]


def _belongs_to(image: ET.Element, path: Path) -> bool:
    """Return whether pixels of an image shall be in a file."""
    found = image.findall("{*}Pixels/{*}TiffData")
    uuids = [data.find("{*}UUID") for data in found]
    return any(uuid is None or uuid.get("FileName", path.name) == path.name for uuid in uuids)


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
