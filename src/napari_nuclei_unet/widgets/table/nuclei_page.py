"""The rows of nuclei with what is said of them: the left part of the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...counts import format_count
from ...labels.regionprops import BORDER_COLUMN
from ..common.controls import copy_text, create_button, create_check_box, create_label
from ..common.notify import show_info
from .model import NucleiModel
from .nuclei_rows import format_as_tsv, touching_border
from .view import NucleiView

if TYPE_CHECKING:
    import pandas as pd


class NucleiPage(QWidget):
    """Shows rows of nuclei, statistics, and a tick for nuclei at the image edge.

    Parameters
    ----------
    model : NucleiModel

    Attributes
    ----------
    view : NucleiView

    Signals
    -------
    changed
        There is another :attr:`leaves_out_border`.
    copy_requested
    """

    changed = Signal()
    copy_requested = Signal()

    def __init__(self, model: NucleiModel) -> None:
        super().__init__()
        self.view, self._model = NucleiView(model), model
        self._message, self._summary = create_label("table_message"), create_label("table_summary")
        self._leave_out = create_check_box(
            "leave_out_border",
            "Skip edge nuclei",
            "Do not count nuclei at the edge of the image: in statistics, classes and regions.",
        )
        self._leave_out.toggled.connect(self.changed)
        copy = create_button(
            "copy_table",
            "Copy table",
            "Copy all rows for a spreadsheet; Ctrl+C in the table copies the selected ones.",
            self.copy_requested.emit,
        )
        footer = QHBoxLayout()
        footer.addWidget(self._leave_out, 1)
        footer.addWidget(copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._message)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._summary)
        layout.addLayout(footer)

    @property
    def leaves_out_border(self) -> bool:
        """Whether nuclei that the image edge cuts are not counted."""
        return self._leave_out.isChecked()

    def find_left_out(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows are not counted; the tick is enabled if they say who is cut."""
        self._leave_out.setEnabled(BORDER_COLUMN in rows)
        return touching_border(rows) if self.leaves_out_border else np.zeros(len(rows), bool)

    def copy(self, rows: pd.DataFrame) -> None:
        """Copy rows to the clipboard, with tabs, and a header that names the units."""
        titled = rows.rename(columns=self._model.title)
        copy_text(format_as_tsv(titled))
        show_info(f"{format_count(len(rows), 'row')} copied.")

    def show_message(self, text: str) -> None:
        """Show why there are no rows, instead of them; empty: there are some."""
        self._message.setText(text)
        self._message.setVisible(bool(text))
        self.view.setVisible(not text)

    def show_summary(self, text: str) -> None:
        """Show statistics."""
        self._summary.setText(text)
