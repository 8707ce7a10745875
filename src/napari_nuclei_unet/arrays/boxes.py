"""Boxes of a plane or a volume, and labels clipped to a part of a plane and pasted back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .relabel import consecutive_ids

Box = tuple[slice, slice]
VolumeBox = tuple[slice, slice, slice]
# A box of a plane or of a volume.
AnyBox = TypeVar("AnyBox", bound=tuple[slice, ...])


def enlarged(plane: NDArray[Any], shape: Sequence[int], box: Box | None = None) -> NDArray[Any]:
    """Resize a plane to another resolution by nearest-neighbour interpolation.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
    shape : (int, int)
        Target height and width.
    box : (slice, slice), optional
        Part of the target plane that is returned.

    Returns
    -------
    ndarray, shape (Y, X)
        The same object, or a view of it, where the shape is the same.
    """
    if plane.shape == tuple(shape[:2]):
        return plane if box is None else plane[box]
    rows, columns = (
        ((np.arange(part.start, part.stop) + 0.5) * old / new).astype(int)
        for part, new, old in zip(box or full_box(shape), shape[:2], plane.shape, strict=True)
    )
    return plane[np.ix_(rows, columns)]


def bounding_box(mask: NDArray[np.bool_], margin: int = 0) -> Box:
    """Return the bounding box of a mask, expanded by a margin.

    Parameters
    ----------
    mask : ndarray, shape (Y, X), bool
        Has at least one pixel.
    margin : int
        In pixels; clipped to the plane.

    Returns
    -------
    (slice, slice)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return expand_box(box, margin, mask.shape)


def full_box(shape: Sequence[int]) -> Box:
    """Return the box of a whole plane of this shape."""
    return slice(0, shape[0]), slice(0, shape[1])


