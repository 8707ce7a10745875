"""Annotated planes: what of them is known, what is held back, and the crops that are learnt from.

Planes are only sliced, so that they may be much larger than memory. A nucleus belongs to the area
that its centre lies in, and to no other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_nuclei_unet.arrays.boxes import Box, Region, expand_box
from napari_nuclei_unet.arrays.tiling import ArrayLike
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.centroids import Nuclei, locate_nuclei, split_into_squares
from napari_nuclei_unet.segmentation.normalization import Plane, check_lazy_plane
from napari_nuclei_unet.training.example import Example, make_example

# Edges of the areas one of which is held back: the largest that gives enough of them.
AREA_EDGES = (512, 256, 128, 64, 32)
# An area should hold whole nuclei: its edge is at least so many diameters, where that is possible.
MIN_AREA_DIAMETERS = 3.0
# Larger planes are learnt from in crops of this edge, with so much around them; and the most of
# these that are kept in memory, of which this part at most has no nucleus.
CROP_EDGE, CROP_CONTEXT = 512, 64
MAX_TRAINING_CROPS, MAX_EMPTY_CROP_SHARE = 96, 0.25
# Pieces of an area that is held back.
MAX_CROPS_PER_VALIDATION_AREA = 8


@dataclass(frozen=True, eq=False)
class AnnotatedPlane:
    """One annotated plane.

    Attributes
    ----------
    name : str
        For messages and cards.
    plane : Plane
        May be lazy: it is only sliced.
    labels : array-like, shape (Y, X), integer
        0 is background or unknown, else the id of a nucleus.
    nuclei : Nuclei
        Of ``labels``.
    finished : Region or None
        What of the plane is annotated; labels elsewhere do not count.
    margin : int or None
        So many pixels around nuclei are background, and nothing else is known; None: whatever is
        finished and not labelled is background.
    """

    name: str
    plane: Plane
    labels: ArrayLike
    nuclei: Nuclei
    finished: Region | None = None
    margin: int | None = None

    @cached_property
    def is_counted(self) -> NDArray[np.bool_]:
        """Which nuclei count: those with their centre in what is finished."""
        if self.finished is None:
            return np.ones(len(self.nuclei), bool)
        return np.array([self._is_finished(centre) for centre in self.nuclei.centres], bool)

    def _is_finished(self, centre: NDArray[np.float64]) -> bool:
        assert self.finished is not None
        y, x = np.floor(centre + 0.5).astype(int)
        return bool(self.finished.part((slice(y, y + 1), slice(x, x + 1))).any())

    def known(
        self, box: Box, labels: NDArray[np.integer], is_counted: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Say of which pixels in a box the annotation tells what they are.

        Parameters
        ----------
        box : (slice, slice)
        labels : ndarray, shape of the box
        is_counted : ndarray, shape (len(nuclei),), bool
            Nuclei that count here; the others are unknown.

        Returns
        -------
        ndarray, shape of the box, bool
        """
        mine = np.isin(labels, self.nuclei.ids[is_counted])
        known = np.ones(labels.shape, bool) if self.finished is None else self.finished.part(box)
        if self.margin is not None:
            near = ndimage.distance_transform_edt(~mine) <= self.margin if mine.any() else mine
            known &= near
        return (known & (labels == 0)) | mine


def open_annotated_plane(
    name: str,
    image: ArrayLike,
    labels: ArrayLike,
    finished: Region | None = None,
    margin: int = 0,
) -> AnnotatedPlane | None:
    """Look at an annotated plane, and at nothing of its pixels but a sample.

    Parameters
    ----------
    name : str
    image : array-like, shape (Y, X), (Y, X, 3) or (Y, X, 4)
    labels : array-like, shape (Y, X), integer
    finished : Region, optional
    margin : int
        0: none. As in :class:`AnnotatedPlane`.

    Returns
    -------
    Annotated or None
        None: it has no labels.

    Raises
    ------
    UserError
        If the shapes differ, or one of the two is not what it should be.
    """
    if np.dtype(labels.dtype).kind not in "ui":  # type: ignore[attr-defined]
        raise UserError(f"{name}: labels are whole numbers, one for each nucleus.")
    nuclei = locate_nuclei(labels)
    if not len(nuclei):
        return None  # and not a pixel of the image is read
    try:
        plane = check_lazy_plane(image)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if tuple(labels.shape) != plane.shape:
        raise UserError(
            f"{name}: the image has the size {plane.shape}, its labels {tuple(labels.shape)}."
        )
    if plane.is_blank:
        raise UserError(
            f"{name}: all pixels of the image have the same value where nuclei are labelled: are "
            "the labels on the wrong plane?"
        )
    return AnnotatedPlane(name, plane, labels, nuclei, finished, margin or None)


