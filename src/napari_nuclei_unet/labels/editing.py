"""Edits of one plane of labels by a point or a stroke: which pixels get which ids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line

from ..arrays.boxes import bounding_box, expand_box, to_frame
from ..errors import UserError

# Strokes are extended by this many pixels at both ends: they are often drawn just too short.
STROKE_EXTENSION = 3
# Smallest area of a piece, in pixels.
MIN_PIECE_PIXELS = 5
# A nucleus is added where the probability is at least this, down to half of its peak.
MIN_PEAK_PROBABILITY = 0.05
# Largest distance of the peak from the click, in pixels.
MAX_SNAP_DISTANCE = 3
# Largest distance of the pixels of an added nucleus from the click, in typical diameters.
MAX_GROWN_DIAMETERS = 1.5

POINT_ON_BACKGROUND = "There is no nucleus: point at one."
STROKE_OVER_ONE_NUCLEUS = "The stroke runs over one nucleus only: draw it across two or more."
STROKE_OVER_BACKGROUND = "The stroke runs over no nucleus: draw it over some."
STROKE_SPLITS_NOTHING = "The stroke does not cut through a nucleus: begin and end it outside."
POINT_ON_NUCLEUS = "There is a nucleus already: point beside it, or split it."
NO_PREDICTION_AT_POINT = "The network sees nothing there: paint the nucleus, with M for a new id."


@dataclass(frozen=True, eq=False)
class LabelEdit:
    """Pixels of a plane that get new ids.

    Attributes
    ----------
    rows, columns : ndarray, shape (n,), int
    values : ndarray, shape (n,), integer
    ids : tuple of int
        Nuclei that the edit changes or adds.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.integer]
    ids: tuple[int, ...] = ()

    @property
    def indices(self) -> tuple[NDArray[np.intp], ...]:
        """Rows and columns."""
        return self.rows, self.columns


def remove_label(labels: NDArray[np.integer], nucleus: int) -> LabelEdit:
    """Remove a nucleus by its id."""
    rows, columns = np.nonzero(labels == nucleus)
    return LabelEdit(rows, columns, np.zeros(rows.size, labels.dtype))


def label_at(labels: NDArray[np.integer], point: NDArray[np.floating]) -> int:
    """Return the id of the nucleus at a point.

    Raises
    ------
    UserError
        If there is none.
    """
    row, column = np.round(point).astype(int)
    inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
    if not inside or not labels[row, column]:
        raise UserError(POINT_ON_BACKGROUND)
    return int(labels[row, column])


def merge_labels(labels: NDArray[np.integer], stroke: NDArray[np.floating]) -> LabelEdit:
    """Merge all nuclei that a stroke runs over.

    The largest keeps its id. Background between them is filled along the stroke, so that the
    nucleus is in one piece.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
    stroke : ndarray, shape (n, 2), floating
        Rows and columns of its points, in pixels.

    Returns
    -------
    LabelEdit

    Raises
    ------
    UserError
        If there are fewer than two nuclei under it.
    """
    (rows, columns), ids = find_under_stroke(labels, stroke)
    if ids.size < 2:
        raise UserError(STROKE_OVER_ONE_NUCLEUS)
    under = labels[rows, columns]
    members = np.isin(labels, ids)
    area = np.bincount(np.searchsorted(ids, labels[members]))
    largest = ids[area.argmax()]
    first, *_, last = np.flatnonzero(under)
    bridge = np.zeros(labels.shape, bool)
    between = np.flatnonzero(under == 0)
    between = between[(between > first) & (between < last)]
    bridge[rows[between], columns[between]] = True
    bridge = ndimage.binary_dilation(bridge, np.ones((3, 3))) & (labels == 0)
    changed = (members & (labels != largest)) | bridge
    rows, columns = np.nonzero(changed)
    return LabelEdit(rows, columns, np.full(rows.size, largest, labels.dtype), (int(largest),))


