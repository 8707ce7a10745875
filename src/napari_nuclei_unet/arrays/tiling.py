"""Overlap-tile strategy: tiles of a plane whose results join without seams."""

from __future__ import annotations

import itertools
import math
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
    pixels around it, but no further than one divisor beyond the plane, where every tiling ends
    alike. So with a halo of at least the network's receptive field the result
    does not depend on the tiling (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28).
    All tiles begin at multiples of the divisor, or max pooling would see shifted windows. Along an
    axis of no more than half a divisor, where there is one tile only, no more than one divisor is
    read: else nearly all of it would be mirror image.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels, at least 1.
    size : int
        Edge of a square core, in pixels, rounded up to the divisor. Tiles read no more pixels than
        one with such a core does; their shape is that with which all of them read fewest.
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
    down, across = (
        _Axis(extent, part, halo, divisor)
        for extent, part in zip(shape, box or full_box(shape), strict=True)
    )
    edge = _round_up(size, divisor)
    limit = (edge + 2 * _round_up(halo, divisor)) ** 2
    squares = -(-down.length // edge)
    plans = []
    for count in range(max(squares - 1, 1), squares + 2):
        rows = down.split(count)
        columns = across.split_to_fit(limit // max(_length(read) for _, read in rows))
        plans.append(
            [
                Tile((row, column), (read_rows, read_columns))
                for row, read_rows in rows
                for column, read_columns in columns
            ]
        )
    return min(filter(None, plans), key=count_read_pixels)


def count_read_pixels(tiles: Sequence[Tile]) -> int:
    """Count the pixels that tiles read, those that several read more than once."""
    return sum(math.prod(tile.read_shape) for tile in tiles)


def plan_tiles_around(
    shape: tuple[int, int], size: int, halo: int, divisor: int, known: Box
) -> list[Tile]:
    """Plan tiles as :func:`plan_tiles` does for a plane of which a box needs none.

    Parameters
    ----------
    shape, size, halo, divisor
        As in :func:`plan_tiles`.
    known : (slice, slice)
        Begins at multiples of the divisor, and ends there or with the plane.

    Returns
    -------
    list of Tile
        Of the four rectangles around the box, or of the whole plane if that reads fewer pixels.
    """
    (top, bottom), (left, right) = ((part.start, part.stop) for part in known)
    above, below, beside = slice(0, top), slice(bottom, shape[0]), slice(top, bottom)
    everywhere = slice(0, shape[1])
    boxes = [
        (above, everywhere),
        (beside, slice(0, left)),
        (beside, slice(right, shape[1])),
        (below, everywhere),
    ]
    around = [
        tile
        for box in boxes
        if all(box_shape(box))
        for tile in plan_tiles(shape, size, halo, divisor, box)
    ]
    whole = plan_tiles(shape, size, halo, divisor)
    return min(whole, around, key=count_read_pixels)


class _Axis:
    """Splits a part of an extent of the plane into cores, each with what a tile reads.

    Attributes
    ----------
    length : int
        Of what is split, in pixels.
    """

    def __init__(self, extent: int, part: slice, halo: int, divisor: int) -> None:
        self._halo, self._divisor = _round_up(halo, divisor), divisor
        self._end = _round_up(extent + divisor, divisor)
        margin = (divisor - extent) // 2
        self._only_read = slice(-margin, divisor - margin) if 2 * extent <= divisor else None
        self._part = slice(part.start // divisor * divisor, part.stop)
        self.length = self._part.stop - self._part.start

    def split(self, count: int) -> list[tuple[slice, slice]]:
        """Split into so many even pieces, or fewer; return core and input of each."""
        step = _round_up(-(-self.length // count), self._divisor)
        return [(core, self._read(core)) for core in split_extent(self._part, step)]

    def split_to_fit(self, longest: int) -> list[tuple[slice, slice]]:
        """Split into the fewest pieces that read no more than this; none if the smallest do."""
        for count in range(max(self.length // max(longest, 1), 1), self.length + 1):
            spans = self.split(count)
            if max(_length(read) for _, read in spans) <= longest:
                return spans
            if _length(spans[0][0]) <= self._divisor:
                break
        return []

    def _read(self, core: slice) -> slice:
        if self._only_read is not None:
            return self._only_read
        stop = min(self._end, _round_up(core.stop, self._divisor) + self._halo)
        return slice(max(-self._divisor, core.start - self._halo), stop)


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


def _length(part: slice) -> int:
    return int(part.stop - part.start)


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