def choose_validation_areas(
    planes: Sequence[AnnotatedPlane], share: float, seed: int
) -> list[list[Box]]:
    """Choose areas of annotated planes to validate on.

    All planes are parted into areas of one size, so that there are about as many with nuclei as it
    takes to hold ``share`` of them back. An area is at least three nuclei wide, if that leaves two.

    Parameters
    ----------
    planes : sequence of Annotated
    share : float, 0 to 1
        Of the areas that have nuclei; at least one, but not all.
    seed : int

    Returns
    -------
    list of list of (slice, slice)
        Areas of each plane.

    Raises
    ------
    UserError
        If there are fewer than two areas with a nucleus.
    """
    total = sum(int(one.is_counted.sum()) for one in planes)
    if total == 0 and planes:
        raise UserError(
            "No annotated nucleus has its centre in what is outlined as finished: outline whole "
            "nuclei."
        )
    if total == 0:
        raise UserError(
            "Nothing is annotated: paint nuclei into the labels, each with a number of its own."
        )
    if total == 1:
        raise UserError(
            "Only one nucleus is annotated, or all have the same number: give every nucleus a "
            "number of its own (key M in the labels layer), and paint two or more, as one is held "
            "back to validate."
        )
    areas = _areas_with_nuclei(planes, share)
    if len(areas) < 2:
        raise UserError(
            "The annotated nuclei lie so close together that none can be held back to validate: "
            "paint some more, farther away."
        )
    n = min(max(1, round(share * len(areas))), len(areas) - 1)
    held: list[list[Box]] = [[] for _ in planes]
    for index in np.random.default_rng(seed).permutation(len(areas))[:n]:
        plane, box = areas[index]
        held[plane].append(box)
    return held


def _areas_with_nuclei(planes: Sequence[AnnotatedPlane], share: float) -> list[tuple[int, Box]]:
    diameters = [one.nuclei.diameter for one in planes if len(one.nuclei)]
    least = MIN_AREA_DIAMETERS * float(np.median(diameters))
    best: list[tuple[int, Box]] = []
    for edge in AREA_EDGES:
        if edge < least and len(best) > 1:
            break
        found = [
            (index, box)
            for index, one in enumerate(planes)
            for box in split_into_squares(one.plane.shape, edge)
            if (one.nuclei.in_box(box) & one.is_counted).any()
        ]
        if len(found) > len(best):
            best = found
        if len(best) >= 1 / share:
            break
    return best


def crop_training_examples(
    plane: AnnotatedPlane, validation_areas: Sequence[Box], max_crops: int = MAX_TRAINING_CROPS
) -> list[Example]:
    """Cut out what is learnt from: everything known, but what is held back.

    Parameters
    ----------
    plane : Annotated
    validation_areas : sequence of (slice, slice)
        Areas that are held back; a nucleus that reaches into one plays no part.
    max_crops : int
        Crops, about; of more some are taken, from all over the plane.

    Returns
    -------
    list of Example
        Those without nuclei last.
    """
    own = plane.is_counted
    for box in validation_areas:
        own = own & ~plane.nuclei.touching(box)
    shape = plane.plane.shape
    whole = max(shape) <= CROP_EDGE + 4 * CROP_CONTEXT
    full, empty = [], []
    for square in [full_plane_box(shape)] if whole else split_into_squares(shape, CROP_EDGE):
        here = own & plane.nuclei.in_box(square)
        if here.any():
            full.append(_box_with_context(square, plane, here))
        elif plane.margin is None:
            empty.append(expand_box(square, CROP_CONTEXT, shape))
    chosen = [
        *_sample_evenly(full, max_crops),
        *_sample_evenly(empty, max(1, round(MAX_EMPTY_CROP_SHARE * max_crops))),
    ]
    made = [_crop(plane, box, own, validation_areas) for box in chosen]
    return [one for one in made if one.is_known.any()]


