"""Boxes and regions of a plane, and labels clipped to them and pasted back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.relabel import consecutive_ids
from napari_nuclei_unet.errors import UserError

Box = tuple[slice, slice]
Vertices = tuple[tuple[float, float], ...]
Polygons = Iterable[Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Region:
    """The union of polygons, in pixels of a plane: whole numbers are pixel centres.

    Attributes
    ----------
    polygons : tuple of tuple of (y, x)
        Three vertices or more each.
    """

    polygons: tuple[Vertices, ...]

    @classmethod
    def of(cls, polygons: Polygons) -> Region:
        """Create a region from nested sequences of numbers.

        Raises
        ------
        UserError
            If a polygon has fewer than three vertices, or they are no pairs of numbers.
        """
        if isinstance(polygons, Region):
            return polygons
        try:
            vertices = tuple(
                tuple((float(y), float(x)) for y, x in polygon) for polygon in polygons
            )
        except (TypeError, ValueError) as error:
            raise UserError("A region is a list of polygons of (y, x) in pixels.") from error
        if (
            min(map(len, vertices), default=0) < 3
            or not np.isfinite(np.concatenate(vertices)).all()
        ):
            raise UserError("A polygon of a region needs three vertices (y, x) or more.")
        return cls(vertices)

    def meets(self, shape: tuple[int, int]) -> bool:
        """Return whether the bounding box of a polygon overlaps the plane."""
        return any(
            bool((np.max(polygon, axis=0) >= 0).all() and (np.min(polygon, axis=0) < shape).all())
            for polygon in self.polygons
        )

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask of the pixels of a plane whose centres lie inside.

        Parameters
        ----------
        shape : (int, int)
            Of the plane, in pixels.

        Returns
        -------
        ndarray, shape (Y, X), bool

        Raises
        ------
        UserError
            If there are none.
        """
        mask = np.zeros(shape, bool)
        for polygon in self.polygons:
            _fill_polygon(polygon, mask)
        if not mask.any():
            raise UserError(
                "The region covers no pixel of the image: draw it over what is to be segmented."
            )
        return mask

    def part(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask, maybe empty, of the pixels of a box whose centres lie inside."""
        mask = np.zeros(box_shape(box), bool)
        top, left = (extent.start for extent in box)
        for polygon in self.polygons:
            _fill_polygon(tuple((y - top, x - left) for y, x in polygon), mask)
        return mask

    def scaled(self, shape: Sequence[int], onto: Sequence[int]) -> Region:
        """Return the region in pixels of another resolution of the same plane.

        Parameters
        ----------
        shape, onto : (int, int)
            Heights and widths of the plane, before and after. The edges of the planes coincide,
            not the centres of their first pixels.
        """
        if tuple(shape[:2]) == tuple(onto[:2]):
            return self
        (height, width), (to_height, to_width) = shape[:2], onto[:2]
        y_ratio, x_ratio = to_height / height, to_width / width
        return Region(
            tuple(
                tuple(((y + 0.5) * y_ratio - 0.5, (x + 0.5) * x_ratio - 0.5) for y, x in polygon)
                for polygon in self.polygons
            )
        )


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


def _fill_polygon(polygon: Vertices, mask: NDArray[np.bool_]) -> None:
    """Set the pixels of a mask whose centres lie inside, row by row between its edges.

    Edges of an axis-aligned rectangle all count as inside; else only those at the top.
    """
    if (box := _rectangle_box(polygon, mask.shape)) is not None:
        mask[box] = True
        return
    rows, places = [], []
    for (y1, x1), (y2, x2) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        low, high = sorted((y1, y2))
        crossed = np.arange(max(math.ceil(low), 0), min(math.ceil(high), mask.shape[0]))
        if crossed.size:
            rows.append(crossed)
            places.append(x1 + (crossed - y1) * (x2 - x1) / (y2 - y1))
    if not rows:
        return
    row, place = np.concatenate(rows), np.concatenate(places)
    order = np.lexsort((place, row))  # in each row edges come in pairs: in, out
    row, start, stop = row[order][::2], place[order][::2], place[order][1::2]
    first = np.clip(np.ceil(start), 0, mask.shape[1]).astype(int)
    last = np.clip(np.floor(stop) + 1, first, mask.shape[1]).astype(int)
    top = int(row.min())
    steps = np.zeros((int(row.max()) + 1 - top, mask.shape[1] + 1), np.int16)
    np.add.at(steps, (row - top, first), 1)
    np.add.at(steps, (row - top, last), -1)
    mask[top : top + len(steps)] |= np.cumsum(steps, axis=1, dtype=np.int16)[:, :-1] > 0


def _rectangle_box(polygon: Vertices, shape: tuple[int, ...]) -> Box | None:
    """Return the box of the pixels inside, if the polygon is an axis-aligned rectangle."""
    low, high = np.min(polygon, axis=0), np.max(polygon, axis=0)
    corners = {(low[0], low[1]), (low[0], high[1]), (high[0], high[1]), (high[0], low[1])}
    turns = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    straight = all((a[0] == b[0]) != (a[1] == b[1]) for a, b in turns)
    if len(polygon) != 4 or set(polygon) != corners or not straight:
        return None
    start = np.clip(np.ceil(low), 0, shape).astype(int)
    stop = np.clip(np.floor(high) + 1, start, shape).astype(int)
    return slice(start[0], stop[0]), slice(start[1], stop[1])


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


def stack_boxes(boxes: Sequence[Box]) -> NDArray[np.int64]:
    """Stack boxes as rows: first row and column, and those after the last."""
    return np.array([[r.start, c.start, r.stop, c.stop] for r, c in boxes], np.int64)


def find_overlapping_boxes(boxes: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Return a mask of the boxes that share a pixel with ``box``."""
    top, left, bottom, right = boxes.T
    rows, columns = box
    overlaps_rows = (top < rows.stop) & (bottom > rows.start)
    return overlaps_rows & (left < columns.stop) & (right > columns.start)


def enclose_boxes(box: Box, boxes: NDArray[np.int64]) -> Box:
    """Return the smallest box around a box and others."""
    all_boxes = np.concatenate([stack_boxes([box]), boxes])
    top, left = all_boxes[:, :2].min(axis=0).tolist()
    bottom, right = all_boxes[:, 2:].max(axis=0).tolist()
    return slice(top, bottom), slice(left, right)
