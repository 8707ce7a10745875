"""Formats for labels in napari's own save dialog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.axes import axis_letters
from ..io.labels import RECORD_KEY
from .result import Result, with_shapes
from .save import has_table_beside, is_ome_tiff, save_with_table


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a labels layer.

    Parameters
    ----------
    path : str
        Its extension determines the format, see ``export.save``.
    data : ndarray, shape (..., Y, X), integer
        Or a list of these, full resolution first, if ``multiscale``.
    attributes : dict
        Of the layer. Its features are the measurements; without any, shapes are measured.

    Returns
    -------
    list of str
        The file; of ``<name>_labels.ome.tif`` also the table, ``<name>_nuclei.csv``.

    Raises
    ------
    UserError
        As from ``export.save``.
    """
    labels = data[0] if attributes.get("multiscale") else data
    ndim = len(labels.shape)
    names = attributes.get("axis_labels") or [""] * ndim
    units = (str(unit) for unit in attributes.get("units", ()))
    result = Result(
        labels,
        {},
        axis_letters(names, (ndim - 2, ndim - 1)),
        tuple(abs(float(size)) for size in attributes.get("scale", ())),
        tuple(None if unit == "pixel" else unit for unit in units),
        attributes.get("metadata", {}).get(RECORD_KEY, {}),
        attributes.get("name", "nuclei"),
    )
    if has_table_beside(path) or not is_ome_tiff(path):
        features = attributes.get("features")
        known = features is not None and len(features.columns)
        result = replace(result, table=_features_table(features) if known else {})
        # those that are not ours are saved as they are
        if features is None or not known or "area" in features or result.is_volume:
            result = with_shapes(result)
    return [str(saved) for saved in save_with_table(path, result)]


def _features_table(features: pd.DataFrame) -> pd.DataFrame:
    """Return the features of a layer, with a label from their index or order."""
    table = pd.DataFrame({str(name): _plain_column(features[name]) for name in features})
    if "label" in table and table["label"].dtype.kind not in "iuf":
        table["label_text"] = table.pop("label")
    ids = table.pop("index") if "index" in table else table.index
    table.insert(0, "label", table.pop("label") if "label" in table else ids)
    return table[table["label"] > 0]  # neither background nor NaN


def _plain_column(column: Any) -> NDArray[Any]:
    """Convert a column to an array: numbers as they are, anything else as text."""
    values = np.asarray(column)
    if values.dtype.kind in "biuf":
        return values
    return np.where(pd.isna(values), "", values.astype(str))  # what is missing is no text
