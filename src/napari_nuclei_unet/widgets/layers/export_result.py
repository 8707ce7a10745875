"""A labels layer with its table and geometry, as it is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from ...arrays.axes import axis_letters
from ...io.paths import sanitize_name
from .geometry import full_resolution_data, pixel_to_world
from .labels_state import LabelsState
from .link_corrections import has_linked_frames, record_with_corrections
from .link_history import LinkHistory
from .measured_planes import measured_plane_axes
from .volumes import find_volume_axes, is_volume

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export import Result

# File name for a layer without a usable name.
DEFAULT_FILE_STEM = "nuclei"


def build_export_result(viewer: ViewerModel, layer: Labels) -> Result:
    """Collect labels, their table, tracks and geometry, with the axes of measured planes last."""
    result = build_result(layer, measured_plane_axes(viewer, layer))
    if not has_linked_frames(layer):  # of labels whose ids are new tracks are those of others
        return result
    return replace(result, tracks=LinkHistory.of(viewer, layer).read_tracks())


def build_result(layer: Labels, axes: tuple[int, int]) -> Result:
    """Collect labels, their table and their geometry, with the axes of planes last."""
    from ...export import Result  # imports pandas

    order = [axis for axis in range(layer.ndim) if axis not in axes] + list(axes)
    data = full_resolution_data(layer)
    moved = order != sorted(order)
    labels = np.asarray(data).transpose(order) if moved else data
    _, linear = pixel_to_world(layer)
    letters = list(axis_letters(layer.axis_labels, axes))
    if is_volume(layer) and "Z" not in letters:  # whatever the layer calls it
        letters[find_volume_axes(layer)[0]] = "Z"
    units = [None if str(layer.units[axis]) == "pixel" else str(layer.units[axis])
             for axis in order]  # fmt: skip
    table = LabelsState.of(layer).features.world_table().rename(columns={"index": "label"})
    return Result(
        labels=labels,
        table=table,
        axes="".join(letters[axis] for axis in order),
        spacing=tuple(float(np.linalg.norm(linear[:, axis])) for axis in order),
        units=tuple(units),
        record=record_with_corrections(layer),
        name=sanitize_name(layer.name, DEFAULT_FILE_STEM),
    )
