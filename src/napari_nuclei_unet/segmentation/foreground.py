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
# A square is empty where they differ by no more than this, as the network sees them, in no colour:
# it finds nothing that differs from its ground by less than 0.02.
MAX_EMPTY_CONTRAST = 0.01


def pool_means(part: NDArray[np.generic]) -> NDArray[np.floating]:
    """Compute means of ``POOL_EDGE`` x ``POOL_EDGE`` pixels by colour; the edge is repeated.

    Parameters
    ----------
    part : ndarray, shape (Y, X) or (Y, X, C)
        NaN counts as 0.

    Returns
    -------
    ndarray, shape (Y / 4, X / 4, C), floating
    """
    # as in Plane.normalized: large numbers need more digits
    exact = np.dtype(np.float32 if part.dtype.itemsize <= 2 else np.float64)
    values = np.atleast_3d(part).astype(exact)
    if part.dtype.kind == "f":
        np.nan_to_num(values, copy=False)
    missing = [*((0, -edge % POOL_EDGE) for edge in values.shape[:2]), (0, 0)]
    whole = np.pad(values, missing, mode="edge") if any(map(sum, missing)) else values
    height, width = (edge // POOL_EDGE for edge in whole.shape[:2])
    pooled = whole.reshape(height, POOL_EDGE, width, POOL_EDGE, -1).mean(axis=(1, 3))
    return np.asarray(pooled)


def find_foreground(
    lowest: NDArray[np.floating], highest: NDArray[np.floating], plane: Plane
) -> NDArray[np.bool_]:
    """Find squares that are not empty, in a plane in memory as block by block.

    Parameters
    ----------
    lowest, highest : ndarray, shape (..., C), floating
        Of the means of each square, colour by colour; what is not finite is not known.
    plane : Plane
        Has black, white and gamma.

    Returns
    -------
    ndarray, shape (...), bool
        True of what is not known, too.
    """
    ends = np.stack([lowest, highest]).astype(np.float64)
    seen = plane.normalized(ends)
    differs = seen[1] - seen[0] > MAX_EMPTY_CONTRAST
    return np.asarray((differs | ~np.isfinite(ends).all(axis=0)).any(axis=-1))


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
            means = pool_means(np.asarray(self._plane.pixels[box]))
            ends = means.min(axis=(0, 1)), means.max(axis=(0, 1))
            self._is_full[row, column] = bool(find_foreground(*ends, self._plane))
        return self._is_full[row, column]
