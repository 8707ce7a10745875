"""Labels of many planes in memory, compressed, as they are mostly background."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class PackedLabels:
    """Keeps labels of planes, or volumes, of one shape by their numbers.

    Parameters
    ----------
    shape : sequence of int
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._packed: dict[int, bytes] = {}

    def put(self, number: int, labels: NDArray[np.integer]) -> None:
        """Keep labels; those that are background only take no memory."""
        self._packed.pop(number, None)
        if labels.any():
            self._packed[number] = zlib.compress(labels.astype(np.int32, copy=False).tobytes(), 1)

    def read(self, number: int) -> NDArray[np.int32]:
        """Return labels, read-only; background, if none were put there."""
        if number not in self._packed:
            return np.broadcast_to(np.int32(0), self._shape)
        return np.frombuffer(zlib.decompress(self._packed[number]), np.int32).reshape(self._shape)
