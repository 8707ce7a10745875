"""Classes of nuclei: which are within limits of a column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...counts import format_count
from ...io.tables import CLASS_SUFFIX
from .column_summary import ValueLimits
from .nuclei_rows import (
    INDEX_COLUMN,
    average_by_nucleus,
    list_numeric_columns,
    read_values,
    select_nuclei_rows,
    touching_border,
)

if TYPE_CHECKING:
    import pandas as pd

# Before the name of a channel: nuclei are positive for Ki67, not for its mean.
STATISTIC = re.compile("^(mean|median|min|max|std|integrated)_(intensity_)?")


@dataclass(frozen=True)
class ClassRule:
    """How the nuclei of a column were classified.

    Attributes
    ----------
    limits : ValueLimits
    skips_border : bool
        Whether nuclei at the edge of the image have no class.
    """

    limits: ValueLimits
    skips_border: bool = False


def update_classes(features: pd.DataFrame, rules: Mapping[str, ClassRule]) -> pd.DataFrame:
    """Return features whose nuclei have the classes that they have by now.

    Parameters
    ----------
    features : pandas.DataFrame
        Of a labels layer.
    rules : mapping of str to ClassRule
        By the column that is classified.

    Returns
    -------
    pandas.DataFrame
        The same object where nothing has changed.
    """
    if not rules:
        return features
    rows = select_nuclei_rows(features)
    for column, rule in rules.items():
        name = f"{column}{CLASS_SUFFIX}"
        if name not in features or column not in list_numeric_columns(rows):
            continue  # it was removed
        values = read_values(rows, column)
        if rule.skips_border:
            values = np.where(touching_border(rows), np.nan, values)
        classes = np.full(len(features), "", object)
        classes[rows.index] = classify(rows, values, rule.limits, column)
        if features[name].tolist() != classes.tolist():
            features = features.assign(**{name: classes})
    return features


def classify(
    rows: pd.DataFrame, values: NDArray[np.float64], limits: ValueLimits, column: str
) -> list[str]:
    """Return the class of each row, such as "Ki67: positive"; "" where the value is missing.

    Of a nucleus on several planes the mean counts, as columns of others belong to a label.
    """
    name = STATISTIC.sub("", column)
    means = average_by_nucleus(rows, values)
    sign = np.where(limits.contain(means), "positive", "negative")
    pairs = zip(means, sign, strict=True)
    return ["" if np.isnan(mean) else f"{name}: {word}" for mean, word in pairs]


def select_labels(
    rows: pd.DataFrame, values: NDArray[np.float64], limits: ValueLimits, inside: bool
) -> NDArray[np.int64]:
    """Return the labels of nuclei within limits, or else outside; without a value in neither."""
    means = average_by_nucleus(rows, values)
    chosen = (limits.contain(means) == inside) & np.isfinite(means)
    return np.unique(rows[INDEX_COLUMN].to_numpy()[chosen])


def describe_deleted(count: int) -> str:
    """Return how many nuclei were deleted, as a sentence."""
    if not count:
        return "There are no such nuclei: nothing is deleted."
    return f"{format_count(count, 'nucleus')} deleted. Ctrl+Z undoes."
