"""Checksums that detect changed pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError

# Arrays of more bytes, or in files, are identified by squares of this edge, at so many places
# along each of their axes.
MAX_CHECKED_BYTES = 500_000_000
SQUARE_EDGE, SQUARES_PER_AXIS = 64, 3


def array_crc32(pixels: NDArray[Any]) -> int:
    """Compute the checksum of an array, at gigabytes per second."""
    return zlib.crc32(np.ascontiguousarray(pixels).view(np.uint8).data) if pixels.size else 0


@dataclass(frozen=True)
class PixelChecksum:
    """Checksum of the pixels of a layer.

    Attributes
    ----------
    crc : int or None
        None: they cannot be read.
    is_sampled : bool
        Whether it is that of some squares of the first and the last plane only.
    """

    crc: int | None
    is_sampled: bool = False


def compute_pixel_checksum(
    pixels: Any, plane_axes: tuple[int, int], is_sampled: bool | None = None
) -> PixelChecksum:
    """Compute the checksum of an array of any kind, quickly.

    Parameters
    ----------
    pixels : array-like
        Only sliced.
    plane_axes : (int, int)
        Axes of its planes.
    is_sampled : bool, optional
        Whether only squares are read; by default of arrays that are in files, or large.
    """
    in_memory = isinstance(pixels, np.ndarray) and not isinstance(pixels, np.memmap)
    if is_sampled is None:
        is_sampled = not in_memory or pixels.nbytes > MAX_CHECKED_BYTES
    try:
        if not is_sampled:
            return PixelChecksum(array_crc32(np.asarray(pixels)))
        return PixelChecksum(_sample_crc32(pixels, plane_axes), True)
    except (UserError, OSError, ValueError, MemoryError):
        return PixelChecksum(None, is_sampled)


def _sample_crc32(pixels: Any, plane_axes: tuple[int, int]) -> int:
    shape, checksum = pixels.shape, 0
    for end in (0, -1):
        lead = [length - 1 if end else 0 for length in shape[: plane_axes[0]]]
        for top in _starts(shape[plane_axes[0]]):
            for left in _starts(shape[plane_axes[1]]):
                square = (slice(top, top + SQUARE_EDGE), slice(left, left + SQUARE_EDGE))
                part = np.ascontiguousarray(pixels[(*lead, *square)])
                checksum = zlib.crc32(part.tobytes(), checksum)
    return checksum


def _starts(length: int) -> list[int]:
    free = max(length - SQUARE_EDGE, 0)
    return sorted({free * number // (SQUARES_PER_AXIS - 1) for number in range(SQUARES_PER_AXIS)})
