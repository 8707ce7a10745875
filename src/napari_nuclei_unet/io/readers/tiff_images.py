"""Which of the pages of a TIFF are images: no previews, no labels of slides, no levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Names that scanners of slides give to what is no image of the specimen.
ACCESSORY_NAMES = (
    "label", "macro", "thumbnail", "overview", "preview", "map",
    "label image", "macro image", "thumbnail image", "overview image",
)  # fmt: skip
# In files of these kinds nothing but the pixels may say that a page is a level, or a preview.
UNNAMED_KINDS = ("generic", "uniform", "shaped")
# A preview is smaller by this factor at least, and of the same proportions, within so much.
MIN_PREVIEW_FACTOR, MAX_ASPECT_ERROR = 1.9, 0.05
# Correlation of a preview with the image, and the edge at which the two are compared.
MIN_PREVIEW_CORRELATION, COMPARED_EDGE = 0.8, 32
# Of larger planes it is not looked at the pixels: that would take too long.
MAX_PREVIEWED_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class TiffImage:
    """An image in a TIFF.

    Attributes
    ----------
    name : str
        As in the file; empty if it has none.
    levels : tuple of tifffile.TiffPageSeries
        From full resolution down.
    number : int
        Of the series in the file.
    """

    name: str
    levels: tuple[Any, ...]
    number: int


def find_tiff_images(opened: Any) -> list[TiffImage]:
    """Find the images of a file, in their order.

    Parameters
    ----------
    opened : tifffile.TiffFile

    Returns
    -------
    list of TiffImage
        Of an OME-TIFF in several files those of which a plane lies in this one.
    """
    images = []
    for number, series in enumerate(opened.series):
        levels, others = _split_levels(series)
        named = series.name if series.kind in ("ome", "shaped") else ""
        images.append(TiffImage(named, levels, number))
        images += [TiffImage("", (other,), number) for other in others]
    here = [image for image in images if _lies_in(image.levels[0], opened)]
    wanted = [image for image in here or images if not _is_accessory(image.levels[0])]
    wanted = [image for image in wanted if not _is_preview(image, wanted)]
    return wanted or here or images


def _split_levels(series: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """Return the levels of a series, and what only looks like one."""
    full, *lower = series.levels
    others = [
        level
        for level in lower
        if series.kind in UNNAMED_KINDS
        and not (level.keyframe.is_reduced or level.keyframe.is_subifd)
        and not _shows_same(level, full)
    ]
    return tuple(level for level in series.levels if level not in others), others


def _lies_in(series: Any, opened: Any) -> bool:
    return any(page is not None and page.parent is opened for page in series.pages)


def _is_accessory(series: Any) -> bool:
    key = series.keyframe
    if key.is_reduced or key.is_mask or key.is_subifd:
        return True
    return series.kind not in UNNAMED_KINDS and series.name.strip().lower() in ACCESSORY_NAMES


def _is_preview(image: TiffImage, others: list[TiffImage]) -> bool:
    """Return whether another image, larger, shows the same; nothing but the pixels says so."""
    series = image.levels[0]
    if series.kind not in UNNAMED_KINDS or series.keyframe.size != math.prod(series.shape):
        return False
    return any(
        other.levels[0].kind in UNNAMED_KINDS and _shows_same(series, other.levels[0])
        for other in others
        if other is not image
    )


def _shows_same(small: Any, large: Any) -> bool:
    """Return whether a page is another one in small."""
    a, b = small.keyframe, large.keyframe
    tall, wide = b.imagelength / a.imagelength, b.imagewidth / a.imagewidth
    if min(tall, wide) < MIN_PREVIEW_FACTOR or abs(tall / wide - 1) > MAX_ASPECT_ERROR:
        return False
    if b.imagelength * b.imagewidth > MAX_PREVIEWED_PIXELS:
        return True
    small_grey, large_grey = _read_grey(a), _read_grey(b)
    size = small_grey.shape
    coarse = (min(COMPARED_EDGE, size[0]), min(COMPARED_EDGE, size[1]))
    rows, columns = ((np.arange(n) * m // n) for n, m in zip(size, large_grey.shape, strict=True))
    return (
        _correlate(small_grey, large_grey[np.ix_(rows, columns)])  # every so many pixels
        or _correlate(small_grey, _average(large_grey, size))
        or _correlate(_average(small_grey, coarse), _average(large_grey, coarse))
    )


def _read_grey(page: Any) -> NDArray[np.float64]:
    """Read a page, with the mean of its colours."""
    pixels = np.asarray(page.asarray(), np.float64).reshape(page.shaped)
    return np.asarray(pixels.mean(axis=(0, 1, 4)))


def _average(pixels: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the means over the fields of a grid of this size."""
    for axis, fields in enumerate(size):
        starts = np.arange(fields) * pixels.shape[axis] // fields
        lengths = np.diff([*starts, pixels.shape[axis]])
        sums = np.add.reduceat(pixels, starts, axis=axis)
        pixels = sums / lengths.reshape([-1, 1] if axis == 0 else [1, -1])
    return pixels


def _correlate(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Return whether two arrays show the same."""
    if not first.std() or not second.std():
        return first.std() == second.std()
    return bool(np.corrcoef(first.ravel(), second.ravel())[0, 1] > MIN_PREVIEW_CORRELATION)