def split_labels(labels: NDArray[np.integer], stroke: NDArray[np.floating], free: int) -> LabelEdit:
    """Split every nucleus that a stroke runs through.

    The largest part keeps the id; pixels under the stroke go to the part that is nearest.

    Parameters
    ----------
    labels, stroke
        As in :func:`merge_labels`.
    free : int
        Lowest free id; all higher ones are free, too.

    Returns
    -------
    LabelEdit

    Raises
    ------
    UserError
        If it cuts none.
    """
    pixels, ids = find_under_stroke(labels, extend_stroke(stroke))
    stroke_mask = np.zeros(labels.shape, bool)
    stroke_mask[pixels] = True
    edits: list[LabelEdit] = []
    for nucleus in ids.tolist():
        edit = _split_label(labels, stroke_mask, nucleus, free)
        if edit.ids:
            edits.append(edit)
            free += len(edit.ids) - 1
    if not edits:
        raise UserError(STROKE_SPLITS_NOTHING)
    return LabelEdit(
        np.concatenate([edit.rows for edit in edits]),
        np.concatenate([edit.columns for edit in edits]),
        np.concatenate([edit.values for edit in edits]),
        tuple(nucleus for edit in edits for nucleus in edit.ids),
    )


def _split_label(
    labels: NDArray[np.integer], stroke_mask: NDArray[np.bool_], nucleus: int, free: int
) -> LabelEdit:
    """Split one nucleus; the edit is empty if it stays whole."""
    inside = labels == nucleus
    box = bounding_box(inside)
    mask = inside[box]
    before = ndimage.label(mask)[1]
    parts, count = ndimage.label(mask & ~stroke_mask[box])
    area = np.bincount(parts.ravel())[1:]
    large = np.flatnonzero(area >= MIN_PIECE_PIXELS) + 1
    if large.size <= before:
        none = np.zeros(0, np.intp)
        return LabelEdit(none, none, np.zeros(0, labels.dtype))
    large = large[np.argsort(-area[large - 1], kind="stable")]
    ids = np.zeros(count + 1, labels.dtype)
    ids[large] = [nucleus, *range(free, free + large.size - 1)]
    seeds = ids[parts]
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    values = seeds[tuple(nearest)]
    changed = mask & (values != nucleus)
    rows, columns = np.nonzero(changed)
    return LabelEdit(
        rows + box[0].start, columns + box[1].start, values[changed], tuple(ids[large].tolist())
    )


def grow_label(
    labels: NDArray[np.integer],
    probability: NDArray[np.floating],
    point: NDArray[np.floating],
    diameter: float,
    free: int,
) -> LabelEdit:
    """Add a nucleus at a point where the prediction is weak.

    It is the connected background around the point, within a circle, in which the probability is
    at least half of its peak there; holes are filled.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
    probability : ndarray, shape (Y, X), floating, values 0 to 1
    point : ndarray, shape (2,), floating
        Row and column, in pixels.
    diameter : float
        Of a typical nucleus, in pixels.
    free : int
        Id of the new nucleus.

    Returns
    -------
    LabelEdit

    Raises
    ------
    UserError
        If the point is outside or on a nucleus, or nothing is predicted there.
    """
    row, column = np.round(point).astype(int)
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        raise UserError(NO_PREDICTION_AT_POINT)
    if labels[row, column]:
        raise UserError(POINT_ON_NUCLEUS)
    reach = max(int(MAX_GROWN_DIAMETERS * diameter), MAX_SNAP_DISTANCE + 1)
    point_box = slice(row, row + 1), slice(column, column + 1)
    box = expand_box(point_box, reach, labels.shape)
    top, left = (part.start for part in box)
    snap_box = to_frame(expand_box(point_box, MAX_SNAP_DISTANCE, labels.shape), box)
    row, column = row - top, column - left
    free_here = labels[box] == 0
    masked = np.where(free_here, probability[box], 0)
    peak = float(masked[snap_box].max(initial=0))
    if peak < MIN_PEAK_PROBABILITY:
        raise UserError(NO_PREDICTION_AT_POINT)
    y, x = np.ogrid[: masked.shape[0], : masked.shape[1]]
    likely = (masked >= peak / 2) & ((y - row) ** 2 + (x - column) ** 2 <= reach**2)
    parts, _ = ndimage.label(likely)
    part = parts[_find_nearest(parts, row, column)]
    mask = ndimage.binary_fill_holes(parts == part) & free_here
    if not part or mask.sum() < MIN_PIECE_PIXELS:
        raise UserError(NO_PREDICTION_AT_POINT)
    rows, columns = np.nonzero(mask)
    values = np.full(rows.size, free, labels.dtype)
    return LabelEdit(rows + top, columns + left, values, (free,))


