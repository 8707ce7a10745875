"""Checksums that detect changed pixels."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_crc32(pixels: NDArray[Any]) -> int:
    """Compute the checksum of an array, at gigabytes per second."""
    return zlib.crc32(np.ascontiguousarray(pixels).view(np.uint8).data) if pixels.size else 0
