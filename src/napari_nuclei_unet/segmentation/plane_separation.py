"""How nuclei are separated in a plane, or a part of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import bounding_box, clip_labels
from ..models.model import THRESHOLD_NAMES, ModelCard
from ..params import SegmentParams
from .left_out import LeftOutNuclei, Separation, compute_fragment_area, compute_speck_area
from .watershed import SeparationParams, separate_plane


def resolve_separation(
    params: SegmentParams, card: ModelCard, zoom: float, diameter: float | None = None
) -> SeparationParams:
    """Return the thresholds of a model's card at a zoom, replaced by those that are set.

    Parameters
    ----------
    params : SegmentParams
    card : ModelCard
    zoom : float
    diameter : float, optional
        Typical one of the plane, in its pixels, of which fragments and specks are known; without
        it, as in volumes, there are none.
    """
    tuned = SeparationParams(**card.thresholds).at_zoom(zoom)
    if zoom > 1:
        area = max(tuned.minimum_area, compute_speck_area(diameter))
        tuned = dataclasses.replace(tuned, minimum_area=area)
    given = {name: getattr(params, name) for name in THRESHOLD_NAMES}
    changes = {name: value for name, value in given.items() if value is not None}
    if params.leave_out_fragments:
        changes["fragment_area"] = compute_fragment_area(diameter)
    return dataclasses.replace(tuned, **changes)


def separate_inside(
    maps: NDArray[Any],
    inside: NDArray[np.bool_] | None,
    context: int,
    separation: SeparationParams,
    relief: NDArray[np.floating] | None = None,
) -> Separation:
    """Separate nuclei in a part of a plane; those at its edge are cut.

    Parameters
    ----------
    maps
        As in :func:`.watershed.separate_nuclei`, of the whole plane.
    inside : ndarray, shape (Y, X), bool, or None
        The part; None: all of it.
    context : int
        How far around the part maps are known, in pixels.
    separation : SeparationParams
    relief : ndarray, optional
        As from :func:`.watershed.smooth_distance`, of the whole plane.
    """
    if inside is None:
        return separate_plane(maps, separation, relief)
    labels = np.zeros(inside.shape, np.int32)
    height, width = inside.shape
    if not inside.any():
        return Separation(labels, LeftOutNuclei.none((height, width)))
    box = bounding_box(inside, context)
    found = separate_plane(maps[:, *box], separation)
    labels[box] = clip_labels(found.labels, inside[box], separation.minimum_area)
    left_out = found.left_out.clip(inside[box])
    return Separation(labels, left_out.place((box[0].start, box[1].start), (height, width)))
