"""Two fields for limits that are typed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from ..common.controls import fill_layout, with_properties
from .column_summary import ValueLimits
from .nuclei_rows import format_number


class LimitsEdit(QWidget):
    """Shows limits as numbers; an empty field is no limit.

    Signals
    -------
    changed : ValueLimits
        That were typed.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._limits = ValueLimits()
        self._low = with_properties(
            QLineEdit(), objectName="low_limit", toolTip="The lowest value; empty: no limit."
        )
        self._high = with_properties(
            QLineEdit(), objectName="high_limit", toolTip="The highest value; empty: no limit."
        )
        parts = QLabel("from"), self._low, QLabel("to"), self._high
        fill_layout(QHBoxLayout(self), *parts)
        for field in (self._low, self._high):
            field.editingFinished.connect(self._on_typed)

    def show_limits(self, limits: ValueLimits, values: NDArray[np.float64]) -> None:
        """Show limits; in empty fields stand the ends of the values."""
        self._limits = limits
        known = values[np.isfinite(values)]
        ends = (float(known.min()), float(known.max())) if known.size else (math.nan, math.nan)
        pairs = (self._low, limits.low, ends[0]), (self._high, limits.high, ends[1])
        for field, limit, end in pairs:
            field.setPlaceholderText(format_number(end))
            field.setText("" if math.isinf(limit) else format_number(limit))

    def _on_typed(self) -> None:
        """Take the fields that were typed in; the other keeps its digits that are not shown."""
        low, high = self._limits.low, self._limits.high
        if self._low.isModified():
            low = _read_number(self._low.text(), -math.inf, low)
        if self._high.isModified():
            high = _read_number(self._high.text(), math.inf, high)
        if self._low.isModified() or self._high.isModified():
            self.changed.emit(ValueLimits(min(low, high), max(low, high)))


def _read_number(text: str, empty: float, invalid: float) -> float:
    """Return a number that was typed, with a decimal point or comma."""
    if not text.strip():
        return empty
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return invalid
    return number if math.isfinite(number) else invalid
