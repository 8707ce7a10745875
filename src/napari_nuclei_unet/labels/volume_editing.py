"""Edits of nuclei that are objects along z, by a point or a stroke in one slice.

All functions take a part of the volume that encloses the nuclei concerned: its first axis is that
across the slices, and the point or stroke lies in the slice ``z``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from ..errors import UserError
from .editing import (
    MAX_GROWN_DIAMETERS,
    MAX_SNAP_DISTANCE,
    MIN_PEAK_PROBABILITY,
    MIN_PIECE_PIXELS,
    NO_PREDICTION_AT_POINT,
    POINT_ON_NUCLEUS,
    STROKE_OVER_ONE_NUCLEUS,
    STROKE_SPLITS_NOTHING,
    extend_stroke,
    find_under_stroke,
    merge_labels,
    stroke_pixels,
)

# Length of the end of a stroke that says in which direction it goes on, in pixels.
STROKE_STEADINESS = 8
NUCLEI_APART = "The nuclei do not touch: in a slice, draw a line across them to bridge the gap."


@dataclass(frozen=True, eq=False)
class VolumeEdit:
    """Voxels of a part of a volume that get new ids.

    Attributes
    ----------
    indices : tuple of ndarray, shape (n,), int
        Along the three axes.
    values : ndarray, shape (n,), integer
    ids : tuple of int
        Nuclei that the edit changes or adds.
    """

    indices: tuple[NDArray[np.intp], ...]
    values: NDArray[np.integer]
    ids: tuple[int, ...] = ()


def _edit_where(
    changed: NDArray[np.bool_], values: NDArray[np.integer], ids: tuple[int, ...]
) -> VolumeEdit:
    return VolumeEdit(tuple(np.nonzero(changed)), values, ids)


def merge_volume_labels(
    labels: NDArray[np.integer], z: int, stroke: NDArray[np.floating]
) -> VolumeEdit:
    """Merge all nuclei that a stroke runs over, in all slices.

    The largest keeps its id. Background between them is filled along the stroke, in its slice.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), integer
    z : int
    stroke : ndarray, shape (n, 2), floating
        Rows and columns of its points, in pixels.

    Returns
    -------
    VolumeEdit

    Raises
    ------
    UserError
        If there are fewer than two nuclei under it.
    """
    bridge = merge_labels(labels[z], stroke)
    _, ids = find_under_stroke(labels[z], stroke)
    edit = _merge_members(labels, ids)
    filled = labels[z][bridge.indices] == 0
    rows, columns = (axis[filled] for axis in bridge.indices)
    indices = (np.full(rows.size, z), rows, columns)
    joined = tuple(np.concatenate(pair) for pair in zip(edit.indices, indices, strict=True))
    return VolumeEdit(joined, np.full(joined[0].size, edit.ids[0], labels.dtype), edit.ids)


def merge_touching(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> VolumeEdit:
    """Merge nuclei that touch each other; the largest keeps its id.

    Raises
    ------
    UserError
        If they are fewer than two, or would not be in one piece.
    """
    ids = np.unique(ids)
    if ids.size < 2:
        raise UserError(STROKE_OVER_ONE_NUCLEUS)
    members = np.isin(labels, ids)
    pieces, _ = ndimage.label(members, np.ones((3, 3, 3)))
    if any(not (pieces[labels == one] == pieces[members][0]).any() for one in ids):
        raise UserError(NUCLEI_APART)
    return _merge_members(labels, ids)


def _merge_members(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> VolumeEdit:
    """Set the voxels of all nuclei to the id of the largest of them."""
    members = np.isin(labels, ids)
    volumes = np.bincount(np.searchsorted(ids, labels[members]), minlength=ids.size)
    largest = int(ids[volumes.argmax()])
    changed = members & (labels != largest)
    values = np.full(np.count_nonzero(changed), largest, labels.dtype)
    return _edit_where(changed, values, (largest,))


def split_volume_labels(
    labels: NDArray[np.integer], z: int, stroke: NDArray[np.floating], free: int
) -> VolumeEdit:
    """Split every nucleus that a stroke cuts in its slice, in all slices.

    The cut goes straight along z, and beyond the ends of the stroke in their directions, as
    nuclei are larger in other slices. Each part is in one piece if the nucleus was. The largest
    part keeps the id.

    Parameters
    ----------
    labels, z, stroke
        As in :func:`merge_volume_labels`.
    free : int
        Lowest free id; all higher ones are free, too.

    Returns
    -------
    VolumeEdit

    Raises
    ------
    UserError
        If it cuts none.
    """
    pixels, ids = find_under_stroke(labels[z], extend_stroke(stroke))
    short = _draw(labels.shape[1:], pixels)
    reach = float(np.hypot(*labels.shape[1:]))
    long = extend_stroke(stroke, reach, STROKE_STEADINESS)
    cut = short | _draw(labels.shape[1:], stroke_pixels(long, labels.shape[1:]))
    edits: list[VolumeEdit] = []
    for nucleus in ids.tolist():
        edit = _split_nucleus(labels, z, (short, cut), nucleus, free)
        if edit is not None:
            edits.append(edit)
            free += len(edit.ids) - 1
    if not edits:
        raise UserError(STROKE_SPLITS_NOTHING)
    indices = zip(*(edit.indices for edit in edits), strict=True)
    return VolumeEdit(
        tuple(np.concatenate(axis) for axis in indices),
        np.concatenate([edit.values for edit in edits]),
        tuple(nucleus for edit in edits for nucleus in edit.ids),
    )


def _draw(
    shape: tuple[int, ...], pixels: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[pixels] = True
    return mask


def _split_nucleus(
    labels: NDArray[np.integer],
    z: int,
    cuts: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    nucleus: int,
    free: int,
) -> VolumeEdit | None:
    """Split one nucleus by the short cut in its slice, and the long one in all others."""
    box = ndimage.find_objects((labels == nucleus).astype(np.uint8))[0]
    mask, here = labels[box] == nucleus, z - box[0].start
    short, cut = (one[box[1:]] for one in cuts)
    sections = _label_large_sections(mask[here], short)
    if sections is None:
        return None
    seeds = _seed_sides(mask, here, sections, cut)
    sides = _grow_sides(mask, seeds)
    volumes = np.bincount(sides.ravel(), minlength=int(sections.max()) + 1)
    volumes[0] = 0
    order = np.argsort(-volumes[1:], kind="stable") + 1
    ids = np.full(volumes.size, nucleus, labels.dtype)  # what is not reached stays as it is
    ids[order] = [nucleus, *range(free, free + order.size - 1)]
    values = ids[sides]
    changed = mask & (values != nucleus)
    indices = tuple(axis + part.start for axis, part in zip(np.nonzero(changed), box, strict=True))
    return VolumeEdit(indices, values[changed], tuple(ids[order].tolist()))


def _grow_sides(mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Grow each side along the nucleus, so that it stays in one piece."""
    level = np.zeros(mask.shape, np.uint8)
    sides = watershed(level, seeds, connectivity=1, mask=mask)
    if (sides == 0)[mask].any():  # what touches the rest at edges and corners of voxels only
        sides = watershed(level, sides, connectivity=3, mask=mask)
    return np.asarray(sides, np.int32)


