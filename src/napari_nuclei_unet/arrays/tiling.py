"""Overlap-tile strategy: tiles of a plane whose results join without seams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ArrayLike(Protocol):
    """An array that can be sliced: of numpy, dask or zarr, or a lazily opened file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the array."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the plane.

    Attributes
    ----------
    start, stop : int
        The core of the tile, inside the plane.
    read_start, read_stop : int
        Input of the network; may reach beyond the plane, into its mirror image.
    """

    start: int
    stop: int
    read_start: int
    read_stop: int

    @property
    def core_in_read(self) -> slice:
        """The core, relative to ``read_start``."""
        return slice(self.start - self.read_start, self.stop - self.read_start)


@dataclass(frozen=True)
class Tile:
    """One rectangle of a plane."""

    rows: Span
    columns: Span

    @property
    def core(self) -> tuple[slice, slice]:
        """Box of its result in the plane."""
        return (
            slice(self.rows.start, self.rows.stop),
            slice(self.columns.start, self.columns.stop),
        )

    @property
    def core_in_read(self) -> tuple[slice, slice]:
        """Box of its result in the output of the network."""
        return self.rows.core_in_read, self.columns.core_in_read

    @property
    def read_shape(self) -> tuple[int, int]:
        """Height and width of the input of the network."""
        return (
            self.rows.read_stop - self.rows.read_start,
            self.columns.read_stop - self.columns.read_start,
        )


def plan_tiles(
    shape: tuple[int, int],
    size: int,
    halo: int,
    divisor: int,
    box: tuple[slice, slice] | None = None,
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
    parts = box or (slice(0, shape[0]), slice(0, shape[1]))
    rows, columns = (
        list(_iter_spans(extent, part, size, halo, divisor))
        for extent, part in zip(shape, parts, strict=True)
    )
    return [Tile(row, column) for row in rows for column in columns]


def _iter_spans(extent: int, part: slice, size: int, halo: int, divisor: int) -> Iterator[Span]:
    margin = 2 * divisor
    end = _round_up(extent + margin, divisor)
    first = part.start // divisor * divisor
    length = part.stop - first
    step = _round_up(-(-length // -(-length // _round_up(size, divisor))), divisor)
    for start in range(first, part.stop, step):
        stop = min(start + step, part.stop)
        read_start = max(-margin, start - _round_up(halo, divisor))
        read_stop = min(end, _round_up(stop + halo, divisor))
        yield Span(start, stop, read_start, read_stop)


def intersect_tile(
    tile: Tile, frame: tuple[slice, slice]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
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
    there, here = [], []
    for span, part in zip((tile.rows, tile.columns), frame, strict=True):
        start, stop = max(span.start, part.start), min(span.stop, part.stop)
        there.append(slice(start - part.start, stop - part.start))
        here.append(slice(start - span.read_start, stop - span.read_start))
    return (there[0], there[1]), (here[0], here[1])


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
    rows = _mirror_positions(tile.rows, plane.shape[0])
    columns = _mirror_positions(tile.columns, plane.shape[1])
    top, left = rows.min(), columns.min()
    block = np.asarray(plane[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]


def _mirror_positions(span: Span, extent: int) -> NDArray[np.intp]:
    """Return the positions in the plane that a span reads; a plane of one pixel repeats it."""
    period = max(2 * (extent - 1), 1)
    index = np.arange(span.read_start, span.read_stop) % period
    return np.where(index < extent, index, period - index)
