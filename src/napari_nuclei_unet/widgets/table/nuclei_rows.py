"""The rows of nuclei in the features of a labels layer, whoever has filled them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...io.tables import escape_formulas
from ...labels.regionprops import BORDER_COLUMN

# Holds the label of a nucleus, as napari reads features of labels.
INDEX_COLUMN = "index"
SIGNIFICANT_DIGITS, MOST_DECIMALS = 4, 6


def select_nuclei_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of nuclei, their label first as an integer; the background is left out.

    Features without a column ``index`` have a row for each label, from 0 on, as napari reads
    them. The index of the returned rows is their place in the features.
    """
    features = features.loc[:, ~features.columns.duplicated()].reset_index(drop=True)
    labels = features.index.to_series()
    if INDEX_COLUMN in features:
        numbers = pd.to_numeric(features[INDEX_COLUMN], errors="coerce")
        labels = numbers.replace([np.inf, -np.inf], np.nan).fillna(0).astype(np.int64)
    rows = features.drop(columns=INDEX_COLUMN, errors="ignore").set_axis(
        [str(name) for name in features if name != INDEX_COLUMN], axis=1
    )
    rows.insert(0, INDEX_COLUMN, labels)
    return rows[rows[INDEX_COLUMN] > 0]


def list_numeric_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that hold measurements: no label, no text, no yes or no."""
    types = {name: rows[name].dtype for name in rows if name != INDEX_COLUMN}
    return [
        name
        for name, dtype in types.items()
        if pd.api.types.is_float_dtype(dtype) or pd.api.types.is_integer_dtype(dtype)
    ]


def read_values(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Return the values of a numeric column; NaN where they are missing or infinite."""
    values = rows[column].to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def describe_no_numbers(rows: pd.DataFrame, column: str) -> str:
    """Return why a column has no histogram, as a sentence; empty, if it has numbers."""
    if column not in rows or column == INDEX_COLUMN or column in list_numeric_columns(rows):
        return ""
    kind = "yes or no" if pd.api.types.is_bool_dtype(rows[column].dtype) else "text"
    return f"'{column}' holds {kind}: a histogram needs numbers."


def touching_border(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows are of nuclei that touch the image edge, on any of their planes."""
    if BORDER_COLUMN not in rows:
        return np.zeros(len(rows), bool)
    is_cut = rows[BORDER_COLUMN].isin([True, "True", 1])
    return is_cut.groupby(rows[INDEX_COLUMN]).transform("any").to_numpy(bool)


def average_by_nucleus(rows: pd.DataFrame, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each row the mean of its nucleus, which has a row on each plane of a stack."""
    labels = rows[INDEX_COLUMN]
    if labels.is_unique:
        return values
    return pd.Series(values, index=rows.index).groupby(labels).transform("mean").to_numpy()


def sort_places(values: pd.Series, descending: bool = False) -> NDArray[np.intp]:
    """Return the places of values in their order; missing ones last, equal ones as they were."""
    values = values.reset_index(drop=True)
    if values.dtype == object:
        values = values.astype("string")  # values of several types have no order of their own
    ordered = values.sort_values(ascending=not descending, kind="stable", na_position="last")
    return ordered.index.to_numpy()


def format_as_tsv(rows: pd.DataFrame) -> str:
    """Return rows as text with tabs and a header, which spreadsheets take from the clipboard."""
    return escape_formulas(rows).to_csv(sep="\t", index=False, lineterminator="\n")


class NumberFormat:
    """Formats the values of a column with the same number of decimals, so that they align.

    Parameters
    ----------
    values : sequence of float
        Their typical size gives the number of digits.
    """

    def __init__(self, values: Sequence[float] | NDArray[np.float64]) -> None:
        sizes = np.abs(np.asarray(values, np.float64))
        sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
        magnitude = int(np.floor(np.log10(np.median(sizes)))) if sizes.size else 0
        decimals = SIGNIFICANT_DIGITS - 1 - magnitude
        whole = bool((sizes == np.round(sizes)).all())
        self._spec = f".{0 if whole else max(decimals, 0)}f"
        if decimals > MOST_DECIMALS or magnitude > 12:
            self._spec = f".{SIGNIFICANT_DIGITS - 1}e"

    def __call__(self, value: float) -> str:
        """Return a value as text; empty, if it is missing."""
        return "" if np.isnan(value) else format(value, self._spec)


def format_number(value: float) -> str:
    """Return a number that stands alone, with as many digits as it needs."""
    text = NumberFormat([value])(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
