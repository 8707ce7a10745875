"""Overlap-tile: how a plane is cut for the network so that the cuts leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ArrayLike(Protocol):
    """What can be sliced into arrays: numpy, dask, zarr, a lazily opened file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""

    def __getitem__(self, index: Any) -> Any:
        """Part of the array."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the plane.

    Attributes
    ----------
    start, stop : int
        The part that the tile answers for, inside the plane.
    read_start, read_stop : int
        What the network sees for it; may reach beyond the plane, into its mirror image.
    """

    start: int
    stop: int
    read_start: int
    read_stop: int

    @property
    def core_in_read(self) -> slice:
        """The part the tile answers for, counted from where it reads."""
        return slice(self.start - self.read_start, self.stop - self.read_start)


@dataclass(frozen=True)
class Tile:
    """One rectangle of a plane."""

    rows: Span
    columns: Span

    @property
    def core(self) -> tuple[slice, slice]:
        """Where its result belongs in the plane."""
        return (
            slice(self.rows.start, self.rows.stop),
            slice(self.columns.start, self.columns.stop),
        )

    @property
    def core_in_read(self) -> tuple[slice, slice]:
        """Where its result stands in what the network returns for it."""
        return self.rows.core_in_read, self.columns.core_in_read

    @property
    def read_shape(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
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
    """Cover a plane, or a box of it, with tiles whose kept parts neither overlap nor leave a gap.

    The plane is thought of as continued by its mirror image on all sides. A tile sees its own
    part and ``halo`` pixels around it, but no further than two divisors beyond the plane, where
    every tiling ends alike. So with a halo of at least the network's receptive field the result
    does not depend on the tiling (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28).
    All tiles begin at multiples of the divisor, or max pooling would see shifted windows.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels, at least 1.
    size : int
        Largest edge of the kept part, in pixels; rounded up to the divisor.
    halo : int
        Context around the kept part, in pixels; rounded up to the divisor.
    divisor : int
        Heights and widths of what tiles read are multiples of it.
    box : (slice, slice), optional
        Part of the plane that is needed; tiles may answer for a little more.

    Returns
    -------
    list of Tile
        In reading order.
    """
    parts = box or (slice(0, shape[0]), slice(0, shape[1]))
    rows, columns = (
        list(_spans(extent, part, size, halo, divisor))
        for extent, part in zip(shape, parts, strict=True)
    )
    return [Tile(row, column) for row in rows for column in columns]


def _spans(extent: int, part: slice, size: int, halo: int, divisor: int) -> Iterator[Span]:
    margin = 2 * divisor
    end = _up(extent + margin, divisor)
    first = part.start // divisor * divisor
    length = part.stop - first
    step = _up(-(-length // -(-length // _up(size, divisor))), divisor)
    for start in range(first, part.stop, step):
        stop = min(start + step, part.stop)
        read_start = max(-margin, start - _up(halo, divisor))
        read_stop = min(end, _up(stop + halo, divisor))
        yield Span(start, stop, read_start, read_stop)


def intersect_tile(
    tile: Tile, frame: tuple[slice, slice]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Say where the result of a tile belongs in a frame of the plane, as far as it lies in it.

    Parameters
    ----------
    tile : Tile
    frame : (slice, slice)
        Of the plane, in pixels; the tile reaches into it.

    Returns
    -------
    there : (slice, slice)
        In pixels of the frame.
    here : (slice, slice)
        In what the network returns for the tile.
    """
    there, here = [], []
    for span, part in zip((tile.rows, tile.columns), frame, strict=True):
        start, stop = max(span.start, part.start), min(span.stop, part.stop)
        there.append(slice(start - part.start, stop - part.start))
        here.append(slice(start - span.read_start, stop - span.read_start))
    return (there[0], there[1]), (here[0], here[1])


def _up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor


def read_tile(plane: ArrayLike, tile: Tile) -> NDArray[np.generic]:
    """Read what the network sees of a plane for one tile.

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
    rows = _mirrored(tile.rows, plane.shape[0])
    columns = _mirrored(tile.columns, plane.shape[1])
    top, left = rows.min(), columns.min()
    block = np.asarray(plane[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]


def _mirrored(span: Span, extent: int) -> NDArray[np.intp]:
    """Positions inside the plane that a span reads; a plane of one pixel repeats it."""
    period = max(2 * (extent - 1), 1)
    index = np.arange(span.read_start, span.read_stop) % period
    return np.where(index < extent, index, period - index)
