"""What is said of all images together, as text, as a plot, and in files."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QVBoxLayout

from ...counts import format_count
from ...errors import UserError
from ...progress import Step, Stop
from ..common.controller import Task
from ..common.controls import (
    Panel,
    create_button,
    create_combo_box,
    create_label,
    create_row,
    fill_layout,
    with_properties,
)
from .image_numbers import describe_images, list_numbers, read_image_numbers
from .image_plot import ImagePlot
from .row_model import RowModel

if TYPE_CHECKING:
    from ...batch.pooled import NucleiTable

# The summary follows a run, in these steps.
REFRESH_DELAY_MS = 300
POOLED_NAME, ALL_NUCLEI_NAME = "nuclei_pooled.csv", "nuclei_of_all_images.csv"
NOTHING_DONE = "No image is done yet: click Run first."


class SaveTableTask(Task):
    """Saves what the tables of all images say together.

    Parameters
    ----------
    tables : list of NucleiTable
    path : Path
    is_pooled : bool
        Whether pooled numbers are saved; else all nuclei.
    """

    has_parts = False  # a file is whole, or not there
    begins = "Reading the tables …"

    def __init__(self, tables: list[NucleiTable], path: Path, is_pooled: bool) -> None:
        self._tables, self._path, self._is_pooled = tables, path, is_pooled

    def steps(self) -> Generator[Step, Stop, int]:
        """Read the tables, and write the file; in the thread."""
        # as long as the dock is not used, it needs no pandas
        from ...batch.pooled import save_all_nuclei_steps, save_pooled_steps

        save = save_pooled_steps if self._is_pooled else save_all_nuclei_steps
        return (yield from save(self._tables, self._path))

    def on_result(self, count: int) -> None:
        """Report what was saved."""
        nuclei = format_count(count, "nucleus")
        self.message = f"{self._path.name} is saved, of {nuclei}."

    def show_error(self, error: Exception) -> None:
        """Raise what is a bug; the dock shows the sentence of a UserError whole."""
        if not isinstance(error, UserError):
            raise error


class SummaryPanel(Panel):
    """Counts nuclei over all images, plots a number of each, and saves both.

    Parameters
    ----------
    model : RowModel

    Signals
    -------
    image_clicked : int
        The dot of an image was clicked.
    save_requested : SaveTableTask
    """

    image_clicked = Signal(int)
    save_requested = Signal(object)

    def __init__(self, model: RowModel) -> None:
        super().__init__()
        self._model = model
        self._text = create_label("pooled")
        self.column = create_combo_box(
            "plotted_column", "The number of each image that is plotted.", self._list_columns
        )
        self._plot = ImagePlot()
        self._pooled = create_button(
            "save_pooled", "Save pooled numbers …",
            "Mean, standard deviation and quartiles of each measurement over the nuclei of all "
            "images, as CSV. The numbers of each image are in nuclei_summary.csv.",
            lambda *_: self._ask(True),
        )  # fmt: skip
        self._all = create_button(
            "save_all_nuclei", "Save all nuclei …",
            "The tables of all images as one CSV, with a column that names the image.",
            lambda *_: self._ask(False),
        )  # fmt: skip
        buttons = create_row(self._pooled, self._all)
        fill_layout(QVBoxLayout(self), self._text, self.column.native, self._plot, buttons)
        self._timer = with_properties(QTimer(self), singleShot=True, interval=REFRESH_DELAY_MS)
        self._timer.timeout.connect(self.refresh)
        self._plot.image_clicked.connect(self.image_clicked)
        self.column.changed.connect(self._draw)
        model.rows_changed.connect(self._on_rows)
        self.refresh()

    def refresh(self) -> None:
        """Show the images as they are now."""
        rows = self._model.rows()
        self._text.setText(describe_images(rows))
        if list(self.column.choices) != list_numbers(rows):
            self.column.reset_choices()
        self._draw()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 Qt's name
        """Show what has changed while the panel was closed."""
        super().showEvent(event)
        self.refresh()

    def save(self, path: Path, is_pooled: bool) -> None:
        """Save pooled numbers, or all nuclei, as a choice of a file does."""
        from ...batch.pooled import NucleiTable  # imports pandas

        tables = [
            NucleiTable(row.item.title, row.results.table)
            for row in self._model.rows()
            if row.results is not None and row.results.table.is_file()
        ]
        if not tables:
            self.message.emit(NOTHING_DONE)
            return
        self.save_requested.emit(SaveTableTask(tables, path, is_pooled))

    def _list_columns(self, _: object) -> list[str]:
        return list_numbers(self._model.rows())

    def _on_rows(self) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def _draw(self, *_: object) -> None:
        name = self.column.value
        self._plot.setVisible(name is not None)
        for button in (self._pooled, self._all):
            button.setEnabled(name is not None)
        if name is not None:
            self._plot.show_numbers(read_image_numbers(self._model.rows(), name))

    def _ask(self, is_pooled: bool) -> None:
        results = [row.results for row in self._model.rows() if row.results is not None]
        name = POOLED_NAME if is_pooled else ALL_NUCLEI_NAME
        start = str(results[0].table.with_name(name)) if results else name
        path, _kind = QFileDialog.getSaveFileName(self, "Save table", start, "Table (*.csv)")
        if path:
            self.save(Path(path), is_pooled)
