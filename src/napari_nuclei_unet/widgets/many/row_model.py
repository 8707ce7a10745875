"""The list of images as a model of Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

from ...io.paths import printable
from .rows import ImageRow, RowStatus

COLUMN_TITLES = ("Status", "Image", "Nuclei", "Area", "Left out")
COLUMN_TOOLTIPS = (
    "Waiting, running, done or failed; rest the mouse on a failed one to see why.",
    "A click opens the image with its nuclei.",
    "How many nuclei were found.",
    "Median area of the nuclei; of z-stacks their median volume.",
    "Doubtful nuclei and fragments that were found and left out.",
)
# Seen on dark and on light themes.
STATUS_COLORS = {
    RowStatus.RUNNING: QColor("#3a9bdc"),
    RowStatus.DONE: QColor("#009e73"),
    RowStatus.FAILED: QColor("#d55e00"),
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class RowColumn(IntEnum):
    """The columns of the list."""

    STATUS = 0
    IMAGE = 1
    NUCLEI = 2
    AREA = 3
    LEFT_OUT = 4


class RowModel(QAbstractTableModel):
    """Shows the images of a run; no file is opened for that.

    Signals
    -------
    rows_changed
        There are other images, or one of them stands elsewhere.
    """

    rows_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[ImageRow] = []

    def rows(self) -> tuple[ImageRow, ...]:
        """Return all rows, in the order of the list."""
        return tuple(self._rows)

    def row(self, index: int) -> ImageRow:
        """Return a row by its place in the list."""
        return self._rows[index]

    def set_rows(self, rows: Iterable[ImageRow]) -> None:
        """Show other images."""
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()
        self.rows_changed.emit()

    def set_row(self, index: int, row: ImageRow) -> None:
        """Show where an image stands now."""
        self._rows[index] = row
        self.dataChanged.emit(self.index(index, 0), self.index(index, len(COLUMN_TITLES) - 1))
        self.rows_changed.emit()

    # what Qt asks for

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMN_TITLES)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the title of a column, and what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(COLUMN_TITLES):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMN_TITLES[section]
        return COLUMN_TOOLTIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text, tooltip, colour or alignment of a cell."""
        row, column = self._rows[index.row()], RowColumn(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return describe_cell(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _describe_row(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column >= RowColumn.NUCLEI else _LEFT
        if role == Qt.ItemDataRole.ForegroundRole and column is RowColumn.STATUS:
            return STATUS_COLORS.get(row.status)
        return None


def describe_cell(row: ImageRow, column: RowColumn) -> str:
    """Return the text of a cell; empty where nothing is known yet."""
    if column is RowColumn.STATUS:
        return row.status.value
    if column is RowColumn.IMAGE:
        return row.item.title
    summary = row.summary
    if summary is None or not summary.result:
        return ""
    if column is RowColumn.NUCLEI:
        return f"{summary.nuclei:,}"
    if column is RowColumn.AREA:
        return _describe_size(row)
    return f"{summary.left_out:,.0f}" if math.isfinite(summary.left_out) else ""


def _describe_size(row: ImageRow) -> str:
    """Return the median size of the nuclei of an image, in the best unit that is known."""
    assert row.summary is not None
    known = row.summary.statistics
    sizes = {
        "µm³": known.median_volume_um3, "voxels": known.median_volume,
        "µm²": known.median_area_um2, "px²": known.median_area,
    }  # fmt: skip
    return next(
        (f"{_round(size)} {unit}" for unit, size in sizes.items() if math.isfinite(size)), ""
    )


def _round(size: float) -> str:
    return f"{size:,.0f}" if size >= 100 else f"{size:.3g}"


def _describe_row(row: ImageRow) -> str:
    """Return where an image lies, and why it has failed."""
    error = "" if row.summary is None else row.summary.error
    where = printable(row.item.location)
    return f"{error}\n{where}" if error else where
