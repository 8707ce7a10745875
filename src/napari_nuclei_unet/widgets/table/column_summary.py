"""What is said of the values of a column: their statistics, and how many are within limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...counts import format_count
from .nuclei_rows import format_number


@dataclass(frozen=True)
class ColumnSummary:
    """Statistics of the values that are known.

    Attributes
    ----------
    count : int
    mean, std, median : float
        NaN where there are too few values; ``std`` is that of a sample, as of pandas.
    """

    count: int
    mean: float
    std: float
    median: float

    @staticmethod
    def of(values: NDArray[np.float64]) -> ColumnSummary:
        """Compute the statistics of values."""
        known = values[np.isfinite(values)]
        if not known.size:
            return ColumnSummary(0, math.nan, math.nan, math.nan)
        std = float(known.std(ddof=1)) if known.size > 1 else math.nan
        return ColumnSummary(known.size, float(known.mean()), std, float(np.median(known)))

    def describe(self) -> str:
        """Return the statistics as a line of text."""
        numbers = {"mean": self.mean, "SD": self.std, "median": self.median}
        texts = [
            f"{name} {format_number(value)}"
            for name, value in numbers.items()
            if math.isfinite(value)
        ]
        return " · ".join([f"n {self.count:,}", *texts])


@dataclass(frozen=True)
class ValueLimits:
    """Limits of values, both included.

    Attributes
    ----------
    low, high : float
        Infinite where there is no limit.
    """

    low: float = -math.inf
    high: float = math.inf

    @property
    def is_open(self) -> bool:
        """Whether there is no limit at all."""
        return math.isinf(self.low) and math.isinf(self.high)

    def contain(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which values are within the limits; missing ones are not."""
        return (values >= self.low) & (values <= self.high)

    def describe(self, values: NDArray[np.float64]) -> str:
        """Return how many values are within the limits, such as "35 of 105 (33 %) above 80"."""
        total = int(np.isfinite(values).sum())
        if self.is_open or not total:
            return format_count(total, "nucleus") if total else "No values"
        count, low, high = int(self.contain(values).sum()), self.low, self.high
        part = f"{count:,} of {total:,} ({round(100 * count / total)} %)"
        if math.isinf(low):
            return f"{part} below {format_number(high)}"
        if math.isinf(high):
            return f"{part} above {format_number(low)}"
        return f"{part} between {format_number(low)} and {format_number(high)}"


OPEN_LIMITS = ValueLimits()
