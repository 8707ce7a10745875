"""Overlap-tile strategy: tiles of a plane whose results join without seams."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .boxes import Box, box_shape, full_box, intersect_boxes, to_frame


class ArrayLike(Protocol):
    """An array that can be sliced: of numpy, dask or zarr, or a lazily opened file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the array."""


@dataclass(frozen=True, eq=False)
class MappedView:
    """A plane of which every box is read by a function.

    Attributes
    ----------
    read : callable
        Is given a box.
    shape : tuple of int
    """

    read: Callable[[Box], NDArray[Any]]
    shape: tuple[int, ...]

    def __getitem__(self, part: Box) -> NDArray[Any]:
        """Read rows and columns."""
        return self.read(part)


@dataclass(frozen=True)
class Tile:
    """One rectangle of a plane.

    Attributes
    ----------
    core : (slice, slice)
        Box of its result, inside the plane.
    read : (slice, slice)
        Input of the network; may reach beyond the plane, into its mirror image.
    """

    core: Box
    read: Box

    @property
    def core_in_read(self) -> Box:
        """Box of its result in the output of the network."""
        return to_frame(self.core, self.read)

    @property
    def read_shape(self) -> tuple[int, int]:
        """Height and width of the input of the network."""
        return box_shape(self.read)


def plan_tiles(
    shape: tuple[int, int],
    size: int,
    halo: int,
    divisor: int,
    box: Box | None = None,
) -> list[Tile]:
    """Plan tiles that cover a plane, or a box of it; their cores neither overlap nor leave gaps.

    The plane is continued by its mirror image on all sides. A tile reads its core and ``halo``
    pixels around it, but no further than two divisors beyond the plane, where every tiling ends
    alike. So with a halo of at least the network's receptive field the result
    does not depend on the tiling (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28).
    All tiles begin at multiples of the divisor, or max pooling would see shifted windows.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels, at least 1.
    size : int
        Largest edge of a core, in pixels; rounded up to the divisor.
    halo : int
        Context around a core, in pixels; rounded up to the divisor.
    divisor : int
        Heights and widths that tiles read are multiples of it.
    box : (slice, slice), optional
        Part of the plane that is needed; tiles may cover a little more.

    Returns
    -------
    list of Tile
        In reading order.
    """
    rows, columns = (
        _plan_spans(extent, part, size, halo, divisor)
        for extent, part in zip(shape, box or full_box(shape), strict=True)
    )
    return [
        Tile((row, column), (read_rows, read_columns))
        for row, read_rows in rows
        for column, read_columns in columns
    ]


def _plan_spans(
    extent: int, part: slice, size: int, halo: int, divisor: int
) -> list[tuple[slice, slice]]:
    """Return core and input of the tiles along one axis."""
    margin = 2 * divisor
    end = _round_up(extent + margin, divisor)
    first = part.start // divisor * divisor
    length = part.stop - first
    step = _round_up(-(-length // -(-length // _round_up(size, divisor))), divisor)
    spans = []
    for core in split_extent(slice(first, part.stop), step):
        read_start = max(-margin, core.start - _round_up(halo, divisor))
        spans.append((core, slice(read_start, min(end, _round_up(core.stop + halo, divisor)))))
    return spans


def split_extent(part: slice, step: int) -> list[slice]:
    """Split an extent into pieces of one length; the last may be shorter."""
    return [
        slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)
    ]


def split_box(box: Box, height: int, width: int) -> list[Box]:
    """Split a box into boxes of one shape, in reading order; the last ones may be smaller."""
    return list(itertools.product(split_extent(box[0], height), split_extent(box[1], width)))


def split_into_squares(shape: Sequence[int], edge: int) -> Iterator[Box]:
    """Split a plane evenly into boxes of about this edge, in pixels."""
    rows, columns = (
        np.linspace(0, extent, max(1, round(extent / edge)) + 1).round().astype(int).tolist()
        for extent in shape[:2]
    )
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield slice(top, bottom), slice(left, right)


def intersect_tile(tile: Tile, frame: Box) -> tuple[Box, Box]:
    """Compute where the core of a tile overlaps a frame of the plane.

    Parameters
    ----------
    tile : Tile
    frame : (slice, slice)
        Box of the plane, in pixels; the core overlaps it.

    Returns
    -------
    there : (slice, slice)
        In pixels of the frame.
    here : (slice, slice)
        In the output of the network for the tile.
    """
    common = intersect_boxes(tile.core, frame)
    return to_frame(common, frame), to_frame(common, tile.read)


def _round_up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor


def read_tile(plane: ArrayLike, tile: Tile) -> NDArray[np.generic]:
    """Read the input of the network for one tile.

    Parameters
    ----------
    plane : array-like, shape (Y, X) or (Y, X, C)
        Only sliced, and only inside its bounds.
    tile : Tile

    Returns
    -------
    ndarray, shape (*tile.read_shape) or (*tile.read_shape, C)
        Mirrored where the tile reaches beyond the plane; the edge pixel is not repeated.
    """
    rows, columns = map(_mirror_positions, tile.read, plane.shape[:2])
    top, left = rows.min(), columns.min()
    block = np.asarray(plane[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]


def _mirror_positions(part: slice, extent: int) -> NDArray[np.intp]:
    """Return the positions in the plane that a tile reads; a plane of one pixel repeats it."""
    period = max(2 * (extent - 1), 1)
    index = np.arange(part.start, part.stop) % period
    return np.where(index < extent, index, period - index)
