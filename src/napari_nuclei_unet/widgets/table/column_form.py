"""The form that selects a column, limits of its values, and the colours of the nuclei."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from ...labels.volume_regionprops import VOLUME_COLUMN
from ..common.controls import create_button, create_combo_box, create_label, create_row
from ..common.layer_combo import reload_choices
from .coloring import ColorRange
from .column_summary import OPEN_LIMITS, ValueLimits
from .histogram import ColumnHistogram
from .limits_edit import LimitsEdit
from .nuclei_rows import describe_no_numbers, list_numeric_columns, read_values

if TYPE_CHECKING:
    import pandas as pd

# What is shown at first, if there is such a column: positions say little.
PREFERRED_COLUMNS = ("area", VOLUME_COLUMN)


@dataclass(frozen=True)
class ColumnChoice:
    """What is looked at.

    Attributes
    ----------
    column : str
        Of the histogram and the statistics; empty: there is none.
    limits : ValueLimits
        Of its values.
    color_by : str
        The column that colours the nuclei; empty: they have the colours of their layer.
    """

    column: str = ""
    limits: ValueLimits = OPEN_LIMITS
    color_by: str = ""


class ColumnForm(QWidget):
    """A histogram of a column with two limits, and the list of columns that colour the nuclei.

    Attributes
    ----------
    is_left_out : ndarray, one for each row, bool
        Which rows are not counted.

    Signals
    -------
    changed
        There is another :meth:`value`.
    class_requested
        What is within the limits shall become a column.
    delete_requested : bool
        The nuclei within the limits shall be deleted, or else those outside.
    """

    changed = Signal()
    class_requested = Signal()
    delete_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._rows: pd.DataFrame | None = None
        self.is_left_out = np.zeros(0, bool)
        self._column = create_combo_box(
            "histogram_column", "The column of histogram and statistics.", self._list_columns
        )
        self._color_by = create_combo_box(
            "color_by", "Colour the nuclei by the values of a column.", self._list_colors
        )
        self.histogram = ColumnHistogram()
        self._limits = LimitsEdit()
        self._count = create_label("within_limits")
        self._write = create_button(
            "write_class",
            "Write as class",
            "Add a column to the table: positive within the limits, negative outside.",
            self.class_requested.emit,
        )
        self._reset = create_button(
            "reset_limits", "Reset", "Move the limits to both ends.", self._open_limits
        )
        self._delete = create_button(
            "delete_by_limits",
            "Delete",
            "Delete nuclei within or outside the limits; Ctrl+Z undoes.",
        )
        self._delete.setMenu(self._create_delete_menu())
        lists = QFormLayout()
        lists.setContentsMargins(0, 0, 0, 0)
        lists.addRow("Histogram", self._column.native)
        lists.addRow("Colour by", self._color_by.native)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(lists)
        layout.addWidget(self.histogram, 1)
        layout.addLayout(_create_line(self._limits, self._reset))
        layout.addWidget(self._count)
        layout.addWidget(create_row(self._write, self._delete))
        self._column.changed.connect(self._open_limits)
        for combo in (self._column.native, self._color_by.native):  # may be too narrow for a name
            combo.currentTextChanged.connect(combo.setToolTip)
        self._color_by.changed.connect(self._on_changed)
        self._limits.changed.connect(self.histogram.set_limits)
        self.histogram.limits_changed.connect(self._on_changed)

    def _create_delete_menu(self) -> QMenu:
        menu = QMenu(self)
        for name, inside in (("inside", True), ("outside", False)):
            action = QAction(f"{name.capitalize()} the limits", menu)
            action.setObjectName(f"delete_{name}")
            action.triggered.connect(partial(self._request_delete, inside))
            menu.addAction(action)
        return menu

    def _request_delete(self, inside: bool, *_: object) -> None:
        self.delete_requested.emit(inside)

    def value(self) -> ColumnChoice:
        """Return what is looked at."""
        limits = self.histogram.limits
        return ColumnChoice(self._column.value or "", limits, self._color_by.value or "")

    def set_value(self, value: ColumnChoice) -> None:
        """Select columns, of those that have numbers, and limits."""
        with self._column.changed.blocked(), self._color_by.changed.blocked():
            for combo, name in ((self._column, value.column), (self._color_by, value.color_by)):
                if name in combo.choices:
                    combo.value = name
        self._draw()
        self.histogram.set_limits(value.limits)
        self._explain(value.column)

    def _explain(self, column: str) -> None:
        """Show why a column that was asked for is not shown."""
        reason = "" if self._rows is None else describe_no_numbers(self._rows, column)
        if reason:
            self._count.setText(reason)

    def set_column(self, name: str) -> None:
        """Select the column of the histogram, if it has numbers; new limits are open."""
        self._explain(name)
        if name in self._column.choices and name != self._column.value:
            self.set_value(replace(self.value(), column=name, limits=OPEN_LIMITS))

    def show_rows(self, rows: pd.DataFrame, is_left_out: NDArray[np.bool_]) -> None:
        """Show rows of nuclei; limits of a column that is gone are dropped.

        Parameters
        ----------
        rows : pandas.DataFrame
        is_left_out : ndarray, one for each row, bool
            Which are not counted.
        """
        self._rows, self.is_left_out = rows, is_left_out
        limits, before = self.histogram.limits, self._column.value
        reload_choices(self._color_by)
        changed = reload_choices(self._column, before, *PREFERRED_COLUMNS)
        is_another = changed and before is not None
        self._draw()
        self.histogram.set_limits(OPEN_LIMITS if is_another else limits)

    def _draw(self) -> None:
        self.histogram.show_values(self.read(self._column.value or ""))

    def read(self, column: str) -> NDArray[np.float64]:
        """Return the values of a column; NaN in rows that are left out, or without the column."""
        if self._rows is None:
            return np.zeros(0)
        if column not in self._rows:
            return np.full(len(self._rows), np.nan)
        return np.where(self.is_left_out, np.nan, read_values(self._rows, column))

    def _open_limits(self, *_: object) -> None:
        self._draw()
        self.histogram.set_limits(OPEN_LIMITS)

    def _on_changed(self, *_: object) -> None:
        choice = self.value()
        values = self.read(choice.column)
        self._limits.show_limits(choice.limits, values)
        texts = [choice.limits.describe(values)]
        if choice.color_by:
            texts.append(ColorRange.of(self.read(choice.color_by)).describe())
        self._count.setText(" · ".join(texts))
        for button in (self._write, self._delete, self._reset):
            button.setEnabled(not choice.limits.is_open)
        self.changed.emit()

    def _list_columns(self, _: Any) -> list[str]:
        return [] if self._rows is None else list_numeric_columns(self._rows)

    def _list_colors(self, _: Any) -> list[tuple[str, str]]:
        return [("off", ""), *((name, name) for name in self._list_columns(None))]


def _create_line(first: QWidget, button: QPushButton) -> QHBoxLayout:
    """Lay out a button after something that takes the room that is left."""
    line = QHBoxLayout()
    line.addWidget(first, 1)
    line.addWidget(button)
    return line
