"""Where the nucleus of a row is in its layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from ...arrays.axes import axis_letters
from ...arrays.boxes import bounding_box
from ...errors import UserError
from ...labels.volume_boxes import find_label_box
from ...limits import DEFAULT_LIMITS
from ..layers.geometry import full_resolution_data, plane_on_view
from ..layers.label_ids import LabelsIndex, index_axes, index_plane_axes
from ..layers.labels_state import LabelsState
from ..layers.plane_features import NucleusPlace
from ..layers.volumes import is_volume, list_volumes
from .nuclei_rows import INDEX_COLUMN

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel


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
            return plane.place(place)
    if is_volume(layer) and isinstance(layer.data, np.ndarray):
        return _find_in_volumes(layer, label, row)
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


def _find_in_volumes(layer: Labels, label: int, row: pd.Series) -> NucleusPlace | None:
    """Find a nucleus along z that others have measured: its largest section."""
    for volume in list_volumes(layer):
        labels = layer.data[volume]
        box = find_label_box(labels, label) if is_on_plane(layer, volume, row) else None
        if box is not None:
            sections = (labels[box] == label).sum(axis=(1, 2))
            at = box[0].start + int(sections.argmax())
            axis = index_axes(volume)[0]
            return NucleusPlace((*volume[:axis], at, *volume[axis + 1 :]), box[1:])
    return None


def _find_in_pixels(viewer: ViewerModel, layer: Labels, label: int) -> NucleusPlace | None:
    """Find a nucleus that others have measured."""
    data = full_resolution_data(layer)
    for index in _iter_planes(viewer, layer, data):
        mask = np.asarray(data[index]) == label
        if mask.any():
            return NucleusPlace(index, bounding_box(mask))
    return None


def _iter_planes(viewer: ViewerModel, layer: Labels, data: Any) -> Iterator[LabelsIndex]:
    """Yield the plane on view, if it fits in memory; then all planes, if they are in memory."""
    index: LabelsIndex = (*(0,) * (layer.ndim - 2), slice(None), slice(None))
    with suppress(UserError):  # the view shows nothing of the layer
        index = plane_on_view(viewer, layer)
        rows, columns = index_plane_axes(index)
        if data.shape[rows] * data.shape[columns] <= DEFAULT_LIMITS.paintable_pixels:
            yield index
    if isinstance(data, np.ndarray):
        lengths = [1 if isinstance(at, slice) else data.shape[n] for n, at in enumerate(index)]
        for position in np.ndindex(*lengths):
            pairs = zip(index, position, strict=True)
            yield tuple(at if isinstance(at, slice) else here for at, here in pairs)
