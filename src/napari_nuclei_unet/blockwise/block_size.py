"""How large the blocks of a plane are: so that there is memory for them."""

from __future__ import annotations

import math
from fractions import Fraction

from ..arrays.blocks import Block, plan_blocks
from ..memory import NETWORK_BYTES, available_memory, require_memory_or_more
from ..segmentation.scale import ENLARGED_BYTES_PER_PIXEL

# How much more a block sees on every side, in pixels that the network sees: half a nucleus that
# reaches over the edge, and its neighbours, with which separating them has to do.
BLOCK_HALO = 128
# What segmenting a block takes for each of its pixels, and besides: a tile of the network, and what
# stays of the blocks before. Where it is too much, blocks are smaller, to this edge.
BLOCK_BYTES_PER_PIXEL, BLOCK_BYTES, MIN_BLOCK_SIZE = 50, 50_000_000, 1024
# What stays of the survey, and of the libraries that are loaded with the first block.
SURVEY_BYTES = 50_000_000


def plan_blocks_at_zoom(shape: tuple[int, ...], zoom: Fraction, size: int) -> list[Block]:
    """Cut a plane into blocks that begin where pixels begin at either resolution.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.
    zoom : Fraction
        At which the network sees it.
    size : int
        Edge of what a block answers for, in pixels; smaller where the plane is enlarged.
    """
    size = _resolve_size(size, zoom)
    # 64: of what networks halve, so that pooling sees the same squares in every block
    return plan_blocks(
        (shape[0], shape[1]), size, math.ceil(BLOCK_HALO / zoom), 64 * zoom.denominator
    )


def _resolve_size(size: int, zoom: Fraction) -> int:
    """Return the edge of blocks of a plane, which is smaller where it is enlarged."""
    return size if zoom <= 1 else max(int(size / zoom) // MIN_BLOCK_SIZE, 1) * MIN_BLOCK_SIZE


def fit_block_size(size: int, shape: tuple[int, ...], zoom: Fraction, processes: int = 0) -> int:
    """Return the edge of blocks for which there is memory: so many pixels, or fewer.

    Parameters
    ----------
    size : int
        Largest edge of what a block answers for.
    shape : (int, int)
        Height and width of the plane in pixels.
    zoom : Fraction
        At which the network sees it.
    processes : int, optional
        That segment blocks on this computer, beside this one; 0: this one does.

    Raises
    ------
    UserError
        If not even the smallest blocks fit, with the memory that they need.
    """

    def need() -> int:
        one = _estimate_block_bytes(size, shape, zoom)
        edge = _resolve_size(size, zoom)
        blocks = math.prod(math.ceil(extent / edge) for extent in shape[:2])
        return min(processes, blocks) * (one + NETWORK_BYTES) if processes else one

    while size > MIN_BLOCK_SIZE and need() > available_memory():
        size = max(size // 2, MIN_BLOCK_SIZE)
    edge = _resolve_size(size, zoom)
    subject = f"Blocks of {edge} x {edge} pixels"
    subject = f"{subject} in {processes} processes" if processes > 1 else subject
    require_memory_or_more(need(), f"{subject} take")
    return size


def require_survey_memory(shape: tuple[int, ...]) -> None:
    """Raise an error if a survey and the smallest blocks after it need more memory than there is.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.

    Raises
    ------
    UserError
        With the memory that they need.
    """
    need = SURVEY_BYTES + _estimate_block_bytes(MIN_BLOCK_SIZE, shape, Fraction(1))
    require_memory_or_more(need, "Segmenting the smallest blocks takes")


def _estimate_block_bytes(size: int, shape: tuple[int, ...], zoom: Fraction) -> int:
    halo = math.ceil(BLOCK_HALO / zoom)
    seen = math.prod(min(_resolve_size(size, zoom) + 2 * halo, extent) for extent in shape[:2])
    enlarged = math.ceil(ENLARGED_BYTES_PER_PIXEL * zoom**2) if zoom > 1 else 0
    return BLOCK_BYTES + (BLOCK_BYTES_PER_PIXEL + enlarged) * seen
