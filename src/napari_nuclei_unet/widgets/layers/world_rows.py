"""Rows of several planes in one table, with centroids in world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from ...arrays.axes import axis_letters
from ...io.tables import insert_position
from .geometry import pixel_to_world
from .label_ids import LabelsIndex, index_axes, index_plane_axes
from .measurements import box_columns, centroid_columns

if TYPE_CHECKING:
    import pandas as pd


def build_world_table(
    layer: Labels, planes: Sequence[tuple[LabelsIndex, pd.DataFrame]]
) -> pd.DataFrame:
    """Build one table: ``index`` first, then positions on hidden axes, then measurements.

    Centroids are in world coordinates, in the units of the layer.
    """
    import pandas as pd  # takes longer to load than a dock

    if not planes:
        return pd.DataFrame({"index": np.zeros(0, np.int64)})
    return pd.concat([_world_rows(layer, *plane) for plane in planes], ignore_index=True)


def _world_rows(layer: Labels, index: LabelsIndex, plane_rows: pd.DataFrame) -> pd.DataFrame:
    axes = index_axes(index)
    names = centroid_columns(len(axes))
    rows = plane_rows.drop(columns=["label", *box_columns(len(axes))])
    hidden = {axis: at for axis, at in enumerate(index) if not isinstance(at, slice)}
    pixels = np.zeros((len(rows), len(index)))
    pixels[:, list(hidden)] = list(hidden.values())
    pixels[:, axes] = rows[names]
    origin, linear = pixel_to_world(layer)
    rows[names] = (pixels @ linear.T + origin)[:, axes]
    shape = layer.data.shape
    letters = axis_letters(layer.axis_labels, index_plane_axes(index)).lower()
    positions = {letters[axis]: at for axis, at in hidden.items() if shape[axis] > 1}
    return insert_position(rows, {"index": plane_rows["label"], **positions})
