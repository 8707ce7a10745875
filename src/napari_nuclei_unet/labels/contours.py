"""Outlines of all nuclei of a plane at once: polygons that run along the edges of pixels.

Each piece of a nucleus, its pixels connected by their edges, is traced by itself. A step goes along
one edge of a pixel, the piece on its right as one sees the plane. Where two pixels of a piece meet
at a corner only, the line turns to the other pixel: so no line touches itself, and every polygon
is valid as of OGC 06-103r4, Simple Feature Access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int32]
ContourPiece = tuple[Ring, ...]
# Directions of steps: right, down, left, up. What they add to column and row of a pixel; and where
# a step begins, seen from the first corner of the pixel whose edge it follows.
STEP_OFFSETS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
STEP_ORIGINS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.int32)


@dataclass(frozen=True, eq=False)
class Contour:
    """Outline of a nucleus.

    Attributes
    ----------
    label : int
    pieces : tuple of tuple of ndarray, shape (n, 2), int32
        Of each piece its outer ring, then those of its holes. Corners are x and y in pixels; the
        first pixel covers 0 to 1, so that its centre is 0.5, 0.5. The last corner is not the first
        again. Outer rings have a positive area by the shoelace formula, holes a negative one.
    """

    label: int
    pieces: tuple[ContourPiece, ...]


def trace_contours(labels: NDArray[np.integer]) -> list[Contour]:
    """Trace the outlines of all nuclei of a plane.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background.

    Returns
    -------
    list of Contour
        In the order of labels; pieces in the order of their first pixel.
    """
    from skimage.measure import label  # loads scipy.ndimage, which tables can do without

    pieces = np.pad(label(labels, background=0, connectivity=1).astype(np.int32, copy=False), 1)
    found: dict[int, list[ContourPiece]] = {}
    for first, rings in _traced(pieces):
        found.setdefault(int(labels[first]), []).append(rings)
    return [Contour(nucleus, tuple(found[nucleus])) for nucleus in sorted(found)]


def _traced(pieces: NDArray[np.int32]) -> Iterator[tuple[tuple[int, int], ContourPiece]]:
    """First pixel and rings of every piece; pieces are numbered, and have a margin of one pixel."""
    width = pieces.shape[1]
    pixels, directions = _steps(pieces.ravel(), width)
    following = _following(pieces.ravel(), STEP_OFFSETS @ np.array([1, width]), pixels, directions)
    rows, columns = np.divmod(pixels, width)
    corners = np.stack([columns - 1, rows - 1], axis=1).astype(np.int32) + STEP_ORIGINS[directions]
    turns = np.zeros(pixels.size, np.bool_)
    turns[following] = directions[following] != directions
    found: dict[int, list[list[int]]] = {}
    for way in _ways(following):
        found.setdefault(int(pieces.flat[pixels[way[0]]]), []).append(way)
    # the first step of a piece is above its first pixel, so the first way is its outer ring
    for ways in found.values():
        x, y = corners[ways[0][0]]
        yield (int(y), int(x)), tuple(corners[way][turns[way]] for way in ways)


def _steps(flat: NDArray[np.int32], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixel and direction of every step, sorted by both: a pixel's edges to what is not its piece.

    Parameters
    ----------
    flat : ndarray, shape (n,), int32
        Numbers of pieces, 0 where there is none.
    width : int
        Pixels in a row.
    """
    right, below = (np.flatnonzero(flat[n:] != flat[:-n]) for n in (1, width))
    steps = np.concatenate([4 * right + 1, 4 * right + 7, 4 * below + 2, 4 * (below + width)])
    steps = np.sort(steps[flat[steps // 4] != 0])
    return steps // 4, steps % 4


def _following(
    flat: NDArray[np.int32],
    ahead: NDArray[np.int64],
    pixels: NDArray[np.int64],
    directions: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Index of the step after each: to the left if the piece goes on there, else straight on.

    Parameters
    ----------
    flat
        As in :func:`_steps`.
    ahead : ndarray, shape (4,), int
        How far away the next pixel is in each direction.
    pixels, directions : ndarray, shape (m,), int
    """
    straight = pixels + ahead[directions]
    left = straight + ahead[directions - 1]
    is_left, is_straight = flat[left] == flat[pixels], flat[straight] == flat[pixels]
    pixel = np.where(is_left, left, np.where(is_straight, straight, pixels))
    turn = np.where(is_left, -1, np.where(is_straight, 0, 1))
    return np.searchsorted(4 * pixels + directions, 4 * pixel + (directions + turn) % 4)


def _ways(following: NDArray[np.int64]) -> Iterator[list[int]]:
    """Walk along all steps, and give the closed ways; each begins with its first step."""
    after, is_new = following.tolist(), bytearray(b"\1") * following.size
    for begin in range(following.size):
        way, at = [], begin
        while is_new[at]:
            is_new[at] = 0
            way.append(at)
            at = after[at]
        if way:
            yield way
