"""The rows of nuclei as a model of Qt, sorted by any column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QColor

from .nuclei_rows import (
    INDEX_COLUMN,
    NumberFormat,
    list_numeric_columns,
    read_values,
    select_nuclei_rows,
    sort_places,
)

# Behind the rows of nuclei within the limits of the histogram.
HIGHLIGHT_BACKGROUND = QColor(230, 159, 0, 60)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class NucleiModel(QAbstractTableModel):
    """Shows rows of nuclei, and keeps the order in which they are shown."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._sorted_by, self._descending = INDEX_COLUMN, False
        self._rows: pd.DataFrame = select_nuclei_rows(pd.DataFrame())
        self._units: Mapping[str, str] = {}
        self._order = np.zeros(0, np.intp)
        self._numbers: dict[str, tuple[NDArray[np.float64], NumberFormat]] = {}
        self._is_inside = np.zeros(0, bool)

    # the rows

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of nuclei, in the order of the features."""
        return self._rows

    @property
    def order(self) -> NDArray[np.intp]:
        """The places in :attr:`rows` in the order in which they are shown."""
        return self._order

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._rows)

    @property
    def sorted_by(self) -> str:
        """The column by which the rows are sorted."""
        return self._sorted_by

    @property
    def is_descending(self) -> bool:
        """Whether the largest value is shown first."""
        return self._descending

    def title(self, column: str) -> str:
        """Return the name of a column with its unit, such as "area (µm²)"."""
        unit = self._units.get(column, "")
        return f"{column} ({unit})" if unit else column

    def set_features(self, features: pd.DataFrame, units: Mapping[str, str]) -> None:
        """Show the nuclei of other features; the order stays, if its column is still there.

        Parameters
        ----------
        features : pandas.DataFrame
        units : mapping of str to str
            Signs of the units of columns that have one.
        """
        self.beginResetModel()
        self._units = units
        self._rows = select_nuclei_rows(features)
        names = list_numeric_columns(self._rows)
        values = {name: read_values(self._rows, name) for name in names}
        self._numbers = {name: (one, NumberFormat(one)) for name, one in values.items()}
        self._is_inside = np.zeros(len(self._rows), bool)
        self._order = self._sort()
        self.endResetModel()

    def highlight(self, is_inside: NDArray[np.bool_]) -> None:
        """Mark rows, in the order of :attr:`rows`."""
        self._is_inside = is_inside
        if len(self._rows):
            last = self.index(len(self._rows) - 1, len(self.columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last, [Qt.ItemDataRole.BackgroundRole])

    def _sort(self) -> NDArray[np.intp]:
        if self._sorted_by not in self._rows:
            self._sorted_by, self._descending = INDEX_COLUMN, False
        return sort_places(self._rows[self._sorted_by], self._descending)

    # what Qt asks for

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of nuclei."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._rows.columns)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column, with its unit."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._rows.columns):
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self.title(self._rows.columns[section])
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text, alignment or background of a cell."""
        place, name = self._order[index.row()], self._rows.columns[index.column()]
        is_number = name in self._numbers or name == INDEX_COLUMN
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(place, name)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if is_number else _LEFT
        if role == Qt.ItemDataRole.BackgroundRole and self._is_inside[place]:
            return HIGHLIGHT_BACKGROUND
        return None

    def _text(self, place: int, name: str) -> str:
        if name in self._numbers:
            values, number = self._numbers[name]
            return number(values[place])
        value = self._rows[name].iat[place]
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        return "" if value is None or value != value else str(value)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; selected rows stay selected."""
        if not 0 <= column < len(self._rows.columns):
            return
        self.layoutAboutToBeChanged.emit()
        self._sorted_by = self._rows.columns[column]
        self._descending = order == Qt.SortOrder.DescendingOrder
        kept = self.persistentIndexList()
        places = self._order[np.array([index.row() for index in kept], np.intp)]
        self._order = self._sort()
        row_of_place = np.argsort(self._order)
        moved = [
            self.index(int(row_of_place[place]), index.column())
            for place, index in zip(places, kept, strict=True)
        ]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()
