"""The table of labels that were read from a file, as the table of their layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.axes import axis_letters
from ...labels.regionprops import LENGTH_COLUMNS, measure
from ...labels.surroundings import list_measured_columns
from .features import STATE_COLUMN, FeaturesTable
from .label_ids import LabelsIndex
from .measurements import (
    BOX_COLUMNS,
    MeasurementSource,
    create_labels_measurement_source,
    measure_box,
    whole_plane_box,
)
from .metadata_keys import SAVED_TABLE_KEY
from .streamed_features import SHAPE_COLUMNS, drop_micrometers, select_plane_rows

if TYPE_CHECKING:
    import pandas as pd


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


def _list_foreign_columns(saved: pd.DataFrame, axes: str) -> list[str]:
    """Return the columns that this program has not measured."""
    shapes = measure(np.zeros((1, 1), np.int32), None)
    own = {"index", STATE_COLUMN, *axes, *shapes, *list_measured_columns(saved)}
    return [name for name in saved if name not in own]


def _with_shapes(
    rows: pd.DataFrame, source: MeasurementSource, labels: NDArray[Any]
) -> pd.DataFrame:
    """Return rows with their lengths, which a table in pixels that are not square cannot tell."""
    exact = measure_box(source, labels, whole_plane_box(source.shape)).set_index("label")
    names = [name for name in rows if name in {*LENGTH_COLUMNS, *SHAPE_COLUMNS, *BOX_COLUMNS}]
    return rows.assign(**exact.reindex(rows["label"])[names].set_axis(rows.index))
