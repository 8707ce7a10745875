"""The table of labels that were read from a file, as the table of their layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arrays.axes import axis_letters
from .label_ids import LabelsIndex
from .measurements import create_labels_measurement_source
from .metadata_keys import SAVED_TABLE_KEY
from .streamed_features import drop_micrometers, select_plane_rows

if TYPE_CHECKING:
    from .features import FeaturesTable


def adopt_saved_table(table: FeaturesTable) -> None:
    """Take over the rows that a reader has put into the features of a layer, in pixels.

    They are shown in the units of the layer, as those that are measured.
    """
    layer = table.layer
    starts = layer.metadata.get(SAVED_TABLE_KEY)
    if starts is None:
        return
    layer.metadata = {key: one for key, one in layer.metadata.items() if key != SAVED_TABLE_KEY}
    layer.features = drop_micrometers(layer.features)  # or they would stay as columns of others
    saved = layer.features.rename(columns={"index": "label"})
    *lengths, height, width = layer.data.shape
    names = axis_letters(layer.axis_labels, (layer.ndim - 2, layer.ndim - 1)).lower()[:-2]
    for position in np.ndindex(*lengths):
        index: LabelsIndex = (*position, slice(None), slice(None))
        source = create_labels_measurement_source(layer, index, None, None)
        columns = {
            name: at + start
            for name, at, start in zip(names, position, starts, strict=True)
            if name in saved
        }
        rows = select_plane_rows(saved, columns, (height, width), source.spacing)
        table.set_measurements(index, source, rows)
    table.publish()