def box_shape(box: Box) -> tuple[int, int]:
    """Return height and width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def expand_box(box: Box, margin: int, shape: Sequence[int]) -> Box:
    """Expand a box by a margin on every side, clipped to a plane of this shape."""
    rows, columns = (slice(part.start - margin, part.stop + margin) for part in box)
    return intersect_boxes((rows, columns), full_box(shape))


def intersect_boxes(box: Box, other: Box) -> Box:
    """Return what two boxes have in common: an empty box, if nothing."""
    start = [max(a.start, b.start) for a, b in zip(box, other, strict=True)]
    rows, columns = (
        slice(first, max(first, min(a.stop, b.stop)))
        for first, a, b in zip(start, box, other, strict=True)
    )
    return rows, columns


def scale_box(box: Box, ratios: Sequence[float | Fraction]) -> Box:
    """Return the box at another resolution that holds all of a box; a ratio for each axis."""
    rows, columns = (
        slice(math.floor(part.start * ratio), math.ceil(part.stop * ratio))
        for part, ratio in zip(box, ratios, strict=True)
    )
    return rows, columns


def to_frame(box: Box, frame: Box) -> Box:
    """Convert a box of the plane to pixels of a frame, which is a box of the plane."""
    rows, columns = (
        slice(part.start - outer.start, part.stop - outer.start)
        for part, outer in zip(box, frame, strict=True)
    )
    return rows, columns


def from_frame(box: Box, frame: Box) -> Box:
    """Convert a box in pixels of a frame to pixels of the plane; the reverse of `to_frame`."""
    rows, columns = (
        slice(part.start + outer.start, part.stop + outer.start)
        for part, outer in zip(box, frame, strict=True)
    )
    return rows, columns


def clip_labels(labels: NDArray[np.int32], inside: NDArray[np.bool_], minimum_area: int) -> Any:
    """Clip labels to a mask; nuclei that are cut are split into their connected pieces.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), int32
    inside : ndarray, shape (Y, X), bool
    minimum_area : int
        Smaller pieces, in pixels, are removed; whole nuclei stay.

    Returns
    -------
    ndarray, shape (Y, X), int32
        Nuclei and pieces are 1..n without gaps, each 4-connected.
    """
    # slow to import: it loads scipy.ndimage
    from skimage.measure import label

    inside_labels = np.where(inside, labels, 0)
    pieces = label(inside_labels, connectivity=1)
    area = np.bincount(pieces.ravel())
    id_of_piece = np.zeros(area.size, np.int64)
    id_of_piece[pieces.ravel()] = inside_labels.ravel()
    whole = np.bincount(labels.ravel())[id_of_piece] == area
    is_kept = whole | (area >= minimum_area)
    is_kept[0] = False
    return consecutive_ids(is_kept)[pieces]


def paste_labels(
    labels: NDArray[np.int32],
    inside: NDArray[np.bool_] | None,
    onto: NDArray[np.int32],
    above: int = 0,
) -> None:
    """Paste labels into others, in place.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), int32
        0 outside of ``inside``.
    inside : ndarray, shape (Y, X), bool, or None
        Where ``onto`` is replaced; None: everywhere.
    onto : ndarray, shape (Y, X), int32
        New nuclei get ids above the largest that is left of it. A piece of a nucleus that was cut
        at the edge of ``inside`` gets the id of the piece outside.
    above : int
        New nuclei get ids above this one, too.
    """
    if inside is None:
        np.multiply(labels > 0, above, out=onto, casting="unsafe")
        onto += labels
        return
    above = max(above, int(onto.max(initial=0, where=~inside)))
    box = bounding_box(inside, 1)
    new, within, old = labels[box], inside[box], onto[box]
    ids = np.arange(above, above + int(new.max(initial=0)) + 1, dtype=np.int32)
    ids[0] = 0
    for piece, outer_id in _find_other_pieces(new, np.where(within, 0, old), within):
        ids[piece] = outer_id
    np.copyto(old, ids[new], where=within)


def _find_other_pieces(
    new: NDArray[np.int32], old: NDArray[np.int32], inside: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Find pairs of pieces of one nucleus: they share most of the cut, each with one other only."""
    here, there = [], []
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        for a, b in ((first, second), (second, first)):
            crossing = inside[a] & ~inside[b] & (new[a] > 0)
            here.append(new[a][crossing])
            there.append(old[b][crossing])
    inner, outer = np.concatenate(here), np.concatenate(there)
    if not outer.any():
        return
    length = np.bincount(inner)
    pairs, contact = np.unique(np.stack([inner, outer])[:, outer > 0], axis=1, return_counts=True)
    taken: set[int] = set()
    for index in np.argsort(-contact, kind="stable"):
        piece, outer_id = int(pairs[0, index]), int(pairs[1, index])
        if 2 * contact[index] > length[piece] and outer_id not in taken:
            taken.add(outer_id)
            yield piece, outer_id


def stack_boxes(boxes: Sequence[tuple[slice, ...]]) -> NDArray[np.int64]:
    """Stack boxes as rows: the first pixel along each axis, and then those after the last."""
    rows = [[*(part.start for part in box), *(part.stop for part in box)] for box in boxes]
    return np.array(rows, np.int64)


def find_overlapping_boxes(boxes: NDArray[np.int64], box: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Return a mask of the boxes, as from :func:`stack_boxes`, that share a pixel with ``box``."""
    first, last = np.hsplit(boxes, 2)
    (own_first, own_last) = np.hsplit(stack_boxes([box]), 2)
    return np.asarray(((first < own_last) & (last > own_first)).all(axis=1))


def enclose_boxes(box: AnyBox, boxes: NDArray[np.int64]) -> AnyBox:
    """Return the smallest box around a box and others, as from :func:`stack_boxes`."""
    first, last = np.hsplit(np.concatenate([stack_boxes([box]), boxes]), 2)
    ends = zip(first.min(axis=0).tolist(), last.max(axis=0).tolist(), strict=True)
    return cast(AnyBox, tuple(slice(low, high) for low, high in ends))