def _label_large_sections(
    section: NDArray[np.bool_], cut: NDArray[np.bool_]
) -> NDArray[np.int32] | None:
    """Label the pieces into which a section is cut; None if it is not."""
    before, _ = ndimage.label(section)
    parts, count = ndimage.label(section & ~cut)
    area = np.bincount(parts.ravel(), minlength=count + 1)
    large = np.flatnonzero(area >= MIN_PIECE_PIXELS)
    large = large[large > 0]
    touched = np.unique(before[section & cut])
    owners = [before[parts == one][0] for one in large]
    is_cut = [one for one in touched if owners.count(one) > 1]
    if not is_cut:
        return None
    numbers = np.zeros(count + 1, np.int32)
    kept = [one for one, owner in zip(large, owners, strict=True) if owner in is_cut]
    numbers[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(numbers[parts])


def _seed_sides(
    mask: NDArray[np.bool_], z: int, sections: NDArray[np.int32], cut: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the parts on either side of a cut along z that reach the slice where it was made."""
    parts, count = ndimage.label(mask & ~cut)
    pairs = np.bincount(
        parts[z].ravel() * (int(sections.max()) + 1) + sections.ravel(),
        minlength=(count + 1) * (int(sections.max()) + 1),
    ).reshape(count + 1, -1)
    pairs[:, 0] = 0
    side = pairs.argmax(axis=1).astype(np.int32)
    # a part on both sides goes around the cut: it is divided by distance
    side[(pairs > 0).sum(axis=1) != 1] = 0
    side[0] = 0
    seeds = np.asarray(side[parts])
    seeds[z] = sections
    return seeds


@dataclass(frozen=True)
class GrowthScale:
    """How far a nucleus that is added may reach.

    Attributes
    ----------
    diameter : float
        Of a typical nucleus, in pixels of a slice.
    step : float
        From slice to slice, in pixels of a slice.
    """

    diameter: float
    step: float = 1.0


def grow_volume_label(
    labels: NDArray[np.integer],
    probability: NDArray[np.floating],
    z: int,
    point: NDArray[np.floating],
    scale: GrowthScale,
    free: int,
) -> VolumeEdit:
    """Add a nucleus at a point where the prediction is weak, in all slices that it reaches.

    It is the connected background around the point, within a ball, in which the probability is
    at least half of its peak there; holes are filled.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), integer
    probability : ndarray, shape (Z, Y, X), floating, values 0 to 1
    z : int
    point : ndarray, shape (2,), floating
        Row and column, in pixels.
    scale : GrowthScale
    free : int
        Id of the new nucleus.

    Returns
    -------
    VolumeEdit

    Raises
    ------
    UserError
        If the point is outside or on a nucleus, or nothing is predicted there.
    """
    row, column = np.round(point).astype(int)
    if not (0 <= row < labels.shape[1] and 0 <= column < labels.shape[2]):
        raise UserError(NO_PREDICTION_AT_POINT)
    if labels[z, row, column]:
        raise UserError(POINT_ON_NUCLEUS)
    masked = np.where(labels == 0, probability, 0)
    slices, rows, columns = np.ogrid[tuple(slice(0, length) for length in labels.shape)]
    apart = (rows - row) ** 2 + (columns - column) ** 2
    near = apart[0] <= 2 * MAX_SNAP_DISTANCE**2
    peak = float(masked[z][near].max(initial=0))
    if peak < MIN_PEAK_PROBABILITY:
        raise UserError(NO_PREDICTION_AT_POINT)
    reach = max(MAX_GROWN_DIAMETERS * scale.diameter, MAX_SNAP_DISTANCE + 1)
    is_near = ((slices - z) * scale.step) ** 2 + apart <= reach**2
    parts, _ = ndimage.label((masked >= peak / 2) & is_near)
    distance = np.where((parts[z] > 0) & near, apart[0], np.inf)
    part = parts[z].ravel()[distance.argmin()]
    mask = ndimage.binary_fill_holes(parts == part) & (labels == 0)
    if not part or mask.sum() < MIN_PIECE_PIXELS:
        raise UserError(NO_PREDICTION_AT_POINT)
    return _edit_where(mask, np.full(np.count_nonzero(mask), free, labels.dtype), (free,))
