"""Corrections of one plane of labels, by a point or a stroke: which pixels get which ids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line

from napari_nuclei_unet.errors import UserError

# A stroke reaches so many pixels further at both ends: hands end it just before the edge.
STROKE_EXTENSION = 3
# What a cut leaves on one side counts as a piece from so many pixels on.
MIN_PIECE_PIXELS = 5
# A nucleus is added where the probability is at least this; half of its peak is its edge.
MIN_PEAK_PROBABILITY = 0.05
# How far from the click the peak may be, in pixels.
MAX_SNAP_DISTANCE = 3
# An added nucleus has no pixel further away from the click than so many typical diameters.
MAX_GROWN_DIAMETERS = 1.5

POINT_ON_BACKGROUND = "There is no nucleus: point at one."
STROKE_OVER_ONE_NUCLEUS = "The stroke runs over one nucleus only: draw it across two or more."
STROKE_OVER_BACKGROUND = "The stroke runs over no nucleus: draw it over some."
STROKE_SPLITS_NOTHING = "The stroke does not cut through a nucleus: begin and end it outside."
POINT_ON_NUCLEUS = "There is a nucleus already: point beside it, or split it."
NO_PREDICTION_AT_POINT = "The network sees nothing there: paint the nucleus, with M for a new id."


@dataclass(frozen=True, eq=False)
class LabelEdit:
    """Pixels of a plane that get other ids.

    Attributes
    ----------
    rows, columns : ndarray, shape (n,), int
    values : ndarray, shape (n,), integer
    ids : tuple of int
        Of the nuclei that this leaves, or makes.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.integer]
    ids: tuple[int, ...] = ()


def remove_label(labels: NDArray[np.integer], nucleus: int) -> LabelEdit:
    """Remove a nucleus by its id."""
    rows, columns = np.nonzero(labels == nucleus)
    return LabelEdit(rows, columns, np.zeros(rows.size, labels.dtype))


