"""The dock widget "Nuclei table"."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtGui import QHideEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QSplitter, QTabWidget, QVBoxLayout, QWidget

from ...io.tables import CLASS_SUFFIX
from ..common.controls import LOWEST_DOCK, ScrollableForm, with_properties
from ..common.dock_setup import DockSetup
from ..common.notify import report_user_errors, show_info
from ..layers.label_edits import delete_nuclei
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import list_column_units
from ..layers.metadata_keys import CLASS_RULES_KEY
from ..layers.navigate import navigate_to_box
from .classes import ClassRule, describe_deleted, select_labels, update_classes
from .coloring import INSIDE_COLOR, OUTSIDE_COLOR, ColorRange, LabelColoring
from .column_form import ColumnForm
from .column_summary import OPEN_LIMITS, ColumnSummary
from .labels_follower import LabelsFollower
from .model import NucleiModel
from .nuclei_page import NucleiPage
from .nuclei_rows import INDEX_COLUMN, average_by_nucleus
from .nucleus_place import find_nucleus, is_row_on_view
from .plane_regions import NucleiValues
from .regions_panel import RegionsPanel

if TYPE_CHECKING:
    import napari.viewer

NO_LABELS = "Select a labels layer to see the table of its nuclei."
NOTHING_MEASURED = "Nothing is measured yet: click Measure in Review nuclei."
NO_NUCLEI = "There are no nuclei in these labels."
# Of table and histogram, in proportion.
PART_SIZES = [640, 320]
# Colours follow the mouse, in these steps; of more nuclei, which take longer, when it rests.
COLOR_DELAY_MS, LIVE_COLOR_COUNT = 80, 1000


class TableWidget(QWidget):
    """Shows the features of a labels layer: sorted, counted, as histogram, and as colours.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.

    Attributes
    ----------
    column_form : ColumnForm
        The column of histogram and statistics, its limits, and the column that colours nuclei.
    regions_panel : RegionsPanel
        Counts, densities and means in shapes.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._model = NucleiModel(self)
        self._page = NucleiPage(self._model)
        self._view = self._page.view
        self.column_form = ColumnForm()
        self.regions_panel = RegionsPanel(napari_viewer)
        self._coloring = LabelColoring()
        self._color_timer = with_properties(QTimer(self), singleShot=True, interval=COLOR_DELAY_MS)
        self._follower = LabelsFollower(napari_viewer, self)
        self._build()
        self._connect()
        # Qt calls no method of an object that is being destroyed
        self.destroyed.connect(
            partial(_release, self._follower, self._coloring, self.regions_panel)
        )
        self._on_layer()

    def _build(self) -> None:
        self._tabs = with_properties(QTabWidget(), objectName="table_tabs")
        self._tabs.addTab(self._page, "Nuclei")
        self._tabs.addTab(self.regions_panel, "Regions")
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._column_area = ScrollableForm()
        self._column_area.set_content(self.column_form)
        for part in (self._tabs, self._column_area):
            self._splitter.addWidget(part)
        self._splitter.setSizes(PART_SIZES)
        QVBoxLayout(self).addWidget(self._splitter)
        DockSetup(self)

    def _connect(self) -> None:
        self._follower.layer_changed.connect(self._on_layer)
        self._follower.features_changed.connect(self.refresh)
        self._follower.label_selected.connect(self._on_label)
        self._view.nucleus_chosen.connect(self._on_chosen)
        self._view.selection_changed.connect(self._summarize)
        self._view.column_clicked.connect(self.column_form.set_column)
        self._view.copy_pressed.connect(self.copy_selected)
        self.column_form.changed.connect(self._on_choice)
        self.column_form.class_requested.connect(self.write_class)
        self.column_form.delete_requested.connect(self.delete)
        self._page.changed.connect(self.refresh)
        self._page.copy_requested.connect(self.copy_all)
        self._tabs.currentChanged.connect(self._show_regions)
        self._color_timer.timeout.connect(self._color)

    # public methods, for scripts and tests

    @property
    def layer(self) -> Labels | None:
        """The labels whose nuclei are shown."""
        return self._follower.layer

    @property
    def rows(self) -> pd.DataFrame:
        """The rows as they are shown, in their order."""
        return self._model.rows.iloc[self._model.order]

    @property
    def selected_rows(self) -> pd.DataFrame:
        """The rows that are selected, in the order that is shown."""
        return self._model.rows.iloc[self._view.selected_places]

    @property
    def summary(self) -> ColumnSummary:
        """The statistics of the column, of the selected rows if there are several."""
        return ColumnSummary.of(self._values()[self._summarized_places()])

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by a column, and show its statistics, as clicks on its header do."""
        self._view.sort_by(column, descending)
        self.column_form.set_column(column)

    def select(self, label: int) -> None:
        """Select a nucleus and centre it, as a click on its row does."""
        if (place := self._find_row(label)) is not None:
            self._view.show_place(place)
            self._on_chosen(place)

    def copy_selected(self, *_: object) -> None:
        """Copy the selected rows to the clipboard, or all, if none is; with tabs and a header."""
        rows = self.selected_rows
        self._page.copy(rows if len(rows) else self.rows)

    def copy_all(self, *_: object) -> None:
        """Copy all rows to the clipboard, with tabs and a header."""
        self._page.copy(self.rows)

    def write_class(self, *_: object) -> None:
        """Add a column to the features: which nuclei are within the limits."""
        self.refresh()  # the rows may be those of a moment ago
        choice, layer = self.column_form.value(), self.layer
        if layer is None or not choice.column or choice.limits.is_open:
            return
        rule = ClassRule(choice.limits, self._page.leaves_out_border)
        rules = {**layer.metadata.get(CLASS_RULES_KEY, {}), choice.column: rule}
        layer.metadata = {**layer.metadata, CLASS_RULES_KEY: rules}
        name = f"{choice.column}{CLASS_SUFFIX}"
        layer.features = layer.features.assign(**{name: ""})
        self.refresh()
        show_info(f"The column {name} has the classes; they follow corrections.")

    def delete(self, inside: bool) -> None:
        """Delete the nuclei within the limits, or else those outside; one undo restores them.

        Nuclei without a value, or that are left out, stay.
        """
        self.refresh()
        choice, layer, rows = self.column_form.value(), self.layer, self._model.rows
        if layer is None or choice.limits.is_open:
            return
        labels = select_labels(rows, self._values(), choice.limits, inside)
        with report_user_errors():
            delete_nuclei(LabelsState.of(layer), labels)
            self._viewer.layers.selection.active = layer  # whose undo Ctrl+Z is
            show_info(describe_deleted(len(labels)))

    def refresh(self, *_: object) -> None:
        """Show the features as they are now; the current nucleus stays selected."""
        label, columns = self._current_label(), self._model.columns
        if self.layer is not None:
            rules = self.layer.metadata.get(CLASS_RULES_KEY, {})
            updated = update_classes(self.layer.features, rules)
            if updated is not self.layer.features:
                self.layer.features = updated
        features = pd.DataFrame() if self.layer is None else self.layer.features
        units = {} if self.layer is None else list_column_units(self.layer)
        self._model.set_features(features, units)
        if self._model.columns != columns:
            self._view.fit_columns()
        self._view.show_sorting()
        self._show_message(self._describe_empty(len(features.columns)))
        with QSignalBlocker(self._view):  # its selection is of the rows before
            self._view.show_place(None if label is None else self._find_row(label), scroll=False)
        self.column_form.show_rows(self._model.rows, self._page.find_left_out(self._model.rows))

    # what others have changed

    def _on_layer(self) -> None:
        """Show another layer, or none."""
        self._coloring.restore()
        self._view.show_place(None)
        if self.layer is not None:
            LabelsState.of(self.layer).features.publish_changes()  # the layer may have moved
        self.column_form.histogram.set_limits(OPEN_LIMITS)
        self.refresh()

    def _on_label(self, label: int) -> None:
        """Show the row of the nucleus that was selected in the canvas."""
        if label != self._current_label():
            self._view.show_place(self._find_row(label))

    def _on_chosen(self, place: int) -> None:
        """Select and centre the nucleus of a row."""
        layer, row = self.layer, self._model.rows.iloc[place]
        if layer is None:
            return
        label = int(row[INDEX_COLUMN])
        found = find_nucleus(self._viewer, layer, row)
        if found is None:
            self._page.show_summary(f"Nucleus {label} was not found in the labels.")
            return
        navigate_to_box(self._viewer, layer, found.index, found.box)
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        self._summarize()

    def _on_choice(self) -> None:
        """Show another column, other limits or other colours."""
        choice = self.column_form.value()
        rows = self._model.rows
        if choice.limits.is_open:
            self._model.highlight(np.zeros(len(rows), bool))
        else:
            self._model.highlight(choice.limits.contain(self._values()))
        self._summarize()
        self._show_regions()
        if len(rows) > LIVE_COLOR_COUNT or not self._color_timer.isActive():
            self._color_timer.start()

    # showing

    def _color(self) -> None:
        """Colour the nuclei, or restore the own colours of the layer."""
        choice, layer, rows = self.column_form.value(), self.layer, self._model.rows
        is_off = choice.limits.is_open and not choice.color_by
        if layer is None or not len(rows) or is_off or not self.isVisible():
            self._coloring.restore()
            return
        colors = np.tile(np.array(INSIDE_COLOR, np.float32), (len(rows), 1))
        if choice.color_by:
            values = average_by_nucleus(rows, self.column_form.read(choice.color_by))
            colors = ColorRange.of(values).color(values)
        if not choice.limits.is_open:
            values = average_by_nucleus(rows, self._values())
            colors[~choice.limits.contain(values)] = OUTSIDE_COLOR
        self._coloring.show(layer, rows[INDEX_COLUMN].to_numpy(), colors)

    def _show_regions(self, *_: object) -> None:
        """Summarize regions, if they are on view."""
        if not self.regions_panel.isVisible():
            return
        choice, rows, is_inside = self.column_form.value(), self._model.rows, None
        if not choice.limits.is_open:
            is_inside = choice.limits.contain(average_by_nucleus(rows, self._values()))
        is_counted = ~self.column_form.is_left_out
        self.regions_panel.show_nuclei(
            NucleiValues(
                self.layer,
                rows[is_counted],
                self._model.title(choice.column),
                self._values()[is_counted],
                None if is_inside is None else is_inside[is_counted],
            )
        )

    def _summarize(self) -> None:
        column, places = self.column_form.value().column, self._summarized_places()
        part = "" if len(places) == len(self._model.rows) else " of the selected rows"
        title = self._model.title(column)
        self._page.show_summary(f"{title}{part}: {self.summary.describe()}" if column else "")

    def _summarized_places(self) -> NDArray[np.intp]:
        selected = self._view.selected_places
        return selected if len(selected) > 1 else np.arange(len(self._model.rows))

    def _values(self) -> NDArray[np.float64]:
        """Return the values of the column, one for each row."""
        return self.column_form.read(self.column_form.value().column)

    def _describe_empty(self, column_count: int) -> str:
        if self.layer is None:
            return NO_LABELS
        if len(self._model.rows):
            return ""
        return NO_NUCLEI if column_count > 1 else NOTHING_MEASURED

    def _show_message(self, text: str) -> None:
        self._page.show_message(text)
        self.column_form.setEnabled(not text)

    def _current_label(self) -> int | None:
        place = self._view.current_place
        return None if place is None else int(self._model.rows[INDEX_COLUMN].iat[place])

    def _find_row(self, label: int) -> int | None:
        """Find the row of a nucleus; of several that of the plane on view, or the first."""
        rows, layer = self._model.rows, self.layer
        places = np.flatnonzero(rows[INDEX_COLUMN] == label).tolist()
        if layer is None or len(places) < 2:
            return places[0] if places else None
        shown = [place for place in places if is_row_on_view(self._viewer, layer, rows.iloc[place])]
        return (shown or places)[0]

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Colour the nuclei again; called by Qt."""
        super().showEvent(event)
        self._color_timer.start()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Restore the own colours of the layer, as nothing explains these; called by Qt."""
        super().hideEvent(event)
        self._coloring.restore()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the width of one part: Qt asks before the direction is known."""
        parts = self._tabs, self._column_area
        return QSize(max(part.minimumSizeHint().width() for part in parts), LOWEST_DOCK)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Lay out for a wide or a narrow dock; called by Qt."""
        is_wide = self.width() >= self.height()
        directions = Qt.Orientation
        self._splitter.setOrientation(directions.Horizontal if is_wide else directions.Vertical)
        super().resizeEvent(event)


def _release(
    follower: LabelsFollower, coloring: LabelColoring, regions: RegionsPanel, *_: object
) -> None:
    follower.release()
    coloring.restore()
    regions.release()
