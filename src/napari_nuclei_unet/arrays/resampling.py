"""Lazy resampling of a plane: only what is sliced is read and resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .quantization import dequantize_unit, quantize_unit
from .tiling import ArrayLike

# Zooms are fractions with no larger denominator, so that blocks can begin where pixels of both
# resolutions begin.
MAX_ZOOM_DENOMINATOR = 16


def as_fraction(zoom: float) -> Fraction:
    """Round a zoom to a fraction of small numbers, at least 1/16."""
    if abs(zoom - 1) < 1 / (2 * MAX_ZOOM_DENOMINATOR):
        return Fraction(1)
    return max(
        Fraction(zoom).limit_denominator(MAX_ZOOM_DENOMINATOR), Fraction(1, MAX_ZOOM_DENOMINATOR)
    )


@dataclass(frozen=True, eq=False)
class ZoomedView:
    """A plane at another zoom; a pixel is the same, up to rounding, whatever is sliced.

    Parameters
    ----------
    pixels : array-like, shape (Y, X) or (Y, X, C)
        Only sliced.
    zoom : Fraction
        Pixels of this plane for one of ``pixels``, along each axis.
    """

    pixels: ArrayLike
    zoom: Fraction

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width in pixels, and the number of colours."""
        height, width, *colours = self.pixels.shape
        return math.ceil(height * self.zoom), math.ceil(width * self.zoom), *colours

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, as pixels are interpolated."""
        return np.dtype(np.float32)

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Read and resize rows and columns."""
        source, crop, shape = [], [], []
        for extent, length in zip(part, self.pixels.shape, strict=False):
            begin, end = self._source_range(extent, length)
            source.append(slice(begin, min(end, length)))
            shape.append(end - begin)
            offset = int(begin * self.zoom)
            crop.append(slice(extent.start - offset, extent.stop - offset))
        read = np.asarray(self.pixels[tuple(source)])
        missing = [
            (0, target - length_read)
            for target, length_read in zip(shape, read.shape, strict=False)
        ]
        missing += [(0, 0)] * (read.ndim - 2)
        read = np.pad(read, missing, mode="edge").astype(np.float32)
        channels = read[None] if read.ndim == 2 else np.moveaxis(read, -1, 0)
        resized = resize_channels(channels, _zoomed_shape(channels, self.zoom))[:, *crop]
        return resized[0] if read.ndim == 2 else np.ascontiguousarray(np.moveaxis(resized, 0, -1))

    def _source_range(self, part: slice, length: int) -> tuple[int, int]:
        """Return first and last pixel to read: multiples of the denominator, with a margin."""
        numerator, parts = self.zoom.numerator, self.zoom.denominator
        margin = math.ceil(2 / numerator) + 1
        first = max(part.start // numerator - margin, 0)
        last = min(math.ceil(part.stop / numerator) + margin, math.ceil(length / parts))
        return first * parts, last * parts


def resize_channels(channels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (C, Y, X) by linear interpolation, with antialiasing where it shrinks.

    Parameters
    ----------
    channels : ndarray, shape (C, Y, X), float32
    shape : (int, int)

    Returns
    -------
    ndarray, shape (C, *shape), float32
    """
    return resize_tensor(torch.from_numpy(np.ascontiguousarray(channels)), shape).numpy()


def resize_tensor(channels: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize a tensor (C, Y, X) as :func:`resize_channels` does."""
    return F.interpolate(channels[None], list(shape), mode="bilinear", antialias=True)[0]


def resize_nearest(channels: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize a tensor (C, Y, X), such as labels, to the values of the nearest pixels."""
    return F.interpolate(channels[None], list(shape), mode="nearest-exact")[0]


def interpolate_grid(values: NDArray[np.floating], size: int, mode: str = "bilinear") -> Tensor:
    """Interpolate a coarse grid (C, n, n) to (C, size, size), from corner to corner."""
    grid = torch.from_numpy(values.astype(np.float32))[None]
    return F.interpolate(grid, (size, size), mode=mode, align_corners=True)[0]


def _zoomed_shape(channels: NDArray[np.float32], zoom: Fraction) -> tuple[int, int]:
    """Return height and width at a zoom, of edges that are multiples of its denominator."""
    return int(channels.shape[1] * zoom), int(channels.shape[2] * zoom)


def resample_to_plane(
    maps: NDArray[np.uint16], zoom: Fraction, shape: tuple[int, int]
) -> NDArray[np.uint16]:
    """Resample maps of a zoomed plane, or of a part of it, to the pixels of the plane.

    One by one, as float32 takes twice the memory.

    Parameters
    ----------
    maps : ndarray, shape (C, Y, X), uint16, in steps of 1/65535
        Their edges coincide with edges of pixels of the plane.
    zoom : Fraction
        At which they were predicted.
    shape : (int, int)
        Height and width in pixels of the plane.

    Returns
    -------
    ndarray, shape (C, *shape), uint16
    """
    missing = [(0, -edge % zoom.numerator) for edge in maps.shape[1:]]
    resampled = np.empty((len(maps), *shape), np.uint16)
    for values, into in zip(maps, resampled, strict=True):
        whole = np.pad(dequantize_unit(values), missing, mode="edge")[None]
        resized = resize_channels(whole, _zoomed_shape(whole, 1 / zoom))[0]
        into[...] = quantize_unit(resized[: shape[0], : shape[1]])
    return resampled
