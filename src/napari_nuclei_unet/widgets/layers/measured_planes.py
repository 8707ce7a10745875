"""The planes or volumes of a labels layer that are measured, and the size of their pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels, Layer

from ...errors import UserError
from ...io.units import to_micrometers
from ...labels.column_units import find_column_unit
from .geometry import full_resolution_data, hidden_axes
from .label_ids import LabelsIndex, index_axes, index_plane_axes
from .labels_state import LabelsState
from .measurements import axis_step, pixel_spacing
from .volumes import is_volume, list_volumes

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Pixels of labels that are measured in the window; more take minutes, and memory for the table.
MAX_MEASURED_PIXELS = 300_000_000
TOO_LARGE_TO_MEASURE = (
    "These labels are too large to be measured here: their table is beside their store."
)


def is_too_large(layer: Labels) -> bool:
    """Return whether labels are too large to be measured in the window."""
    return math.prod(full_resolution_data(layer).shape) > MAX_MEASURED_PIXELS


def measured_plane_axes(viewer: ViewerModel, layer: Labels) -> tuple[int, int]:
    """Return the axes of the planes that were measured, or else are on view.

    Of volumes they are those of the slices.
    """
    if is_volume(layer):
        return index_plane_axes(list_volumes(layer)[0])
    for plane in LabelsState.of(layer).features.planes.values():
        return index_plane_axes(plane.index)
    hidden = hidden_axes(viewer, layer)
    rows, columns = (axis for axis in range(layer.ndim) if axis not in hidden)
    return rows, columns


def list_planes(viewer: ViewerModel, layer: Labels) -> list[LabelsIndex]:
    """Return the indices of all planes of labels, or of all volumes if a nucleus is one along z.

    Raises
    ------
    UserError
        If the labels are too large.
    """
    if is_too_large(layer):
        raise UserError(TOO_LARGE_TO_MEASURE)
    if is_volume(layer):
        return list_volumes(layer)
    axes = measured_plane_axes(viewer, layer)
    shape = full_resolution_data(layer).shape
    lengths = [1 if axis in axes else length for axis, length in enumerate(shape)]
    return [
        tuple(slice(None) if n in axes else at for n, at in enumerate(position))
        for position in np.ndindex(*lengths)
    ]


def pixel_micrometers(layer: Layer, axes: tuple[int, int]) -> tuple[float, float] | None:
    """Return the size of a pixel along two axes of a layer; None where it has none."""
    spacing = pixel_spacing(layer, axes)
    rows, columns = (
        to_micrometers(size, str(layer.units[axis]))
        for size, axis in zip(spacing, axes, strict=True)
    )
    return None if rows is None or columns is None else (rows, columns)


def length_unit(layer: Layer, axes: Sequence[int]) -> str:
    """Return the sign of the unit of lengths, such as "µm"; empty, where nobody knows it."""
    names = {str(layer.units[axis]) for axis in axes}
    if names == {"pixel"}:
        return "px" if all(axis_step(layer, axis) == 1 for axis in axes) else ""
    return f"{layer.units[axes[0]]:~P}" if len(names) == 1 else ""


def list_column_units(layer: Labels) -> dict[str, str]:
    """Return the signs of the units of the columns that were measured in a layer, by name.

    Columns of others may be in any unit.
    """
    planes = list(LabelsState.of(layer).features.planes.values())
    if not planes:
        return {}
    unit = length_unit(layer, index_axes(planes[0].index))
    units = {name: find_column_unit(name, unit) for plane in planes for name in plane.rows}
    return {name: sign for name, sign in units.items() if sign}
