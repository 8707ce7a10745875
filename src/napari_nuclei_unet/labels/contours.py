"""Contours of all nuclei of a plane at once: polygons that run along the edges of pixels.

Each 4-connected piece of a nucleus is traced separately. A step goes along one edge of a pixel,
with the piece on its right in the displayed plane. Where two pixels of a piece meet at a corner
only, the line turns to the other pixel: so no line touches itself, and every polygon is valid by
OGC 06-103r4, Simple Feature Access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int32]
ContourPiece = tuple[Ring, ...]
# Directions of steps: right, down, left, up. Their offsets in column and row; and the start of a
# step relative to the first corner of the pixel whose edge it follows.
STEP_OFFSETS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
STEP_ORIGINS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.int32)


@dataclass(frozen=True, eq=False)
class Contour:
    """Contour of a nucleus.

    Attributes
    ----------
    label : int
    pieces : tuple of tuple of ndarray, shape (n, 2), int32
        For each piece its outer ring, then those of its holes. Corners are x and y in pixels; the
        first pixel covers 0 to 1, so that its centre is 0.5, 0.5. The last corner is not the first
        again. Outer rings have a positive area by the shoelace formula, holes a negative one.
    """

    label: int
    pieces: tuple[ContourPiece, ...]


def trace_contours(labels: NDArray[np.integer]) -> list[Contour]:
    """Trace the contours of all nuclei of a plane.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background.

    Returns
    -------
    list of Contour
        In the order of labels; pieces in the order of their first pixel.
    """
    # slow to import: it loads scipy.ndimage
    from skimage.measure import label

    pieces = np.pad(label(labels, background=0, connectivity=1).astype(np.int32, copy=False), 1)
    pieces_of_nucleus: dict[int, list[ContourPiece]] = {}
    for pixel, rings in _trace_pieces(pieces):
        pieces_of_nucleus.setdefault(int(labels[pixel]), []).append(rings)
    return [
        Contour(nucleus, tuple(pieces_of_nucleus[nucleus])) for nucleus in sorted(pieces_of_nucleus)
    ]


def _trace_pieces(pieces: NDArray[np.int32]) -> Iterator[tuple[tuple[int, int], ContourPiece]]:
    """Yield first pixel and rings of every piece; the numbered pieces have a margin of a pixel."""
    width = pieces.shape[1]
    pixels, directions = _find_steps(pieces.ravel(), width)
    following = _find_next_steps(
        pieces.ravel(), STEP_OFFSETS @ np.array([1, width]), pixels, directions
    )
    rows, columns = np.divmod(pixels, width)
    corners = np.stack([columns - 1, rows - 1], axis=1).astype(np.int32) + STEP_ORIGINS[directions]
    turns = np.zeros(pixels.size, np.bool_)
    turns[following] = directions[following] != directions
    paths_of_piece: dict[int, list[list[int]]] = {}
    for path in _iter_paths(following):
        paths_of_piece.setdefault(int(pieces.flat[pixels[path[0]]]), []).append(path)
    # the first step of a piece is above its first pixel, so the first path is its outer ring
    for paths in paths_of_piece.values():
        x, y = corners[paths[0][0]]
        yield (int(y), int(x)), tuple(corners[path][turns[path]] for path in paths)


def _find_steps(flat: NDArray[np.int32], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find pixel and direction of every step, sorted by both: edges between a piece and others.

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


def _find_next_steps(
    flat: NDArray[np.int32],
    ahead: NDArray[np.int64],
    pixels: NDArray[np.int64],
    directions: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find the step after each: to the left if the piece continues there, else straight on.

    Parameters
    ----------
    flat
        As in :func:`_find_steps`.
    ahead : ndarray, shape (4,), int
        Offset of the next pixel in each direction.
    pixels, directions : ndarray, shape (m,), int
    """
    straight = pixels + ahead[directions]
    left = straight + ahead[directions - 1]
    is_left, is_straight = flat[left] == flat[pixels], flat[straight] == flat[pixels]
    pixel = np.where(is_left, left, np.where(is_straight, straight, pixels))
    turn = np.where(is_left, -1, np.where(is_straight, 0, 1))
    return np.searchsorted(4 * pixels + directions, 4 * pixel + (directions + turn) % 4)


def _iter_paths(following: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the closed paths of all steps; each begins with its first step."""
    after, is_new = following.tolist(), bytearray(b"\1") * following.size
    for start in range(following.size):
        path, step = [], start
        while is_new[step]:
            is_new[step] = 0
            path.append(step)
            step = after[step]
        if path:
            yield path
