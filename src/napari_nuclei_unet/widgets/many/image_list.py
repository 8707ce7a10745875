"""The list of images on the screen; files and folders can be dropped on it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from .row_model import COLUMN_TOOLTIPS, RowColumn, RowModel

EMPTY_TEXT = "Drop images, or a folder of them, here"
ROW_HEIGHT = 22
# Of the columns beside that of names, which takes the rest.
COLUMN_WIDTHS = {
    RowColumn.STATUS: 56, RowColumn.NUCLEI: 48, RowColumn.AREA: 74, RowColumn.LEFT_OUT: 54,
}  # fmt: skip
MIN_NAME_WIDTH, USUAL_NAME_WIDTH = 90, 190
# So many rows are always on view.
MIN_ROWS = 4


class ImageList(QTableView):
    """Shows the images; the rows that are out of sight cost nothing.

    Signals
    -------
    paths_dropped : list of Path
    row_chosen : int
        A row was clicked, or reached with the keys.
    """

    paths_dropped = Signal(object)
    row_chosen = Signal(int)

    def __init__(self, model: RowModel) -> None:
        super().__init__()
        self.setObjectName("image_list")
        self.setModel(model)
        self.setAcceptDrops(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._set_header()
        self.setMinimumHeight((MIN_ROWS + 1) * ROW_HEIGHT + 8)
        self.clicked.connect(self._on_index)
        self.activated.connect(self._on_index)

    def sizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Return a width that has room for names of files."""
        return QSize(sum(COLUMN_WIDTHS.values()) + USUAL_NAME_WIDTH, super().sizeHint().height())

    def _set_header(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.setVisible(False)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        columns.setHighlightSections(False)
        columns.setMinimumSectionSize(40)
        for number, width in COLUMN_WIDTHS.items():
            self.setColumnWidth(number, width)
        columns.setSectionResizeMode(RowColumn.IMAGE, QHeaderView.ResizeMode.Stretch)
        self.setMinimumWidth(sum(COLUMN_WIDTHS.values()) + MIN_NAME_WIDTH)
        self.setToolTip(COLUMN_TOOLTIPS[RowColumn.IMAGE])

    def _on_index(self, index: QModelIndex) -> None:
        self.row_chosen.emit(index.row())

    def show_row(self, row: int) -> None:
        """Select a row, and scroll to it; -1: none."""
        if row < 0:
            self.clearSelection()
            return
        self.selectRow(row)
        model = self.model()
        assert model is not None
        self.scrollTo(model.index(row, RowColumn.IMAGE))

    def follow(self, row: int) -> None:
        """Scroll to a row, unless the mouse is on the list."""
        model = self.model()
        if row >= 0 and model is not None and not self.underMouse():
            self.scrollTo(model.index(row, RowColumn.IMAGE))

    # files from outside

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Accept files."""
        if event is not None and read_dropped_paths(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:  # noqa: N802
        """Accept files everywhere on the list."""
        if event is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Take files and folders."""
        if event is not None and (paths := read_dropped_paths(event)):
            event.acceptProposedAction()
            self.paths_dropped.emit(paths)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw what to do while there is no image."""
        super().paintEvent(event)
        model, viewport = self.model(), self.viewport()
        if model is None or viewport is None or model.rowCount():
            return
        painter = QPainter(viewport)
        painter.setPen(self.palette().placeholderText().color())
        painter.drawText(viewport.rect(), Qt.AlignmentFlag.AlignCenter, EMPTY_TEXT)
        painter.end()


def read_dropped_paths(event: QDropEvent) -> list[Path]:
    """Return the files and folders that are dropped; none of what lies on no disk."""
    data = event.mimeData()
    urls = [] if data is None else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
