"""Choice of what of the annotated planes a model is validated on, and never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays.boxes import Box, full_box
from ..arrays.tiling import split_into_squares
from ..errors import UserError
from .annotation import AnnotatedPlane

# Edges of validation areas, in pixels: the largest that gives enough of them is used.
AREA_EDGES = (512, 256, 128, 64, 32)
# An area should hold whole nuclei: its edge is at least so many diameters, where that is possible.
MIN_AREA_DIAMETERS = 3.0
# From so many images on, whole images are validated on, which shows more than parts of an image
# that is trained on; not if one has a longer edge, in pixels, than that of an ordinary camera.
MIN_IMAGES, MAX_IMAGE_EDGE = 3, 2048
# Areas, where images are not whole; and the part of all nuclei that is never exceeded for the sake
# of enough of them: too few to judge is better than too few to learn from.
MIN_AREAS, MAX_NUCLEI_SHARE = 2, 0.5


@dataclass(frozen=True)
class _Part:
    """What is chosen or not as one: an area of a plane, or all planes of an image."""

    boxes: tuple[tuple[int, Box], ...]  # number of the plane, and place in it
    nuclei: int


def choose_validation_areas(
    planes: Sequence[AnnotatedPlane],
    share: float,
    seed: int,
    min_nuclei: int = 0,
    images: Sequence[int] = (),
) -> list[list[Box]]:
    """Choose what of annotated planes a model is validated on: whole images, or areas.

    Areas are of one size, so that about as many have nuclei as it takes to validate on ``share``
    of them; an area is at least three nuclei wide, if that leaves two. Of three images or more,
    whole ones are chosen. More than the share is chosen where that has too few nuclei to judge a
    model by, unless it takes more than half of all nuclei.

    Parameters
    ----------
    planes : sequence of AnnotatedPlane
    share : float, 0 to 1
        Of the areas, or images, that have nuclei; at least one, but not all.
    seed : int
    min_nuclei : int, optional
        At least so many nuclei, in two areas or a whole image; 0: the share alone decides.
    images : sequence of int, optional
        Number of the image of each plane; without, only areas are chosen.

    Returns
    -------
    list of list of (slice, slice)
        Areas of each plane.

    Raises
    ------
    UserError
        If there are fewer than two areas with a nucleus.
    """
    total = sum(int(plane.is_counted.sum()) for plane in planes)
    _check_enough(planes, total)
    parts = _choose_images(planes, share, seed, min_nuclei, images) if min_nuclei else []
    if not parts:
        areas = _areas_with_nuclei(planes, share)
        if len(areas) < 2:
            raise UserError(
                "The annotated nuclei lie so close together that none can be left for validation: "
                "paint some more, farther away."
            )
        count = min(max(1, round(share * len(areas))), len(areas) - 1)
        order = [areas[index] for index in np.random.default_rng(seed).permutation(len(areas))]
        parts = _take(order, max(count, MIN_AREAS), min_nuclei) if min_nuclei else []
        if not parts or sum(part.nuclei for part in parts) > MAX_NUCLEI_SHARE * total:
            parts = order[:count]
    chosen: list[list[Box]] = [[] for _ in planes]
    for part in parts:
        for number, box in part.boxes:
            chosen[number].append(box)
    return chosen


def _check_enough(planes: Sequence[AnnotatedPlane], total: int) -> None:
    """Raise an error where fewer than two nuclei are annotated."""
    if total == 0 and planes:
        raise UserError(
            "No annotated nucleus has its centre in the outlined areas: outline whole nuclei."
        )
    if total == 0:
        raise UserError(
            "Nothing is annotated: paint nuclei into the labels, each with a number of its own."
        )
    if total == 1:
        raise UserError(
            "Only one nucleus is annotated, or all have the same number: give every nucleus a "
            "number of its own (key M in the labels layer), and paint two or more, as one is used "
            "for validation."
        )


def _take(order: Sequence[_Part], count: int, min_nuclei: int) -> list[_Part]:
    """Take parts in order until there are enough of them, and of nuclei; never all."""
    taken: list[_Part] = []
    for part in order[:-1]:
        if len(taken) >= count and sum(one.nuclei for one in taken) >= min_nuclei:
            break
        taken.append(part)
    return taken


def _choose_images(
    planes: Sequence[AnnotatedPlane],
    share: float,
    seed: int,
    min_nuclei: int,
    images: Sequence[int],
) -> list[_Part]:
    """Choose whole images; none where there are few, or large ones, or one has half the nuclei."""
    by_image: dict[int, list[int]] = {}
    for number, image in enumerate(images):
        if planes[number].is_counted.any():
            by_image.setdefault(image, []).append(number)
    is_large = any(max(plane.plane.shape) > MAX_IMAGE_EDGE for plane in planes)
    if len(by_image) < MIN_IMAGES or is_large:
        return []
    parts = [
        _Part(
            tuple((number, full_box(planes[number].plane.shape)) for number in numbers),
            sum(int(planes[number].is_counted.sum()) for number in numbers),
        )
        for numbers in by_image.values()
    ]
    order = [parts[index] for index in np.random.default_rng(seed).permutation(len(parts))]
    taken = _take(order, max(1, round(share * len(parts))), min_nuclei)
    limit = MAX_NUCLEI_SHARE * sum(part.nuclei for part in parts)
    return taken if sum(part.nuclei for part in taken) <= limit else []


def _areas_with_nuclei(planes: Sequence[AnnotatedPlane], share: float) -> list[_Part]:
    diameters = [plane.nuclei.diameter for plane in planes if len(plane.nuclei)]
    min_edge = MIN_AREA_DIAMETERS * float(np.median(diameters))
    best: list[_Part] = []
    for edge in AREA_EDGES:
        if edge < min_edge and len(best) > 1:
            break
        found = []
        for index, plane in enumerate(planes):
            for box in split_into_squares(plane.plane.shape, edge):
                nuclei = int((plane.nuclei.in_box(box) & plane.is_counted).sum())
                if nuclei:
                    found.append(_Part(((index, box),), nuclei))
        if len(found) > len(best):
            best = found
        if len(best) >= 1 / share:
            break
    return best
