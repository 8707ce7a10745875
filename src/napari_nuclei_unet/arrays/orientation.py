"""The eight orientations of a plane: rotated by quarters of a turn, and mirrored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import Box
from .tiling import ArrayLike, MappedView


@dataclass(frozen=True)
class Orientation:
    """One way to turn a plane.

    Attributes
    ----------
    is_transposed : bool
        Whether rows become columns, first of all.
    mirrored : (bool, bool)
        Whether what is then the order of rows, or of columns, is reversed.
    """

    is_transposed: bool
    mirrored: tuple[bool, bool]

    def turn(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a plane, shape (Y, X) or (Y, X, C), in this orientation."""
        return self._mirror(np.swapaxes(plane, 0, 1) if self.is_transposed else plane)

    def turn_back(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a view that undoes :meth:`turn`."""
        straight = self._mirror(plane)
        return np.swapaxes(straight, 0, 1) if self.is_transposed else straight

    def turn_box(self, box: Box, shape: Sequence[int]) -> Box:
        """Return where a box of a plane of that shape is in this orientation."""
        rows, columns = box
        height, width = shape[:2]
        if self.is_transposed:
            return self._mirror_box((columns, rows), (width, height))
        return self._mirror_box((rows, columns), (height, width))

    def view(self, pixels: ArrayLike) -> MappedView:
        """Return a plane in this orientation, which is turned when it is sliced."""
        height, width, *colours = pixels.shape
        shape = (width, height) if self.is_transposed else (height, width)

        def read(box: Box) -> NDArray[Any]:
            rows, columns = self._mirror_box(box, shape)
            source = (columns, rows) if self.is_transposed else (rows, columns)
            return self.turn(np.asarray(pixels[source]))

        return MappedView(read, (*shape, *colours))

    def _mirror(self, plane: NDArray[Any]) -> NDArray[Any]:
        return np.flip(plane, tuple(axis for axis in (0, 1) if self.mirrored[axis]))

    def _mirror_box(self, box: Box, shape: Sequence[int]) -> Box:
        rows, columns = (
            slice(extent - part.stop, extent - part.start) if mirrored else part
            for part, extent, mirrored in zip(box, shape, self.mirrored, strict=True)
        )
        return rows, columns


# The first is the plane as it is.
ORIENTATIONS = tuple(
    Orientation(is_transposed, (upside_down, reversed_))
    for is_transposed, upside_down, reversed_ in itertools.product((False, True), repeat=3)
)