def crop_validation_examples(plane: AnnotatedPlane, area: Box) -> list[Example]:
    """Cut out an area that is held back, with some context; in pieces, where it is large."""
    top, left = (one.start for one in area)
    extent = [one.stop - one.start for one in area]
    made = []
    for rows, columns in _sample_evenly(
        list(split_into_squares(extent, CROP_EDGE)), MAX_CROPS_PER_VALIDATION_AREA
    ):
        box = (
            slice(rows.start + top, rows.stop + top),
            slice(columns.start + left, columns.stop + left),
        )
        own = plane.is_counted & plane.nuclei.in_box(box)
        if own.any():
            made.append(_crop(plane, _box_with_context(box, plane, own), own, (), inside=box))
    return made


def _sample_evenly(boxes: list[Box], max_count: int) -> list[Box]:
    """Keep at most so many, from all over the plane."""
    if len(boxes) <= max_count:
        return boxes
    return [boxes[int(place)] for place in np.linspace(0, len(boxes) - 1, max_count)]


def full_plane_box(shape: Sequence[int]) -> Box:
    """Box of a whole plane."""
    return slice(0, shape[0]), slice(0, shape[1])


def _box_with_context(square: Box, plane: AnnotatedPlane, nuclei: NDArray[np.bool_]) -> Box:
    """Box around a square, or in a sparse plane around the nuclei in it, with context."""
    rows, columns = square
    if nuclei.any():
        low = plane.nuclei.low[nuclei].min(axis=0)
        high = plane.nuclei.high[nuclei].max(axis=0)
        if plane.margin is None:
            low = np.minimum(low, (rows.start, columns.start))
            high = np.maximum(high, (rows.stop, columns.stop))
        rows, columns = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return expand_box((rows, columns), CROP_CONTEXT, plane.plane.shape)


def _crop(
    plane: AnnotatedPlane,
    box: Box,
    is_counted: NDArray[np.bool_],
    validation_areas: Sequence[Box],
    inside: Box | None = None,
) -> Example:
    labels = np.asarray(plane.labels[box])
    pixels = np.asarray(plane.plane.pixels[box])
    rows, columns = box
    inner = is_counted & plane.nuclei.whole_in(
        box
    )  # what the crop cuts says nothing true of its shape
    known = plane.known(box, labels, inner)
    for area in validation_areas:
        known[_intersection_in_box(area, box)] = False
    if inside is not None:
        outside = np.ones(labels.shape, bool)
        outside[_intersection_in_box(inside, box)] = False
        known &= ~outside | np.isin(labels, plane.nuclei.ids[inner])
    finite = np.asarray(np.isfinite(pixels).reshape(*labels.shape, -1).all(axis=-1))
    known &= finite
    labels = np.where(np.isin(labels, plane.nuclei.ids[plane.is_counted]), labels, 0)
    seen = plane.plane.normalized(pixels[..., :3] if pixels.ndim == 3 else pixels)
    return replace(
        make_example(f"{plane.name} {rows.start},{columns.start}", seen, labels),
        known=torch.from_numpy(known.astype(np.float32))[None],
        # crops with more nuclei are shown more often, but not by as much
        sampling_weight=math.sqrt(1 + int(inner.sum())),
        has_invalid_pixels=not finite.all(),
    )


def _intersection_in_box(area: Box, box: Box) -> Box:
    """Part of an area that lies in a box, in pixels of that."""
    rows, columns = (
        slice(max(one.start - around.start, 0), max(one.stop - around.start, 0))
        for one, around in zip(area, box, strict=True)
    )
    return rows, columns
