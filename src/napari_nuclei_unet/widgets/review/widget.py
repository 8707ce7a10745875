"""The dock widget "Review nuclei"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFormLayout, QGroupBox, QVBoxLayout, QWidget

from ..common.controller import RunState
from ..common.controls import ScrollableForm, create_button, create_row, create_section
from ..common.disabled_button import disable
from ..common.dock_button import DockButton
from ..common.key_bindings import KeyBindings, unwrap_proxy
from ..common.lifetime import adopt, stop_listening_when_destroyed
from ..common.status_line import StatusLine
from ..project.panel import ProjectPanel, RestoreBar
from .compare_panel import ComparePanel
from .exporter import LabelsExporter
from .into_image import IntoImageButton
from .link_tools import LinkToolbar
from .measure_form import MeasureForm
from .queue import ReviewQueue
from .strokes import Stroke
from .target_form import LABELS_NEEDED, TargetForm
from .tools import EditToolbar

if TYPE_CHECKING:
    import napari.viewer


class ReviewWidget(ScrollableForm):
    """Corrects, reviews, measures, saves and compares the nuclei of a labels layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.

    Attributes
    ----------
    target_form : TargetForm
        The labels that are reviewed, and their image.
    measure_form : MeasureForm
        The channels in which they are measured, and how far around them.
    compare_panel : ComparePanel
        The two labels layers that are compared.

    Signals
    -------
    finished
        What was measured, saved or compared is shown, and nothing is at work any more.
    """

    finished = Signal()

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.target_form = TargetForm(napari_viewer)
        adopt(self, self.target_form)
        stop_listening_when_destroyed(self, napari_viewer)
        self._edit_toolbar = EditToolbar(napari_viewer, self.target_form)
        self._link_toolbar = LinkToolbar(napari_viewer, self.target_form)
        self._edit_toolbar.activated.connect(self._link_toolbar.deactivate)
        self._link_toolbar.activated.connect(self._edit_toolbar.deactivate)
        self._queue = ReviewQueue(napari_viewer, self.target_form)
        self.measure_form = MeasureForm(napari_viewer, self.target_form)
        self._exporter = LabelsExporter(napari_viewer, self.target_form, self.measure_form, self)
        self.compare_panel = ComparePanel(napari_viewer)
        self._watched_layer: Labels | None = None
        self._text = StatusLine("review_status")
        self._project_panel = ProjectPanel(napari_viewer)
        self._build()
        for part in (
            self._edit_toolbar, self._link_toolbar, self._queue, self._exporter, self.compare_panel,
            self._project_panel,
        ):  # fmt: skip
            part.message.connect(self._text.setText)
        for finished in (self._exporter.finished, self.compare_panel.controller.finished):
            finished.connect(self._on_finished)
        actions = self._edit_toolbar.keys | self._link_toolbar.keys | self._queue.keys
        self._keys = KeyBindings(actions)
        self._make_shortcuts(actions)
        self.target_form.changed.connect(self._bind)
        # Qt calls no method of an object that is being destroyed
        self.destroyed.connect(partial(KeyBindings.bind, self._keys, None))
        self._bind()

    def _build(self) -> None:
        self._measure_section = create_section("measure_section", "", self.measure_form)
        self.measure_form.changed.connect(self._show_channels)
        self._show_channels()
        top = QFormLayout()
        self.target_form.fill(top)
        self._measure_button = create_button(
            "measure", "Measure", "Measure all nuclei, and fill their table."
        )
        self._measure_button.clicked.connect(self._on_measure)
        self._exporter.measuring.state_changed.connect(self._show_measuring)
        self.measure_form.cells_requested.connect(self._exporter.add_cells)
        save = self._save_button = create_button(
            "save",
            "Save …",
            "Save a table, outlines for QuPath or Fiji, or the labels as OME-TIFF.",
        )
        save.clicked.connect(self._exporter.ask)
        into_image = IntoImageButton(self.target_form, self._exporter, self)
        hint = "Open the table of the nuclei, with a histogram, below the image."
        table = DockButton(self._viewer, "Nuclei table", "Table", hint, below_canvas=True)
        self.set_parts(
            RestoreBar(self._viewer),
            top,
            _group("Correct", self._edit_toolbar, self._link_toolbar),
            _group("Review", self._queue),
            self._text,
            self._measure_section,
            create_row(self._measure_button, save, into_image, table),
            self._project_panel,
            create_section("compare_section", "Compare with a reference", self.compare_panel),
        )

    # public methods, for scripts and tests

    @property
    def state(self) -> RunState:
        """What the dock does: RUNNING while anything is measured, saved or compared."""
        exporter, comparing = self._exporter, self.compare_panel.controller
        states = [one.state for one in (exporter.measuring, exporter.saving, comparing)]
        return next((state for state in states if state is not RunState.IDLE), RunState.IDLE)

    def apply_tool(
        self, name: str, positions: NDArray[Any], view_direction: NDArray[Any] | None = None
    ) -> None:
        """Correct nuclei with a tool, as the mouse does.

        Parameters
        ----------
        name : str
            "Delete", "Merge", "Split" or "Add".
        positions : ndarray, shape (n, ndim), floating
            Of a click or along a stroke, in napari's world coordinates.
        view_direction : ndarray, shape (ndim,), floating, optional
            From the camera into a 3-D view, as events of napari's mouse have it.
        """
        displayed = tuple(self._viewer.dims.displayed)
        self._edit_toolbar.apply_tool(name, Stroke(positions, view_direction, displayed))

    def click_link(self, name: str, position: NDArray[Any]) -> None:
        """Correct a link between frames with a tool, as two clicks of the mouse do.

        Parameters
        ----------
        name : str
            "Cut link" or "Make link".
        position : ndarray, shape (ndim,), floating
            Of one of the clicks, in napari's world coordinates.
        """
        self._link_toolbar.apply_click(name, position)

    def next(self) -> None:
        """Show the most doubtful nucleus that has not been reviewed."""
        self._queue.next()

    def back(self) -> None:
        """Show the previous nucleus again, and undo its acceptance."""
        self._queue.back()

    def accept(self) -> None:
        """Accept the nucleus on view, and show the next one."""
        self._queue.accept()

    def delete(self) -> None:
        """Delete the nucleus on view, and show the next one."""
        self._queue.delete()

    def measure(self, *_: object) -> None:
        """Measure all nuclei, as a click on the button does."""
        self._exporter.measure()

    def add_cells(self) -> None:
        """Add a layer of the nuclei with their rings, as a click on the button does."""
        self._exporter.add_cells()

    def ask_to_save(self) -> None:
        """Ask for a file, and save, as a click on the button does."""
        self._exporter.ask()

    def save(self, path: Any, decimal_comma: bool = False) -> None:
        """Save to a file; its extension selects the format: ``export.FORMATS``.

        Parameters
        ----------
        path : str or Path
        decimal_comma : bool, optional
            Of a table: for spreadsheets that write numbers so.
        """
        self._exporter.save(path, decimal_comma)

    def save_into_image(self, name: str = "nuclei", overwrite: bool = False) -> None:
        """Save into the OME-Zarr of the image, as ``labels/<name>``.

        Parameters
        ----------
        name : str, optional
        overwrite : bool, optional
            Replace labels of this name.
        """
        self._exporter.save_into_image(name, overwrite)

    def compare(self) -> None:
        """Compare the two layers of the panel, as a click on its button does."""
        self.compare_panel.compare()

    def _on_finished(self) -> None:
        if self.state is RunState.IDLE:
            self.finished.emit()

    def _on_measure(self) -> None:
        """Measure, or cancel what is measured."""
        if self._exporter.measuring.is_idle:
            self.measure()
        else:
            self._exporter.cancel()

    def _show_measuring(self, state: RunState) -> None:
        self._measure_button.setText("Measure" if state is RunState.IDLE else "Cancel")

    def _show_channels(self) -> None:
        """Show how many channels are measured while their list is folded."""
        self._measure_section.setText(self.measure_form.describe())

    # keys

    def _make_shortcuts(self, actions: dict[str, Callable[..., None]]) -> None:
        """Create shortcuts for when the dock has the focus; the layer has those of the canvas."""
        for key, action in actions.items():
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)

    def _bind(self) -> None:
        """Bind keys on the canvas while the labels are selected, and watch their features."""
        layer = self.target_form.value().labels
        for button in (self._measure_button, self._save_button):
            disable(button, LABELS_NEEDED if layer is None else "")
        self._keys.bind(layer)
        if self._watched_layer is not None:
            self._watched_layer.events.features.disconnect(self._on_features)
        self._watched_layer = None if layer is None else unwrap_proxy(layer)
        if layer is not None:
            layer.events.features.connect(self._on_features)
            self.compare_panel.prefer_result(layer)

    def _on_features(self, _: Any) -> None:
        self._text.setText("")  # it is outdated, by an undo for instance
        self.target_form.show_kind()  # a run may have made volumes of them


def _group(title: str, *contents: QWidget) -> QGroupBox:
    group = QGroupBox(title)
    layout = QVBoxLayout(group)
    layout.setContentsMargins(6, 6, 6, 6)
    for content in contents:
        layout.addWidget(content)
    return group
