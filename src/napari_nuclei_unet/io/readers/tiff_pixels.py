"""The pixels of a TIFF, page by page, and the sentence for those that are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from .tiff_counts import find_missing_planes

Index = tuple[int | slice, ...]
# Most missing planes that a message names.
MAX_NAMED_PLANES = 5
# An image that lacks more planes cannot be read at all: each would be reported by itself.
MAX_MISSING_PLANES = 10_000


class TiffPixels:
    """The pixels of one level of an image in a TIFF; only what is sliced is read.

    Parameters
    ----------
    path : Path
        Named when planes are missing.
    series : tifffile.TiffPageSeries
    """

    def __init__(self, path: Path, series: Any) -> None:
        self._path, self._series = path, series
        self.shape: tuple[int, ...] = tuple(series.shape)
        self.dtype = np.dtype(series.dtype)
        self._page_ndim = _count_page_axes(self.shape, int(series.keyframe.size))
        lead = self.shape[: len(self.shape) - self._page_ndim]
        self._numbers = np.arange(math.prod(lead)).reshape(lead)
        self._missing = find_missing_planes(series)
        if len(self._missing) < len(series.pages):
            raise UserError(
                f"{path} should have {len(self._missing)} planes, but contains "
                f"{len(series.pages)}: save it again."
            )
        if self._missing.all() or self._missing.sum() > MAX_MISSING_PLANES:
            self._check(self._numbers)
        self._zarr: Any = None

    def __getitem__(self, index: Index) -> NDArray[Any]:
        at = len(self.shape) - self._page_ndim
        numbers, inside = self._numbers[tuple(index[:at])], tuple(index[at:])
        self._check(numbers)
        sizes = self.shape[at:]
        whole = all(part == slice(0, size, 1) for part, size in zip(inside, sizes, strict=True))
        if np.ndim(numbers) == 0:
            return self._read(int(numbers), inside, whole)
        parts = [self._read(int(number), inside, whole) for number in numbers.ravel()]
        if not parts:
            return np.zeros(self.shape, self.dtype)[index]
        return np.stack(parts).reshape(numbers.shape + parts[0].shape)

    def _check(self, numbers: NDArray[np.integer]) -> None:
        """Raise an error if one of these planes is missing."""
        if not self._missing[numbers].any():
            return
        lost = np.flatnonzero(self._missing)
        axes = self._series.axes[: self._numbers.ndim]
        names = [
            " ".join(
                f"{axis} {at}"
                for axis, at in zip(axes, np.unravel_index(n, self._numbers.shape), strict=True)
            )
            for n in lost[:MAX_NAMED_PLANES]
        ]
        more = f" and {len(lost) - len(names)} more" if len(lost) > len(names) else ""
        total = len(self._missing)
        if total == 1:
            raise UserError(
                f"{self._path} is incomplete or damaged: the end of its pixels is missing."
            )
        raise UserError(
            f"{self._path} should have {total} planes, but contains {total - len(lost)}. Missing "
            f"or incomplete, counted from 0: {', '.join(names)}{more}."
        )

    @cached_property
    def _mapped(self) -> NDArray[Any] | None:
        """Planes that stand behind each other, uncompressed, mapped into memory."""
        pages, key = self._series.pages, self._series.keyframe
        file = key.parent.filehandle
        contiguous = self._series.dataoffset is not None and file.is_file and not file.closed
        if not contiguous or not key.is_final or self._missing.all():
            return None
        # a missing plane ends the file
        held = int(np.argmax(self._missing)) if self._missing.any() else len(self._missing)
        shape = (held, *self.shape[len(self.shape) - self._page_ndim :])
        dtype = self.dtype.newbyteorder(key.parent.byteorder)
        return np.asarray(file.memmap_array(dtype, shape, offset=pages[0].dataoffsets[0]))

    def _read(self, number: int, inside: Index, whole: bool) -> NDArray[Any]:
        """Read a part of a page."""
        page_shape = self.shape[len(self.shape) - self._page_ndim :]
        pages = self._series.pages
        if whole and len(pages) == len(self._missing):
            page = pages[number]
            if not page.parent.filehandle.closed:  # of several files only the first is open
                return np.asarray(page.asarray()).reshape(page_shape)
        if self._mapped is not None:
            return np.array(self._mapped[number][inside])
        if self._zarr is None:
            import zarr  # takes a moment to load, and most pages are read without

            self._zarr = zarr.open(self._series.aszarr(level=0), mode="r")
        lead = tuple(int(n) for n in np.unravel_index(number, self._numbers.shape))
        return np.asarray(self._zarr[(*lead, *inside)])


def _count_page_axes(shape: Sequence[int], size: int) -> int:
    """Return how many of the last axes are those of a page."""
    for count in range(len(shape) + 1):
        if math.prod(shape[len(shape) - count :]) == size:
            return count
    raise ValueError(f"pages of {size} values do not fit the shape {tuple(shape)}")
