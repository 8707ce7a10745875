"""Labels layers in which a nucleus is one object along z."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Labels

from ...arrays.axes import axis_letters
from .axis_names import TIME_AXIS_NAMES
from .geometry import full_resolution_data
from .label_ids import LabelsIndex, index_axes
from .labels_record import get_record_entries
from .measurements import MeasurementSource, axis_step
from .volume_measurements import VolumeSource

VOLUME_KEY, JOIN_KEY = "volume", "join"
VolumeAxes = tuple[int, int, int]


def is_volume(layer: Labels) -> bool:
    """Return whether the record says that a nucleus is one object along z, with one row."""
    return layer.ndim > 2 and bool(get_record_entries(layer).get(VOLUME_KEY))


def find_edited_axes(layer: Labels) -> VolumeAxes | None:
    """Find the axes along which a nucleus is edited as one object, ascending.

    None: it is edited in the plane on view. Slices that were joined along z are volumes here,
    though their table has a row for each section.
    """
    record = get_record_entries(layer)
    is_joined = str(record.get(JOIN_KEY) or "").lower() == "z"
    return find_volume_axes(layer) if is_volume(layer) or (is_joined and layer.ndim > 2) else None


def find_volume_axes(layer: Labels) -> VolumeAxes:
    """Find the axes of the volumes of a layer, ascending: z and the two of its slices."""
    plane = _find_plane(layer)
    others = [axis for axis in range(layer.ndim) if axis not in plane]
    letters = axis_letters(layer.axis_labels, plane)
    named = [axis for axis in others if letters[axis] == "Z"]
    record = get_record_entries(layer)
    along = record.get("along") if record.get(VOLUME_KEY) and not record.get("track") else None
    recorded = [along] if along in others else []
    # an axis of channels stays in labels, with a length of 1
    long = [axis for axis in others if full_resolution_data(layer).shape[axis] > 1]
    depth = (recorded or named or long or others)[-1 if not (recorded or named) else 0]
    first, second, third = sorted((depth, *plane))
    return first, second, third


def may_have_slices(layer: Labels) -> bool:
    """Return whether a nucleus may be one object along z: not in planes, nor in a film of them."""
    if layer.ndim < 3:
        return False
    depth = next(axis for axis in find_volume_axes(layer) if axis not in _find_plane(layer))
    is_frame = layer.axis_labels[depth].strip().lower() in TIME_AXIS_NAMES
    return not is_frame and full_resolution_data(layer).shape[depth] > 1


def find_frame_axes(layer: Labels) -> tuple[int, ...]:
    """Find the axes of a layer on which volumes stand side by side, such as time."""
    axes = find_volume_axes(layer)
    return tuple(axis for axis in range(layer.ndim) if axis not in axes)


def _find_plane(layer: Labels) -> tuple[int, int]:
    """Find the two axes of the planes of a layer."""
    free = [axis for axis, at in enumerate(_recorded_plane(layer)) if at is None]
    return (free[0], free[1]) if len(free) == 2 else (layer.ndim - 2, layer.ndim - 1)


def _recorded_plane(layer: Labels) -> list[int | None]:
    """Return the plane that was written last, as the record has it; empty if it has none."""
    plane = get_record_entries(layer).get("plane")
    return plane if isinstance(plane, list) and len(plane) == layer.ndim else []


def list_volumes(layer: Labels) -> list[LabelsIndex]:
    """Return the indices of all volumes of a layer: one, or one for each time point."""
    axes, shape = find_volume_axes(layer), full_resolution_data(layer).shape
    lengths = [1 if axis in axes else length for axis, length in enumerate(shape)]
    return [
        tuple(slice(None) if axis in axes else at for axis, at in enumerate(position))
        for position in np.ndindex(*lengths)
    ]


def find_depth_axis(volume: LabelsIndex, plane: LabelsIndex) -> int | None:
    """Find the axis of a volume that goes through a plane; None if it lies not in the volume."""
    through = set(index_axes(volume)) - set(index_axes(plane))
    inside = all(
        isinstance(at, slice) or at == here for at, here in zip(volume, plane, strict=True)
    )
    return through.pop() if len(through) == 1 and inside else None


def create_volume_source(
    layer: Labels, volume: LabelsIndex, create: Callable[[LabelsIndex], MeasurementSource]
) -> VolumeSource:
    """Create what a volume of labels is measured from.

    Parameters
    ----------
    layer : napari.layers.Labels
    volume : tuple of int and slice
        Index with three slices.
    create : callable
        Returns what a slice is measured from, given its index.
    """
    axis = index_axes(volume)[0]
    slices = (
        create((*volume[:axis], at, *volume[axis + 1 :]))
        for at in range(full_resolution_data(layer).shape[axis])
    )
    return VolumeSource(tuple(slices), axis_step(layer, axis))