def label_at(labels: NDArray[np.integer], point: NDArray[np.floating]) -> int:
    """Give the id of the nucleus at a point.

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
    """Make one nucleus of all that a stroke runs over.

    The largest keeps its id. Where there is background between them, the stroke becomes a bridge,
    so that the nucleus is in one piece.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
    stroke : ndarray, shape (n, 2), floating
        Rows and columns of its points, in pixels.

    Returns
    -------
    Edit

    Raises
    ------
    UserError
        If there are fewer than two nuclei under it.
    """
    rows, columns = _pixels(stroke, labels.shape)
    under = labels[rows, columns]
    ids = np.unique(under[under > 0])
    if ids.size < 2:
        raise UserError(STROKE_OVER_ONE_NUCLEUS if ids.size else STROKE_OVER_BACKGROUND)
    members = np.isin(labels, ids)
    area = np.bincount(np.searchsorted(ids, labels[members]))
    kept = ids[area.argmax()]
    first, *_, last = np.flatnonzero(under)
    bridge = np.zeros(labels.shape, bool)
    between = np.flatnonzero(under == 0)
    between = between[(between > first) & (between < last)]
    bridge[rows[between], columns[between]] = True
    bridge = ndimage.binary_dilation(bridge, np.ones((3, 3))) & (labels == 0)
    changed = (members & (labels != kept)) | bridge
    rows, columns = np.nonzero(changed)
    return LabelEdit(rows, columns, np.full(rows.size, kept, labels.dtype), (int(kept),))


def split_labels(labels: NDArray[np.integer], stroke: NDArray[np.floating], free: int) -> LabelEdit:
    """Cut every nucleus that a stroke runs through.

    The largest part keeps the id; pixels under the stroke go to the part that is nearest.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
    stroke : ndarray, shape (n, 2), floating
        Rows and columns of its points, in pixels.
    free : int
        Lowest of the ids that may be given; all from it on are free.

    Returns
    -------
    Edit

    Raises
    ------
    UserError
        If it cuts none.
    """
    rows, columns = _pixels(_longer(stroke), labels.shape)
    under = labels[rows, columns]
    ids = np.unique(under[under > 0])
    if not ids.size:
        raise UserError(STROKE_OVER_BACKGROUND)
    cut = np.zeros(labels.shape, bool)
    cut[rows, columns] = True
    made: list[LabelEdit] = []
    for nucleus in ids.tolist():
        one = _halved(labels, cut, nucleus, free)
        if one.ids:
            made.append(one)
            free += len(one.ids) - 1
    if not made:
        raise UserError(STROKE_SPLITS_NOTHING)
    return LabelEdit(
        np.concatenate([one.rows for one in made]),
        np.concatenate([one.columns for one in made]),
        np.concatenate([one.values for one in made]),
        tuple(nucleus for one in made for nucleus in one.ids),
    )


def _halved(
    labels: NDArray[np.integer], cut: NDArray[np.bool_], nucleus: int, free: int
) -> LabelEdit:
    """Cut one nucleus; an edit of nothing if it stays whole."""
    at = np.nonzero(labels == nucleus)
    top, left = (int(one.min()) for one in at)
    box = tuple(slice(int(one.min()), int(one.max()) + 1) for one in at)
    mask = labels[box] == nucleus
    before = ndimage.label(mask)[1]
    parts, count = ndimage.label(mask & ~cut[box])
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
    return LabelEdit(rows + top, columns + left, values[changed], tuple(ids[large].tolist()))


def grow_label(
    labels: NDArray[np.integer],
    probability: NDArray[np.floating],
    point: NDArray[np.floating],
    diameter: float,
    free: int,
) -> LabelEdit:
    """Add the nucleus that a prediction has only weakly at a point.

    It is the connected background around the point in which the probability is at least half of
    its peak there, without holes, and within a circle.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
    probability : ndarray, shape (Y, X), floating, values 0 to 1
    point : ndarray, shape (2,), floating
        Row and column, in pixels.
    diameter : float
        Of a typical nucleus, in pixels.
    free : int
        Its id.

    Returns
    -------
    Edit

    Raises
    ------
    UserError
        If the point is outside or on a nucleus, or the prediction has nothing there.
    """
    row, column = np.round(point).astype(int)
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        raise UserError(NO_PREDICTION_AT_POINT)
    if labels[row, column]:
        raise UserError(POINT_ON_NUCLEUS)
    reach = max(int(MAX_GROWN_DIAMETERS * diameter), MAX_SNAP_DISTANCE + 1)
    top, left = max(row - reach, 0), max(column - reach, 0)
    box = slice(top, row + reach + 1), slice(left, column + reach + 1)
    row, column = row - top, column - left
    free_here = labels[box] == 0
    seen = np.where(free_here, probability[box], 0)
    near = seen[
        max(row - MAX_SNAP_DISTANCE, 0) : row + MAX_SNAP_DISTANCE + 1,
        max(column - MAX_SNAP_DISTANCE, 0) : column + MAX_SNAP_DISTANCE + 1,
    ]
    peak = float(near.max(initial=0))
    if peak < MIN_PEAK_PROBABILITY:
        raise UserError(NO_PREDICTION_AT_POINT)
    y, x = np.ogrid[: seen.shape[0], : seen.shape[1]]
    likely = (seen >= peak / 2) & ((y - row) ** 2 + (x - column) ** 2 <= reach**2)
    parts, _ = ndimage.label(likely)
    own = parts[_nearest(parts, row, column)]
    mask = ndimage.binary_fill_holes(parts == own) & free_here
    if not own or mask.sum() < MIN_PIECE_PIXELS:
        raise UserError(NO_PREDICTION_AT_POINT)
    rows, columns = np.nonzero(mask)
    values = np.full(rows.size, free, labels.dtype)
    return LabelEdit(rows + top, columns + left, values, (free,))


def _nearest(parts: NDArray[np.integer], row: int, column: int) -> tuple[int, int]:
    """Place of the pixel of any part that is nearest to a place, and near."""
    rows, columns = np.nonzero(parts)
    distance = (rows - row) ** 2 + (columns - column) ** 2
    if not distance.size or distance.min() > 2 * MAX_SNAP_DISTANCE**2:
        return row, column
    best = distance.argmin()
    return int(rows[best]), int(columns[best])


def _longer(stroke: NDArray[np.floating]) -> NDArray[np.floating]:
    """Stroke that reaches a little further at both ends, the way it runs there."""
    stroke = np.array(stroke, np.float64)
    apart = np.linalg.norm(np.diff(stroke, axis=0), axis=1) > 0
    stroke = stroke[np.concatenate([[True], apart])]
    if len(stroke) < 2:
        return stroke
    ends = [
        end + STROKE_EXTENSION * (end - before) / np.linalg.norm(end - before)
        for end, before in ((stroke[0], stroke[1]), (stroke[-1], stroke[-2]))
    ]
    return np.vstack([ends[0], stroke, ends[1]])


def _pixels(
    stroke: NDArray[np.floating], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels under a stroke, in its order, of those that there are."""
    points = np.round(np.asarray(stroke, np.float64)).astype(int)
    if len(points) == 1:
        points = np.vstack([points, points])
    pieces = [np.array(line(*a, *b)) for a, b in itertools.pairwise(points)]
    rows, columns = np.concatenate(pieces, axis=1)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]