def _find_nearest(parts: NDArray[np.integer], row: int, column: int) -> tuple[int, int]:
    """Find the pixel of any part that is nearest to a position, if it is near."""
    rows, columns = np.nonzero(parts)
    distance = (rows - row) ** 2 + (columns - column) ** 2
    if not distance.size or distance.min() > 2 * MAX_SNAP_DISTANCE**2:
        return row, column
    best = distance.argmin()
    return int(rows[best]), int(columns[best])


def extend_stroke(
    stroke: NDArray[np.floating], length: float = STROKE_EXTENSION, steadiness: float = 0
) -> NDArray[np.floating]:
    """Extend a stroke at both ends, in its direction there.

    Parameters
    ----------
    stroke : ndarray, shape (n, 2), floating
    length : float, optional
        In pixels.
    steadiness : float, optional
        Length of the end that has the direction, in pixels: the last two points of a mouse are
        often one pixel apart, and in one of eight directions.
    """
    stroke = np.array(stroke, np.float64)
    apart = np.linalg.norm(np.diff(stroke, axis=0), axis=1) > 0
    stroke = stroke[np.concatenate([[True], apart])]
    if len(stroke) < 2:
        return stroke
    ends = [
        way[0] + length * (way[0] - before) / np.linalg.norm(way[0] - before)
        for way in (stroke, stroke[::-1])
        for before in [_find_point_before(way, steadiness)]
    ]
    return np.vstack([ends[0], stroke, ends[1]])


def _find_point_before(way: NDArray[np.floating], distance: float) -> NDArray[np.floating]:
    """Find the first point at a distance from the start of a way; the farthest, if none is."""
    apart = np.linalg.norm(way[1:] - way[0], axis=1)
    far = np.flatnonzero((apart >= distance) & (apart > 0))
    return np.asarray(way[1 + (far[0] if far.size else apart.argmax())])


def find_under_stroke(
    labels: NDArray[np.integer], stroke: NDArray[np.floating]
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.integer]]:
    """Find the pixels under a stroke, in its order, and the ids of one or more nuclei there."""
    pixels = stroke_pixels(stroke, labels.shape)
    ids = np.unique(labels[pixels])
    if not ids.any():
        raise UserError(STROKE_OVER_BACKGROUND)
    return pixels, ids[ids > 0]


def stroke_pixels(
    stroke: NDArray[np.floating], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels of the plane under a stroke, in its order.

    Of strokes that leave the plane farther than it is large, only what is near is drawn: with a
    tiny scale they have more pixels than fit into memory.
    """
    points = np.round(np.asarray(stroke, np.float64))
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 1:
        points = np.vstack([points, points])
    extent = np.array(shape[:2])
    pieces = [np.zeros((2, 0), np.intp)]
    for start, end in itertools.pairwise(points):
        near = _clip_segment(start, end, -extent - 0.5, 2 * extent + 0.5)
        pieces += [np.array(line(*near[0], *near[1]))] if near else []
    rows, columns = np.concatenate(pieces, axis=1)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]


def _clip_segment(
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    lowest: NDArray[np.floating],
    highest: NDArray[np.floating],
) -> tuple[list[int], list[int]] | None:
    """Clip a segment to a rectangle (Liang and Barsky 1984); None if it is outside."""
    way = end - start
    with np.errstate(divide="ignore"):
        crossings = np.sort([(lowest - start) / way, (highest - start) / way], axis=0)
    enter, leave = max(0.0, crossings[0].max()), min(1.0, crossings[1].min())
    if enter > leave:
        return None
    first, last = (np.round(start + at * way).astype(int).tolist() for at in (enter, leave))
    return first, last
