"""Classes of nuclei: which are within limits of a column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .column_summary import ValueLimits
from .nuclei_rows import INDEX_COLUMN, average_by_nucleus

if TYPE_CHECKING:
    import pandas as pd

# Before the name of a channel: nuclei are positive for Ki67, not for its mean.
STATISTIC = re.compile("^(mean|median|min|max|std|integrated)_(intensity_)?")


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
    return f"{count:,} {'nucleus' if count == 1 else 'nuclei'} deleted. Ctrl+Z undoes."
