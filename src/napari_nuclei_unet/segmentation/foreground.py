"""Where in a plane there may be nuclei: squares in which brightness hardly varies are empty."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box, expand_box, scale_box
from .normalization import Plane

# Edge, in pixels, of the squares that may be empty.
CELL_EDGE = 256
CELLS_PER_PIXEL = (Fraction(1, CELL_EDGE),) * 2
# Means of so many pixels squared are compared, so that noise of single pixels plays no part.
POOL_EDGE = 4
# A square is empty where they differ by no more than this part of the range from black to white.
MAX_EMPTY_CONTRAST = 0.05
# In memory they are compared as the network sees them, colour by colour: it finds none that differ
# from their ground by less than 0.02.
MAX_EMPTY_SEEN_CONTRAST = 0.01


def max_empty_contrast(gamma: float) -> float:
    """Return how much of the range means may differ in an empty square.

    A gamma below 1 raises contrast, most of all near black.
    """
    return float(MAX_EMPTY_CONTRAST ** max(1.0, 1 / gamma))


def pool_means(part: NDArray[np.generic]) -> NDArray[np.floating]:
    """Compute means of ``POOL_EDGE`` x ``POOL_EDGE`` pixels; the edge is repeated.

    Parameters
    ----------
    part : ndarray, shape (Y, X) or (Y, X, C)
        NaN counts as 0.

    Returns
    -------
    ndarray, shape (Y / 4, X / 4), floating
    """
    # as in Plane.normalized: large numbers need more digits
    exact = np.dtype(np.float32 if part.dtype.itemsize <= 2 else np.float64)
    grey = part if part.ndim == 2 else part.mean(axis=2, dtype=exact)
    strip = np.nan_to_num(grey.astype(exact))
    missing = [(0, -edge % POOL_EDGE) for edge in strip.shape]
    whole = np.pad(strip, missing, mode="edge") if any(map(sum, missing)) else strip
    height, width = (edge // POOL_EDGE for edge in whole.shape)
    pooled = whole.reshape(height, POOL_EDGE, width, POOL_EDGE).mean(axis=(1, 3))
    return np.asarray(pooled)


class ForegroundCells:
    """Finds the squares of a plane in memory that are not empty, when they are asked for.

    Parameters
    ----------
    plane : Plane
    """

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._shape = tuple(-(-extent // CELL_EDGE) for extent in plane.shape)
        self._is_full: dict[tuple[int, int], bool] = {}

    def has_foreground(self, box: Box) -> bool:
        """Return whether there may be nuclei in a box of the plane.

        Squares beside it count, too, as nuclei reach over edges. Of a plane full of nuclei only
        one square is looked at for each box.
        """
        cells = expand_box(scale_box(box, CELLS_PER_PIXEL), 1, self._shape)
        rows, columns = (range(part.start, part.stop) for part in cells)
        return any(self._has_contrast(row, column) for row in rows for column in columns)

    def _has_contrast(self, row: int, column: int) -> bool:
        if (row, column) not in self._is_full:
            box = tuple(slice(n * CELL_EDGE, (n + 1) * CELL_EDGE) for n in (row, column))
            seen = np.atleast_3d(self._plane.normalized(np.asarray(self._plane.pixels[box])))
            self._is_full[row, column] = any(
                np.ptp(pool_means(seen[..., colour])) > MAX_EMPTY_SEEN_CONTRAST
                for colour in range(seen.shape[2])
            )
        return self._is_full[row, column]
