"""Annotated planes: their known pixels, their validation areas, and crops of them for training.

Planes are only sliced, so that they may be much larger than memory. A nucleus belongs to the area
that contains its centre, and to no other.
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

from ..arrays.boxes import (
    Box,
    box_shape,
    expand_box,
    from_frame,
    full_box,
    intersect_boxes,
    to_frame,
)
from ..arrays.roi import Region
from ..arrays.tiling import ArrayLike, split_into_squares
from ..errors import UserError
from ..labels.centroids import Nuclei, locate_nuclei
from ..segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from ..segmentation.normalization import Plane, check_lazy_plane
from .example import Example, make_example

# Larger planes are cropped for training: edge and context of a crop, in pixels; and the most crops
# that are kept in memory, of which this share at most has no nucleus.
CROP_EDGE, CROP_CONTEXT = 512, 64
MAX_TRAINING_CROPS, MAX_EMPTY_CROP_SHARE = 96, 0.25
# What is wrong with such an image.
BLANK_UNDER_LABELS = (
    "all pixels of the image have the same value where nuclei are labelled: are the labels on the "
    "wrong plane?"
)
# Most pieces of a validation area.
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
        The annotated part of the plane; labels elsewhere are ignored.
    margin : int or None
        Pixels around nuclei that are background, beyond which nothing is known; None: whatever is
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
        """Mask of the nuclei that count: those with their centre in what is finished."""
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
        """Return which pixels in a box are annotated.

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
        valid = np.isin(labels, self.nuclei.ids[is_counted])
        known = np.ones(labels.shape, bool) if self.finished is None else self.finished.part(box)
        if self.margin is not None:
            near = ndimage.distance_transform_edt(~valid) <= self.margin if valid.any() else valid
            known &= near
        return (known & (labels == 0)) | valid


def open_annotated_plane(
    name: str,
    image: ArrayLike,
    labels: ArrayLike,
    finished: Region | None = None,
    margin: int = 0,
    brightness: Brightness = AUTOMATIC_BRIGHTNESS,
) -> AnnotatedPlane | None:
    """Open an annotated plane, and read no more than a sample of its pixels.

    Parameters
    ----------
    name : str
    image : array-like, shape (Y, X), (Y, X, 3) or (Y, X, 4)
    labels : array-like, shape (Y, X), integer
    finished : Region, optional
    margin : int
        0: none. As in :class:`AnnotatedPlane`.
    brightness : Brightness, optional

    Returns
    -------
    AnnotatedPlane or None
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
        plane = check_lazy_plane(image, brightness)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if tuple(labels.shape) != plane.shape:
        raise UserError(
            f"{name}: the image has the size {plane.shape}, its labels {tuple(labels.shape)}."
        )
    if plane.is_blank:
        raise UserError(f"{name}: {BLANK_UNDER_LABELS}")
    return AnnotatedPlane(name, plane, labels, nuclei, finished, margin or None)


def crop_training_examples(
    plane: AnnotatedPlane, validation_areas: Sequence[Box], max_crops: int = MAX_TRAINING_CROPS
) -> list[Example]:
    """Crop what is known of a plane for training, except for its validation areas.

    Parameters
    ----------
    plane : AnnotatedPlane
    validation_areas : sequence of (slice, slice)
        A nucleus that reaches into one is ignored.
    max_crops : int
        About the most crops; of more, some are taken from all over the plane.

    Returns
    -------
    list of Example
        Those without nuclei last.
    """
    counted = plane.is_counted
    for box in validation_areas:
        counted = counted & ~plane.nuclei.touching(box)
    shape = plane.plane.shape
    whole = max(shape) <= CROP_EDGE + 4 * CROP_CONTEXT
    full, empty = [], []
    for square in [full_box(shape)] if whole else split_into_squares(shape, CROP_EDGE):
        inside = counted & plane.nuclei.in_box(square)
        if inside.any():
            full.append(_box_with_context(square, plane, inside))
        elif plane.margin is None:
            empty.append(expand_box(square, CROP_CONTEXT, shape))
    chosen = [
        *_sample_evenly(full, max_crops),
        *_sample_evenly(empty, max(1, round(MAX_EMPTY_CROP_SHARE * max_crops))),
    ]
    crops = [_crop(plane, box, counted, validation_areas) for box in chosen]
    return [crop for crop in crops if crop.is_known.any()]


def crop_validation_examples(plane: AnnotatedPlane, area: Box) -> list[Example]:
    """Crop a validation area, with some context; in pieces where it is large."""
    crops = []
    boxes = [from_frame(one, area) for one in split_into_squares(box_shape(area), CROP_EDGE)]
    full = [box for box in boxes if (plane.is_counted & plane.nuclei.in_box(box)).any()]
    for box in _sample_evenly(full, MAX_CROPS_PER_VALIDATION_AREA):
        nuclei = plane.is_counted & plane.nuclei.in_box(box)
        crops.append(_crop(plane, _box_with_context(box, plane, nuclei), nuclei, (), inside=box))
    return crops


def _sample_evenly(boxes: list[Box], max_count: int) -> list[Box]:
    """Select at most ``max_count`` boxes, from all over the plane."""
    if len(boxes) <= max_count:
        return boxes
    return [boxes[int(index)] for index in np.linspace(0, len(boxes) - 1, max_count)]


def _box_with_context(square: Box, plane: AnnotatedPlane, nuclei: NDArray[np.bool_]) -> Box:
    """Return a box around a square, or around its nuclei in a sparse plane, with context."""
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
    # a nucleus that the crop cuts does not show its true shape
    inner = is_counted & plane.nuclei.whole_in(box)
    known = plane.known(box, labels, inner)
    for area in validation_areas:
        known[to_frame(intersect_boxes(area, box), box)] = False
    if inside is not None:
        outside = np.ones(labels.shape, bool)
        outside[to_frame(intersect_boxes(inside, box), box)] = False
        known &= ~outside | np.isin(labels, plane.nuclei.ids[inner])
    finite = np.asarray(np.isfinite(pixels).reshape(*labels.shape, -1).all(axis=-1))
    known &= finite
    labels = np.where(np.isin(labels, plane.nuclei.ids[plane.is_counted]), labels, 0)
    normalized = plane.plane.normalized(pixels[..., :3] if pixels.ndim == 3 else pixels)
    return replace(
        make_example(f"{plane.name} {rows.start},{columns.start}", normalized, labels),
        known=torch.from_numpy(known.astype(np.float32))[None],
        # crops with more nuclei are shown more often, but not by as much
        sampling_weight=math.sqrt(1 + int(inner.sum())),
        has_invalid_pixels=not finite.all(),
    )
