"""The nuclei of the plane on view, summarized by the shapes of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from napari.layers import Labels, Shapes
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex, axis_letters
from ...errors import UserError
from ...labels.centroids import locate_nuclei
from ...labels.region_summary import NamedOutline, PlaneNuclei, summarize_regions
from ...limits import DEFAULT_LIMITS
from ..layers.geometry import full_resolution_data, plane_on_view
from ..layers.label_ids import LabelsIndex, index_plane_axes, plane_key
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import pixel_micrometers
from ..layers.measurements import CENTROID_COLUMNS
from ..layers.plane_outlines import AREA_KINDS, outlines_on_plane
from .nuclei_rows import INDEX_COLUMN

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLANE_NOT_MEASURED = "This plane is not measured yet: click Measure in Review nuclei."
# Names of columns as they are shown.
TITLES = {
    "area_mm2": "area (mm²)",
    "area_px2": "area (px²)",
    "nuclei_per_mm2": "nuclei per mm²",
    "nuclei_per_px2": "nuclei per px²",
    "within_limits": "within limits",
    "percent_within": "% within",
}


@dataclass(frozen=True, eq=False)
class NucleiValues:
    """Nuclei that are counted, and a column of their table.

    Attributes
    ----------
    layer : napari.layers.Labels or None
    rows : pandas.DataFrame
        With the label as ``index``, and positions on hidden axes.
    column : str
        Whose means are shown; empty: there is none.
    values : ndarray, one for each row
    is_inside : ndarray, one for each row, bool, or None
        Which nuclei are within the limits; None: there are none.
    """

    layer: Labels | None
    rows: pd.DataFrame
    column: str
    values: NDArray[np.float64]
    is_inside: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class ShownSummary:
    """A table of regions.

    Attributes
    ----------
    table : pandas.DataFrame
    message : str
        What was left out; empty: nothing.
    """

    table: pd.DataFrame
    message: str


def summarize_shapes(
    viewer: ViewerModel, nuclei: NucleiValues, shapes: Shapes | None
) -> ShownSummary:
    """Summarize the nuclei of the plane on view by shapes; None: of the whole field only.

    Raises
    ------
    UserError
        If the view shows no plane of the labels, or nothing is known of its nuclei.
    """
    layer = nuclei.layer
    assert layer is not None
    index = plane_on_view(viewer, layer)
    axes = index_plane_axes(index)
    regions, empty = [], 0
    if shapes is not None:
        for one in outlines_on_plane(viewer, shapes, layer, PlaneIndex(plane_key(index)), axes):
            empty += one.kind not in AREA_KINDS
            if one.kind in AREA_KINDS:
                regions.append(NamedOutline(f"{one.kind} {one.number + 1}", one.vertices))
    table = summarize_regions(_nuclei_on_plane(layer, index, nuclei), regions)
    titles = TITLES | {"mean": f"mean of {nuclei.column}"}
    message = "" if layer.ndim == 2 else "Of the plane on view."
    if empty:
        message += f" {empty} of the shapes are lines, which enclose nothing."
    if not nuclei.column:
        table = table.drop(columns="mean")
    return ShownSummary(table.rename(columns=titles), message.strip())


def _nuclei_on_plane(layer: Labels, index: LabelsIndex, nuclei: NucleiValues) -> PlaneNuclei:
    """Return the nuclei of a plane that have a row, with their centroids in pixels."""
    axes, shape = index_plane_axes(index), full_resolution_data(layer).shape
    letters = axis_letters(layer.axis_labels, axes).lower()
    rows = nuclei.rows
    is_here = np.ones(len(rows), bool)
    for axis, at in enumerate(index):
        if not isinstance(at, slice) and letters[axis] in rows:
            is_here &= (rows[letters[axis]] == at).to_numpy()
    centroids = _find_centroids(layer, index)
    is_here &= rows[INDEX_COLUMN].isin(centroids.index).to_numpy()
    return PlaneNuclei(
        (shape[axes[0]], shape[axes[1]]),
        centroids.loc[rows[INDEX_COLUMN][is_here]].to_numpy(np.float64),
        nuclei.values[is_here],
        None if nuclei.is_inside is None else nuclei.is_inside[is_here],
        pixel_micrometers(layer, axes),
    )


def _find_centroids(layer: Labels, index: LabelsIndex) -> pd.DataFrame:
    """Return the centroids of the nuclei of a plane in pixels, by label."""
    plane = LabelsState.of(layer).features.plane(index)
    if plane is not None:
        return plane.rows.set_index("label")[CENTROID_COLUMNS]
    data, axes = full_resolution_data(layer), index_plane_axes(index)
    if data.shape[axes[0]] * data.shape[axes[1]] > DEFAULT_LIMITS.paintable_pixels:
        raise UserError(PLANE_NOT_MEASURED)
    found = locate_nuclei(np.asarray(data[index]))  # others have measured it
    return pd.DataFrame(found.centres, found.ids, CENTROID_COLUMNS)
