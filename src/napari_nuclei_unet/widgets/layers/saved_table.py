"""The table of labels that were read from a file, as the table of their layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.axes import axis_letters
from ...labels.regionprops import LENGTH_COLUMNS, measure
from ...labels.surroundings import list_measured_columns
from ...labels.volume_regionprops import measure_volume
from .features import FeaturesTable
from .label_ids import LabelsIndex, index_plane_axes
from .measurements import (
    BOX_COLUMNS,
    MeasurementSource,
    create_labels_measurement_source,
    measure_box,
    whole_box,
    whole_plane_box,
)
from .metadata_keys import SAVED_TABLE_KEY
from .plane_features import STATE_COLUMN
from .streamed_features import SHAPE_COLUMNS, drop_micrometers, select_plane_rows
from .volumes import create_volume_source, is_volume, list_volumes

if TYPE_CHECKING:
    import pandas as pd

# Voxels of labels in a file that are read at once when they are opened.
MAX_READ_VOXELS = 100_000_000


def adopt_saved_table(table: FeaturesTable) -> None:
    """Take over the rows that a reader has put into the features of a layer, in pixels.

    They are shown in the units of the layer, as those that are measured.
    """
    layer = table.layer
    starts = layer.metadata.get(SAVED_TABLE_KEY)
    if starts is None:
        return
    layer.metadata = {key: one for key, one in layer.metadata.items() if key != SAVED_TABLE_KEY}
    *lengths, height, width = layer.data.shape
    names = axis_letters(layer.axis_labels, (layer.ndim - 2, layer.ndim - 1)).lower()[:-2]
    saved = drop_micrometers(layer.features)  # or they would stay as columns of others
    others = _list_foreign_columns(saved, names)
    layer.features = saved[["index", *others]]  # which their authors may go on to change
    saved = saved.drop(columns=others).rename(columns={"index": "label"})
    if STATE_COLUMN in saved:  # of numbers, where no nucleus has a state
        saved = saved.astype({STATE_COLUMN: object})
    if is_volume(layer):
        _adopt_volumes(table, saved, dict(zip(names, starts, strict=True)))
        return
    for position in np.ndindex(*lengths):
        index: LabelsIndex = (*position, slice(None), slice(None))
        source = create_labels_measurement_source(layer, index)
        columns = {
            name: at + start
            for name, at, start in zip(names, position, starts, strict=True)
            if name in saved
        }
        rows = select_plane_rows(saved, columns, (height, width), source.spacing)
        if not np.isclose(*source.spacing) and isinstance(layer.data, np.ndarray):
            rows = _with_shapes(rows, source, table.read_plane(index))
        table.set_measurements(index, source, rows)
    table.publish()


def _adopt_volumes(table: FeaturesTable, saved: pd.DataFrame, starts: dict[str, int]) -> None:
    """Take over rows of nuclei that are objects along z, whose shapes are measured again.

    Of labels in a file that are too large for that they stay as the file has them, until somebody
    measures them.
    """
    layer = table.layer
    if not isinstance(layer.data, np.ndarray) and np.prod(layer.data.shape) > MAX_READ_VOXELS:
        layer.features = saved.rename(columns={"label": "index"})
        return
    for volume in list_volumes(layer):
        create = partial(create_labels_measurement_source, layer)
        source = create_volume_source(layer, volume, create)
        letters = axis_letters(layer.axis_labels, index_plane_axes(volume)).lower()
        is_here = np.ones(len(saved), bool)
        for axis, at in enumerate(volume):
            if not isinstance(at, slice) and letters[axis] in saved:
                is_here &= saved[letters[axis]] == at + starts.get(letters[axis], 0)
        rows = saved[is_here].drop(columns=[name for name in starts if name in saved])
        exact = measure_box(source, table.read_plane(volume), whole_box(source.shape))
        known = rows.set_index("label")
        kept = [name for name in known if name not in exact or exact[name].isna().all()]
        exact[kept] = known.reindex(exact["label"])[kept].to_numpy()
        table.set_measurements(volume, source, exact.astype(known[kept].dtypes))
    table.publish()


def _list_foreign_columns(saved: pd.DataFrame, axes: str) -> list[str]:
    """Return the columns that this program has not measured."""
    nothing = np.zeros((1, 1, 1), np.int32)
    shapes = {*measure(nothing[0], None), *measure_volume(nothing, None)}
    own = {"index", STATE_COLUMN, *axes, *shapes, *list_measured_columns(saved)}
    return [name for name in saved if name not in own]


def _with_shapes(
    rows: pd.DataFrame, source: MeasurementSource, labels: NDArray[Any]
) -> pd.DataFrame:
    """Return rows with their lengths, which a table in pixels that are not square cannot tell."""
    exact = measure_box(source, labels, whole_plane_box(source.shape)).set_index("label")
    names = [name for name in rows if name in {*LENGTH_COLUMNS, *SHAPE_COLUMNS, *BOX_COLUMNS}]
    return rows.assign(**exact.reindex(rows["label"])[names].set_axis(rows.index))
