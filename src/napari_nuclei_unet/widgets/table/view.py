"""The view of the rows of nuclei: selection, sorting, and the key that copies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QTableView

from .model import NucleiModel

# Rows that are looked at for the width of a column: all of them take seconds.
ROWS_FOR_WIDTH = 20


class NucleiView(QTableView):
    """Shows a model; a click on a header sorts.

    Parameters
    ----------
    nuclei : NucleiModel

    Signals
    -------
    nucleus_chosen : int
        The place in ``nuclei.rows`` of the row that the user went to.
    selection_changed
        Other rows are selected.
    column_clicked : str
    copy_pressed
        Ctrl+C was.
    """

    nucleus_chosen = Signal(int)
    selection_changed = Signal()
    column_clicked = Signal(str)
    copy_pressed = Signal()

    def __init__(self, nuclei: NucleiModel) -> None:
        super().__init__()
        self.setObjectName("nuclei_view")
        self._nuclei = nuclei
        self._is_following = False  # whether a row is selected by the program
        self.setModel(nuclei)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        if (rows := self.verticalHeader()) is not None:
            rows.hide()  # the number of a row looks like the label of a nucleus, and is another
            rows.setDefaultSectionSize(rows.fontMetrics().height() + 6)
        if (header := self.horizontalHeader()) is not None:
            header.setResizeContentsPrecision(ROWS_FOR_WIDTH)
            header.sectionClicked.connect(self._on_header)
        if (selection := self.selectionModel()) is not None:
            selection.currentRowChanged.connect(self._on_row)
            selection.selectionChanged.connect(self._on_selection)
        self.clicked.connect(self._on_row)  # on the current row, too

    @property
    def selected_places(self) -> NDArray[np.intp]:
        """The places in ``nuclei.rows`` of the selected rows, in the order that is shown."""
        selection = self.selectionModel()
        # ranges, as there may be thousands of rows; the types of Qt do not know that they iterate
        ranges: Any = [] if selection is None else selection.selection()
        rows = [np.arange(one.top(), one.bottom() + 1) for one in ranges]
        return self._nuclei.order[np.unique(np.concatenate([np.zeros(0, np.intp), *rows]))]

    @property
    def current_place(self) -> int | None:
        """The place in ``nuclei.rows`` of the current row, if there is one."""
        row = self.currentIndex().row()
        return int(self._nuclei.order[row]) if row >= 0 else None

    def show_place(self, place: int | None, scroll: bool = True) -> None:
        """Select the row of a nucleus alone, or none, without a signal that it was chosen."""
        self._is_following = True
        bar = self.verticalScrollBar()
        kept = 0 if bar is None else bar.value()
        try:
            if place is None:
                self.clearSelection()
                self.setCurrentIndex(QModelIndex())
                return
            row = int(np.flatnonzero(self._nuclei.order == place)[0])
            index = self._nuclei.index(row, max(self.currentIndex().column(), 0))
            flags = QItemSelectionModel.SelectionFlag
            if (selection := self.selectionModel()) is not None:
                selection.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
            if scroll:
                self.scrollTo(index)
            elif bar is not None:
                bar.setValue(kept)  # Qt has scrolled to it
        finally:
            self._is_following = False

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by a column, as clicks on its header do."""
        section = self._nuclei.columns.index(column)
        self.sortByColumn(section, _sort_order(descending))
        self.scrollTo(self._nuclei.index(0, section))

    def show_sorting(self) -> None:
        """Mark the column by which the model is sorted, which may be another or elsewhere now."""
        header, column = self.horizontalHeader(), self._nuclei.columns.index(self._nuclei.sorted_by)
        if header is not None and header.sortIndicatorSection() != column:
            header.blockSignals(True)
            header.setSortIndicator(column, _sort_order(self._nuclei.is_descending))
            header.blockSignals(False)

    def fit_columns(self) -> None:
        """Fit the widths of the columns to what they show."""
        self.resizeColumnsToContents()

    def event(self, event: QEvent | None) -> bool:
        """Take Ctrl+C before a shortcut of the window does; called by Qt."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.matches(QKeySequence.StandardKey.Copy)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Copy rows, where Qt copies one cell; called by Qt."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self.copy_pressed.emit()
        else:
            super().keyPressEvent(event)

    def _on_row(self, index: QModelIndex, *_: object) -> None:
        if index.isValid() and not self._is_following:
            self.nucleus_chosen.emit(int(self._nuclei.order[index.row()]))

    def _on_selection(self, *_: object) -> None:
        self.selection_changed.emit()

    def _on_header(self, section: int) -> None:
        self.column_clicked.emit(self._nuclei.columns[section])


def _sort_order(descending: bool) -> Qt.SortOrder:
    return Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
