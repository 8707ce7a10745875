"""Cells, which are nuclei grown by a distance, and rings; block by block in a few threads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box, expand_box, full_box, to_frame
from ..arrays.tiling import split_box
from ..errors import UserError
from .threads import map_in_threads

# Edge of a block in pixels: what it needs stays in the cache.
BLOCK_EDGE = 512


def expand_nuclei(
    labels: NDArray[np.integer], distance: float, spacing: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.integer]:
    """Expand nuclei up to a distance, and halfway to their neighbours.

    The same pixels as of ``skimage.segmentation.expand_labels``, which takes the plane as a whole:
    nothing farther than the distance decides about a pixel.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background.
    distance : float
        From the edge of a nucleus, in units of the spacing.
    spacing : (float, float), optional
        Size of a pixel along Y and X.

    Returns
    -------
    ndarray, shape (Y, X), integer
        The ids of nuclei in their cells, which end at the edge of the plane.

    Raises
    ------
    UserError
        If the distance is negative or no number.
    """
    return _expand_blockwise(labels, _Expansion(distance, spacing, keeps_nuclei=True))


def find_rings(
    labels: NDArray[np.integer], distance: float, spacing: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.integer]:
    """Find the ring around each nucleus: its cell without itself.

    Parameters
    ----------
    labels, distance, spacing
        As in :func:`expand_nuclei`.

    Returns
    -------
    ndarray, shape (Y, X), integer
        The ids of nuclei in their rings; 0 elsewhere, and in the nuclei. A nucleus that is closely
        surrounded has none.

    Raises
    ------
    UserError
        As from :func:`expand_nuclei`.
    """
    return _expand_blockwise(labels, _Expansion(distance, spacing, keeps_nuclei=False))


@dataclass(frozen=True)
class _Expansion:
    distance: float
    spacing: tuple[float, float]
    keeps_nuclei: bool

    def apply(self, part: NDArray[np.integer], core: Box) -> NDArray[np.integer]:
        """Return the cells or rings in the core of a part that has nuclei."""
        # libraries are imported when they are needed: who only writes a table waits for none
        from scipy.ndimage import distance_transform_edt

        rows, columns = distance_transform_edt(
            part == 0, sampling=self.spacing, return_distances=False, return_indices=True
        )[:, *core]
        down = (rows - np.arange(core[0].start, core[0].stop)[:, None]) * self.spacing[0]
        right = (columns - np.arange(core[1].start, core[1].stop)) * self.spacing[1]
        distance = np.sqrt(down * down + right * right)
        is_inside = distance <= self.distance
        if not self.keeps_nuclei:
            is_inside &= part[core] == 0
        return np.where(is_inside, part[rows, columns], 0)


def _expand_blockwise(labels: NDArray[np.integer], expansion: _Expansion) -> NDArray[np.integer]:
    if not expansion.distance >= 0:
        raise UserError(f"Rings and cells need a distance of 0 or more, not {expansion.distance}.")
    expanded = np.zeros_like(labels)
    # a distance past the plane is as good as infinite
    pixels = min(expansion.distance / min(expansion.spacing), max(labels.shape))
    halo = math.ceil(pixels) + 1
    edge = max(BLOCK_EDGE, 2 * halo)

    def expand(core: Box) -> None:
        read = expand_box(core, halo, labels.shape)
        if (part := labels[read]).any():
            expanded[core] = expansion.apply(part, to_frame(core, read))

    map_in_threads(expand, split_box(full_box(labels.shape), edge, edge))
    return expanded
