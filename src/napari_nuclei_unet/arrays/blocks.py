"""Blocks of planes larger than memory, split so that every nucleus is found whole and once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import Box, box_shape, expand_box, full_box
from .relabel import consecutive_ids
from .tiling import split_box


@dataclass(frozen=True)
class Block:
    """A rectangle of a plane.

    Attributes
    ----------
    core : (slice, slice)
        The block keeps nuclei centred in these pixels; the cores of all blocks cover the plane.
    read : (slice, slice)
        The core and a halo on every side, clipped to the plane.
    """

    core: Box
    read: Box

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of ``read``."""
        return box_shape(self.read)


def plan_blocks(shape: tuple[int, int], size: int, halo: int, alignment: int = 1) -> list[Block]:
    """Split a plane into blocks.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.
    size : int
        Edge of a core, in pixels.
    halo : int
        Pixels read around the core: more than a nucleus and its neighbours.
    alignment : int
        ``read`` begins at multiples of this.

    Returns
    -------
    list of Block
        In reading order.
    """
    blocks = []
    for core in split_box(full_box(shape), size, size):
        rows, columns = (
            slice(part.start // alignment * alignment, part.stop)
            for part in expand_box(core, halo, shape)
        )
        blocks.append(Block(core, (rows, columns)))
    return blocks


def find_core_labels(labels: NDArray[np.int32], block: Block) -> NDArray[np.bool_]:
    """Find the nuclei that belong to a block: those whose centre lies in its core.

    Neighbouring blocks read the same pixels of a nucleus, so exactly one of them keeps it. The
    centre is an exact integer, so that all agree.

    Parameters
    ----------
    labels : ndarray, shape of ``block.read``, int32
        0 is background, nuclei are 1..n.
    block : Block

    Returns
    -------
    ndarray, shape (n + 1,), bool
        For every label; False for the background.
    """
    rows, columns = np.nonzero(labels)
    return find_core_ids((rows, columns), labels[rows, columns], block)


def find_core_ids(
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]], ids: NDArray[np.int32], block: Block
) -> NDArray[np.bool_]:
    """Find as :func:`find_core_labels`, given rows and columns of pixels, and the id of each."""
    n = int(ids.max(initial=0))
    area = np.bincount(ids, minlength=n + 1)
    in_core = area > 0
    in_core[0] = False
    for positions, read, core in zip(pixels, block.read, block.core, strict=True):
        total = np.bincount(ids, positions, minlength=n + 1).astype(np.int64)  # exact below 2**53
        centre = read.start + total // np.maximum(area, 1)
        in_core &= (core.start <= centre) & (centre < core.stop)
    return in_core


def number_surviving_labels(found: NDArray[np.int32], window: NDArray[Any]) -> NDArray[np.int32]:
    """Assign numbers to the nuclei of a block that have a pixel where no earlier block has written.

    Parameters
    ----------
    found, window
        As in :func:`write_block_labels`.

    Returns
    -------
    ndarray, shape (n + 1,), int32
        For every label its number, 1..m, or 0.
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
        Labels, changed in place. Nuclei that an interrupted run has left of this block, or of
        later ones, are removed.
    first : int
        Id of the first of them; all lower ids are nuclei of earlier blocks.
    """
    window[window >= first] = 0
    free = (found > 0) & (window == 0)
    window[free] = found[free].astype(window.dtype) + (first - 1)
