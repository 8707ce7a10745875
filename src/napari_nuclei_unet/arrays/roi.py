"""Regions of interest: polygons in a plane."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .boxes import Box, box_shape

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
                "The region covers no pixel of the image: draw it over the part that you want to "
                "segment."
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
