"""Where the nucleus of a row is in its layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from ...arrays.axes import axis_letters
from ...arrays.boxes import Box, bounding_box
from ...errors import UserError
from ..layers.geometry import full_resolution_data, plane_on_view
from ..layers.label_ids import LabelsIndex, index_plane_axes
from ..layers.labels_state import LabelsState
from .nuclei_rows import INDEX_COLUMN

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel


@dataclass(frozen=True)
class NucleusPlace:
    """The plane and the box of a nucleus.

    Attributes
    ----------
    index : tuple of int and slice
        Of the plane.
    box : (slice, slice)
        In pixels of the plane.
    """

    index: LabelsIndex
    box: Box


def find_nucleus(viewer: ViewerModel, layer: Labels, row: pd.Series) -> NucleusPlace | None:
    """Find the nucleus of a row: in its plane, if the row says which, or else on view.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    row : pandas.Series
        With the label as ``index``, and positions as the table of the layer has them.
    """
    label = int(row[INDEX_COLUMN])
    table = LabelsState.of(layer).features
    for plane in list(table.planes.values()):
        place = plane.row(label)
        if place is not None and is_on_plane(layer, plane.index, row):
            return NucleusPlace(plane.index, plane.box(place))
    return _find_in_pixels(viewer, layer, label)


def is_on_plane(layer: Labels, index: LabelsIndex, row: pd.Series) -> bool:
    """Return whether the positions of a row are those of a plane."""
    letters = axis_letters(layer.axis_labels, index_plane_axes(index)).lower()
    hidden = {letters[axis]: at for axis, at in enumerate(index) if not isinstance(at, slice)}
    return all(row[name] == at for name, at in hidden.items() if name in row.index)


def is_row_on_view(viewer: ViewerModel, layer: Labels, row: pd.Series) -> bool:
    """Return whether the positions of a row are those of the plane on view."""
    try:
        return is_on_plane(layer, plane_on_view(viewer, layer), row)
    except UserError:  # the view shows nothing of the layer
        return False


def _find_in_pixels(viewer: ViewerModel, layer: Labels, label: int) -> NucleusPlace | None:
    """Find a nucleus that others have measured, on the plane on view or else in memory."""
    data = full_resolution_data(layer)
    try:
        index = plane_on_view(viewer, layer)
        mask = np.asarray(data[index]) == label
    except UserError:
        index, mask = (0,) * (layer.ndim - 2) + (slice(None),) * 2, np.zeros((0, 0), bool)
    if not mask.any() and isinstance(data, np.ndarray) and (pixels := data == label).any():
        first = np.unravel_index(int(pixels.argmax()), pixels.shape)
        index = tuple(
            at if isinstance(at, slice) else int(there)
            for at, there in zip(index, first, strict=True)
        )
        mask = pixels[index]
    return NucleusPlace(index, bounding_box(mask)) if mask.any() else None
