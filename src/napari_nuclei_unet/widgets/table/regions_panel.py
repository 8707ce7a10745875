"""Counts, densities and means of the nuclei in the shapes of a layer, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from napari.layers import Shapes
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFormLayout,
    QHBoxLayout,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...errors import UserError
from ..common.controls import (
    copy_text,
    create_button,
    create_combo_box,
    create_label,
    with_properties,
)
from ..common.key_bindings import unwrap_proxy
from ..common.layer_combo import reload_choices
from ..common.notify import name_controls
from ..layers.metadata_keys import VALIDATION_AREAS_KEY, list_layers
from .nuclei_rows import NumberFormat, format_as_tsv
from .plane_regions import NucleiValues, summarize_shapes

if TYPE_CHECKING:
    from napari.components import ViewerModel

NO_NUCLEI_MEASURED = "No nuclei are measured yet."
# The table follows limits, shapes and sliders, in these steps.
UPDATE_DELAY_MS = 150


class RegionsPanel(QWidget):
    """A table of the regions of the plane on view: one row a shape, the last the whole field.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Attributes
    ----------
    table : pandas.DataFrame
        As it is shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._nuclei: NucleiValues | None = None
        self._watched: Shapes | None = None
        self.table = pd.DataFrame()
        self._shapes = create_combo_box(
            "regions_layer",
            "The rectangles, ellipses and polygons in which nuclei are counted.",
            self._list_shapes,
        )
        self._shapes.null_value = "none"
        self._view = with_properties(QTableWidget(), objectName="regions_table")
        self._view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        if (numbers := self._view.verticalHeader()) is not None:
            numbers.hide()
            numbers.setDefaultSectionSize(numbers.fontMetrics().height() + 6)
        self._message = create_label("regions_message")
        self._timer = with_properties(QTimer(self), singleShot=True, interval=UPDATE_DELAY_MS)
        self._timer.timeout.connect(self.refresh)
        self._build()
        self._shapes.changed.connect(self._on_shapes)
        for event in self._events():
            event.connect(self._on_layers)
        viewer.dims.events.current_step.connect(self._start)
        self._on_layers()

    def _build(self) -> None:
        copy = create_button(
            "copy_regions", "Copy regions", "Copy this table for a spreadsheet.", self.copy
        )
        lists = QFormLayout()
        lists.addRow("Regions", self._shapes.native)
        footer = QHBoxLayout()
        footer.addWidget(self._message, 1)
        footer.addWidget(copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(lists)
        layout.addWidget(self._view, 1)
        layout.addLayout(footer)

    def _events(self) -> list[Any]:
        events = self._viewer.layers.events
        return [events.inserted, events.removed, events.reordered]

    def release(self) -> None:
        """Listen to nothing any more."""
        for event in self._events():
            event.disconnect(self._on_layers)
        self._viewer.dims.events.current_step.disconnect(self._start)
        self._watch(None)

    def show_nuclei(self, nuclei: NucleiValues) -> None:
        """Show nuclei, soon, if the panel is on view."""
        self._nuclei = nuclei
        self._start()

    def copy(self, *_: object) -> None:
        """Copy the table to the clipboard, with tabs and a header."""
        self.refresh()
        copy_text(format_as_tsv(self.table))

    def refresh(self) -> None:
        """Compute the table now."""
        nuclei, message = self._nuclei, ""
        self.table = pd.DataFrame()
        try:
            if nuclei is None or nuclei.layer is None or nuclei.rows.columns.size < 2:
                raise UserError(NO_NUCLEI_MEASURED)
            summary = summarize_shapes(self._viewer, nuclei, self._shapes.value)
            self.table, message = summary.table, summary.message
        except UserError as error:
            message = name_controls(error)
        self._message.setText(message)
        self._fill()

    def _fill(self) -> None:
        table = self.table
        self._view.setRowCount(len(table))
        self._view.setColumnCount(len(table.columns))
        self._view.setHorizontalHeaderLabels([str(name) for name in table])
        for column, name in enumerate(table):
            is_number = pd.api.types.is_numeric_dtype(table[name])
            number = NumberFormat(table[name]) if is_number else str
            for row, value in enumerate(table[name]):
                item = QTableWidgetItem(number(value))
                side = Qt.AlignmentFlag.AlignRight if is_number else Qt.AlignmentFlag.AlignLeft
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                self._view.setItem(row, column, item)
        self._view.resizeColumnsToContents()

    def _list_shapes(self, _: object) -> list[tuple[str, Shapes | None]]:
        offered = list_layers(self._viewer, Shapes, without_key=VALIDATION_AREAS_KEY)
        return [("none", None), *((layer.name, layer) for layer in offered)]

    def _on_layers(self, *_: object) -> None:
        """Offer other layers; where none is selected, the topmost is."""
        before = self._shapes.value
        offered = [one for _, one in reversed(self._list_shapes(None)) if one is not None]
        if reload_choices(self._shapes, *(offered if before is None else [before])):
            self._on_shapes()

    def _on_shapes(self, *_: object) -> None:
        self._watch(unwrap_proxy(self._shapes.value))
        self._start()

    def _watch(self, shapes: Shapes | None) -> None:
        if self._watched is not None:
            self._watched.events.set_data.disconnect(self._start)
        self._watched = shapes
        if shapes is not None:
            shapes.events.set_data.connect(self._start)

    def _start(self, *_: object) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Compute the table; called by Qt."""
        super().showEvent(event)
        self._timer.start()
