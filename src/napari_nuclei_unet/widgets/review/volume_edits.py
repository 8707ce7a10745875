"""Corrections of nuclei that are objects along z, in all their slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...arrays.boxes import Box, VolumeBox, enclose_boxes, expand_box, stack_boxes
from ...errors import UserError
from ...labels.editing import (
    MAX_GROWN_DIAMETERS,
    extend_stroke,
    find_under_stroke,
    grow_label,
    label_at,
)
from ...labels.volume_editing import (
    GrowthScale,
    VolumeEdit,
    grow_volume_label,
    merge_touching,
    merge_volume_labels,
    split_volume_labels,
)
from ..layers.label_ids import LabelsIndex, index_axes, plane_key
from ..layers.measurements import axis_step
from ..session.plane_result import PlaneResult
from ..session.volume_result import SliceResult
from .edits import DEFAULT_DIAMETER, IMAGE_NEEDED, PLANE_WITHOUT_PREDICTION, join_ids
from .free_ids import find_free_id
from .volume_location import NO_NUCLEUS_PICKED, VolumeLocation, VolumePart

if TYPE_CHECKING:
    from napari.layers import Image

NOT_IN_3D = "This works in slices: switch off the 3-D view, where nuclei are deleted and merged."
ADDED_IN_ONE_SLICE = (
    "added in this slice only, as the network has not seen those beside it: click Segment for all."
)


def delete_volume(location: VolumeLocation, _: Image | None) -> str:
    """Remove the nucleus that was clicked, in all its slices."""
    nucleus = _find_clicked(location)
    box = location.find_box(nucleus)
    part = location.read(box)
    edit = VolumeEdit(tuple(np.nonzero(part.labels == nucleus)), np.zeros((), part.labels.dtype))
    location.write(part, edit)
    return f"Nucleus {nucleus} deleted, {part.describe_slices(edit)}."


def merge_volumes(location: VolumeLocation, _: Image | None) -> str:
    """Merge the nuclei under the stroke, in all their slices."""
    if location.picked is not None:
        picked = np.unique(location.picked)
        if not picked.size:
            raise UserError(NO_NUCLEUS_PICKED)
        part = location.read(location.enclose(picked.tolist()))
        edit = merge_touching(part.labels, picked)
    else:
        near = location.stroke_box(1)
        ids = _find_ids(location, near)
        part = location.read(enclose_boxes(near, stack_boxes([location.enclose(ids)])))
        edit = merge_volume_labels(part.labels, part.z, part.stroke)
    location.write(part, edit)
    return f"Merged into nucleus {edit.ids[0]}, in all slices."


def split_volumes(location: VolumeLocation, _: Image | None) -> str:
    """Split the nuclei that the stroke cuts, in all their slices."""
    if location.picked is not None:
        raise UserError(NOT_IN_3D)
    longer = replace(location, stroke=extend_stroke(location.stroke))
    ids = _find_ids(longer, longer.stroke_box(1))
    part = location.read(location.enclose(ids))
    free = find_free_id(location.state)
    edit = split_volume_labels(part.labels, part.z, part.stroke, free)
    location.write(part, edit)
    return f"Split into {join_ids(edit.ids)}, in all slices."


def add_volume(location: VolumeLocation, image: Image | None) -> str:
    """Add the nucleus that was clicked, from the probability maps of the slices."""
    if location.picked is not None:
        raise UserError(NOT_IN_3D)
    if image is None:
        raise UserError(IMAGE_NEEDED)
    # the maps are those of slices along the first axis, whatever is on view
    voxel = np.insert(location.stroke[-1], location.depth, location.at)
    scale = _find_scale(location)
    reach = MAX_GROWN_DIAMETERS * scale.diameter
    z = round(float(voxel[0]))
    results = _find_predictions(location, image, z, int(reach / scale.step) + 1)
    if z not in results:
        raise UserError(PLANE_WITHOUT_PREDICTION)
    row, column = (int(at) for at in np.round(voxel[1:]))
    spot: Box = (slice(row, row + 1), slice(column, column + 1))
    box: VolumeBox = (
        slice(min(results), max(results) + 1),
        *expand_box(spot, int(reach), location.shape[1:]),
    )
    clicked = replace(location, depth=0, at=z, stroke=voxel[None, 1:])
    part = clicked.read(box)
    probability = np.stack([results[at].probability(box[1:]) for at in sorted(results)])
    edit = _grow(part, probability, scale, find_free_id(location.state))
    clicked.write(part, edit)
    if len(results) == 1 < location.shape[0]:
        return f"Nucleus {edit.ids[0]} {ADDED_IN_ONE_SLICE}"
    return f"Nucleus {edit.ids[0]} added, {part.describe_slices(edit)}."


VolumeEditFunction = Callable[[VolumeLocation, "Image | None"], str]


def _find_clicked(location: VolumeLocation) -> int:
    """Return the nucleus that was clicked."""
    if location.picked is not None:
        if not location.picked:
            raise UserError(NO_NUCLEUS_PICKED)
        return location.picked[-1]
    clicked = replace(location, stroke=location.stroke[-1:])
    part = clicked.read(clicked.stroke_box(0))
    return label_at(part.labels[0], part.stroke[0])


def _find_ids(location: VolumeLocation, near: VolumeBox) -> list[int]:
    """Find the nuclei under the stroke in the slice on view."""
    part = location.read(near)
    _, ids = find_under_stroke(part.labels[0], part.stroke)
    return [int(nucleus) for nucleus in ids]


def _find_scale(location: VolumeLocation) -> GrowthScale:
    """Return the median diameter of the nuclei of the volume, and its step, in pixels."""
    depth, *plane = (axis_step(location.state.layer, axis) for axis in index_axes(location.volume))
    measured = location.state.features.planes.get(plane_key(location.volume))
    diameter = DEFAULT_DIAMETER
    if measured is not None and len(measured.rows):
        first, last = np.hsplit(measured.boxes, 2)
        diameter = float(np.median((last - first)[:, 1:].max(axis=1)))
    return GrowthScale(diameter, depth / float(np.mean(plane)))


def _find_predictions(
    location: VolumeLocation, image: Image, z: int, reach: int
) -> dict[int, PlaneResult | SliceResult]:
    """Find the predictions of a slice and of those beside it, as far as there is no gap."""
    found: dict[int, PlaneResult | SliceResult] = {}
    last = location.shape[0]
    for way in (range(z, min(z + reach + 1, last)), range(z - 1, max(z - reach, 0) - 1, -1)):
        for at in way:
            result = location.predictions.find_latest(image, _slice_index(location.volume, at))
            if result is None:
                break
            found[at] = result
    return found


def _slice_index(volume: LabelsIndex, at: int) -> LabelsIndex:
    """Return the index of a slice along the first axis of a volume."""
    axis = index_axes(volume)[0]
    return (*volume[:axis], at, *volume[axis + 1 :])


def _grow(
    part: VolumePart, probability: NDArray[np.floating], scale: GrowthScale, free: int
) -> VolumeEdit:
    """Grow a nucleus in a part, or in its plane if it has only one."""
    point = part.stroke[-1]
    if len(part.labels) > 1:
        return grow_volume_label(part.labels, probability, part.z, point, scale, free)
    edit = grow_label(part.labels[0], probability[0], point, scale.diameter, free)
    slices = np.zeros(edit.rows.size, np.intp)
    return VolumeEdit((slices, *edit.indices), edit.values, edit.ids)
