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
from ..common.controls import (
    ScrollableForm,
    create_button,
    create_label,
    create_row,
    create_section,
)
from ..common.dock_button import DockButton
from ..common.key_bindings import KeyBindings, unwrap_proxy
from ..project.panel import ProjectPanel, RestoreBar
from .compare_panel import ComparePanel
from .exporter import LabelsExporter
from .queue import ReviewQueue
from .target_form import TargetForm
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
        self._edit_toolbar = EditToolbar(napari_viewer, self.target_form)
        self._queue = ReviewQueue(napari_viewer, self.target_form)
        self._exporter = LabelsExporter(napari_viewer, self.target_form, self)
        self.compare_panel = ComparePanel(napari_viewer)
        self._watched_layer: Labels | None = None
        self._text = create_label("review_status")
        self._project_panel = ProjectPanel(napari_viewer)
        self._build()
        for part in (
            self._edit_toolbar, self._queue, self._exporter, self.compare_panel, self._project_panel
        ):  # fmt: skip
            part.message.connect(self._text.setText)
        for finished in (self._exporter.finished, self.compare_panel.controller.finished):
            finished.connect(self._on_finished)
        actions = self._edit_toolbar.keys | self._queue.keys
        self._keys = KeyBindings(actions)
        self._make_shortcuts(actions)
        self.target_form.changed.connect(self._bind)
        # Qt calls no method of an object that is being destroyed
        self.destroyed.connect(partial(KeyBindings.bind, self._keys, None))
        self._bind()

    def _build(self) -> None:
        top = QFormLayout()
        self.target_form.fill(top)
        measure = create_button(
            "measure", "Measure", "Fill the features table of the labels, from labels and image."
        )
        measure.clicked.connect(self.measure)
        save = create_button(
            "save", "Save …", "A table, outlines for QuPath or Fiji, or the labels as OME-TIFF."
        )
        save.clicked.connect(self._exporter.ask)
        hint = "Open the table of the nuclei, with a histogram, below the image."
        table = DockButton(self._viewer, "Nuclei table", "Table", hint, below_canvas=True)
        self.set_parts(
            RestoreBar(self._viewer),
            top,
            _group("Correct", self._edit_toolbar),
            _group("Review", self._queue),
            self._text,
            create_row(measure, save, table),
            self._project_panel,
            create_section("compare_section", "Compare with another layer", self.compare_panel),
        )

    # public methods, for scripts and tests

    @property
    def state(self) -> RunState:
        """What the dock does: RUNNING while anything is measured, saved or compared."""
        exporter, comparing = self._exporter, self.compare_panel.controller
        states = [one.state for one in (exporter.measuring, exporter.saving, comparing)]
        return next((state for state in states if state is not RunState.IDLE), RunState.IDLE)

    def apply_tool(self, name: str, positions: NDArray[Any]) -> None:
        """Correct nuclei with a tool, as the mouse does.

        Parameters
        ----------
        name : str
            "Delete", "Merge", "Split" or "Add".
        positions : ndarray, shape (n, ndim), floating
            Of a click or along a stroke, in napari's world coordinates.
        """
        self._edit_toolbar.apply_tool(name, positions)

    def next(self) -> None:
        """Show the least confident nucleus that has not been reviewed."""
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

    def save(self, path: Any) -> None:
        """Save to a file; its extension selects the format: ``export.FORMATS``.

        Parameters
        ----------
        path : str or Path
        """
        self._exporter.save(path)

    def compare(self) -> None:
        """Compare the two layers of the panel, as a click on its button does."""
        self.compare_panel.compare()

    def _on_finished(self) -> None:
        if self.state is RunState.IDLE:
            self.finished.emit()

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
        self._keys.bind(layer)
        if self._watched_layer is not None:
            self._watched_layer.events.features.disconnect(self._on_features)
        self._watched_layer = None if layer is None else unwrap_proxy(layer)
        if layer is not None:
            layer.events.features.connect(self._on_features)
            self.compare_panel.select_result(layer)

    def _on_features(self, _: Any) -> None:
        self._text.setText("")  # it is outdated, by an undo for instance


def _group(title: str, content: QWidget) -> QGroupBox:
    group = QGroupBox(title)
    layout = QVBoxLayout(group)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(content)
    return group
