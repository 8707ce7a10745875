"""Rows of several planes in one table, with centroids in world coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import axis_letters
from napari_nuclei_unet.widgets.layers.feature_rows import FeatureRows, concatenate_rows
from napari_nuclei_unet.widgets.layers.geometry import pixel_to_world
from napari_nuclei_unet.widgets.layers.label_ids import LabelsIndex, index_plane_axes


def build_world_table(
    layer: Labels, planes: Sequence[tuple[LabelsIndex, FeatureRows]]
) -> FeatureRows:
    """Build one table: ``index`` first, then positions on hidden axes, then measurements.

    Centroids are in world coordinates, in the units of the layer.
    """
    if not planes:
        return {"index": np.zeros(0, np.int64)}
    origin, linear = pixel_to_world(layer)
    return concatenate_rows([_world_rows(layer, *plane, origin, linear) for plane in planes])


def _world_rows(
    layer: Labels,
    index: LabelsIndex,
    plane_rows: FeatureRows,
    origin: NDArray[np.floating],
    linear: NDArray[np.floating],
) -> FeatureRows:
    rows = dict(plane_rows)
    labels = rows.pop("label")
    axes = index_plane_axes(index)
    hidden = {axis: at for axis, at in enumerate(index) if not isinstance(at, slice)}
    pixels = np.zeros((labels.size, len(index)))
    for axis, at in hidden.items():
        pixels[:, axis] = at
    pixels[:, axes] = np.stack([rows["centroid_y"], rows["centroid_x"]], axis=1)
    world = pixels @ linear.T + origin
    rows["centroid_y"], rows["centroid_x"] = world[:, axes[0]], world[:, axes[1]]
    shape = layer.data.shape
    letters = axis_letters(layer.axis_labels, axes).lower()
    positions = {
        letters[axis]: np.full(labels.size, at) for axis, at in hidden.items() if shape[axis] > 1
    }
    return {"index": labels, **positions, **rows}
