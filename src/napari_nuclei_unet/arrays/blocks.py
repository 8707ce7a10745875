"""How a plane that does not fit into memory is cut, so that every nucleus is found whole, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box, expand_box
from napari_nuclei_unet.arrays.relabel import consecutive_ids

# Planes of more pixels are segmented block by block.
LARGE = 64_000_000


@dataclass(frozen=True)
class Block:
    """A rectangle of a plane.

    Attributes
    ----------
    core : (slice, slice)
        Pixels of the plane whose nuclei it answers for; those of all blocks are the plane.
    read : (slice, slice)
        What it looks at: more on every side, as far as the plane goes.
    """

    core: Box
    read: Box

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what is seen."""
        rows, columns = self.read
        return rows.stop - rows.start, columns.stop - columns.start


def plan_blocks(shape: tuple[int, int], size: int, halo: int, alignment: int = 1) -> list[Block]:
    """Cut a plane into blocks.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.
    size : int
        Edge of what a block answers for, in pixels.
    halo : int
        How much more it sees on every side: more than a nucleus and its neighbours.
    alignment : int
        What is seen begins at a multiple of this.

    Returns
    -------
    list of Block
        In reading order.
    """
    blocks = []
    for top in range(0, shape[0], size):
        for left in range(0, shape[1], size):
            own = (
                slice(top, min(top + size, shape[0])),
                slice(left, min(left + size, shape[1])),
            )
            rows, columns = expand_box(own, halo, shape)
            seen = (
                slice(rows.start // alignment * alignment, rows.stop),
                slice(columns.start // alignment * alignment, columns.stop),
            )
            blocks.append(Block(own, seen))
    return blocks


def find_core_labels(labels: NDArray[np.int32], block: Block) -> NDArray[np.bool_]:
    """Say which nuclei of what a block sees are its own: those whose centre lies in its part.

    Neighbours see the same nucleus with the same pixels, so exactly one of them takes it. The
    centre is that of whole pixels, which no rounding moves.

    Parameters
    ----------
    labels : ndarray, shape of ``block.seen``, int32
        0 is background, nuclei are 1..n.
    block : Block

    Returns
    -------
    ndarray, shape (n + 1,), bool
        For every label; False for the background.
    """
    n = int(labels.max(initial=0))
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    area = np.bincount(ids, minlength=n + 1)
    mine = area > 0
    mine[0] = False
    for places, seen, own in zip((rows, columns), block.read, block.core, strict=True):
        total = np.bincount(ids, places, minlength=n + 1).astype(np.int64)  # exact below 2**53
        centre = seen.start + total // np.maximum(area, 1)
        mine &= (own.start <= centre) & (centre < own.stop)
    return mine


def number_surviving_labels(found: NDArray[np.int32], window: NDArray[Any]) -> NDArray[np.int32]:
    """Give numbers to the nuclei of a block that have a pixel where no earlier block has written.

    Parameters
    ----------
    found, window
        As in :func:`write_block_labels`.

    Returns
    -------
    ndarray, shape (n + 1,), int32
        For every label its number, 1..m; 0 for those that have none.
    """
    alive = np.bincount(found[window == 0], minlength=int(found.max(initial=0)) + 1) > 0
    alive[0] = False
    return consecutive_ids(alive)


def write_block_labels(found: NDArray[np.int32], window: NDArray[Any], first: int) -> None:
    """Write nuclei of a block into labels, where no earlier block has written.

    Parameters
    ----------
    found : ndarray, shape (Y, X), int32
        Nuclei of one block, 1..n; 0 elsewhere.
    window : ndarray, shape (Y, X), integer
        Labels; is changed in place. What a run that was broken off has left of this block, or of
        later ones, is removed.
    first : int
        Id of the first of them; all ids below stand for nuclei of earlier blocks.
    """
    window[window >= first] = 0
    free = (found > 0) & (window == 0)
    window[free] = found[free].astype(window.dtype) + (first - 1)
