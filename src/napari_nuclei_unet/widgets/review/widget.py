"""The dock widget "Review nuclei"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFormLayout, QGroupBox, QVBoxLayout, QWidget

from ..common.controls import (
    ScrollableForm,
    create_button,
    create_label,
    create_row,
    create_section,
)
from ..common.key_bindings import KeyBindings, unwrap_proxy
from .compare_panel import ComparePanel
from .queue import ReviewQueue
from .save import LabelsExporter
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
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._target = TargetForm(napari_viewer)
        self._edit_toolbar = EditToolbar(napari_viewer, self._target)
        self._queue = ReviewQueue(napari_viewer, self._target)
        self._exporter = LabelsExporter(napari_viewer, self._target, self)
        self._compare = ComparePanel(napari_viewer)
        self._watched_layer: Labels | None = None
        self._text = create_label("review_status")
        self._build()
        for part in (self._edit_toolbar, self._queue, self._exporter, self._compare):
            part.message.connect(self._text.setText)
        actions = self._edit_toolbar.keys | self._queue.keys
        self._keys = KeyBindings(actions)
        self._make_shortcuts(actions)
        self._target.changed.connect(self._bind)
        # Qt calls no method of an object that is being destroyed
        self.destroyed.connect(partial(KeyBindings.bind, self._keys, None))
        self._bind()

    def _build(self) -> None:
        top = QFormLayout()
        self._target.fill(top)
        measure = create_button(
            "measure", "Measure", "Fill the features table of the labels, from labels and image."
        )
        measure.clicked.connect(self.measure)
        save = create_button(
            "save", "Save …", "A table, outlines for QuPath or Fiji, or the labels as OME-TIFF."
        )
        save.clicked.connect(self._exporter.ask)
        self.set_parts(
            top,
            _group("Correct", self._edit_toolbar),
            _group("Review", self._queue),
            self._text,
            create_row(measure, save),
            create_section("compare_section", "Compare with another layer", self._compare),
        )

    # public methods, for scripts and tests

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

    # keys

    def _make_shortcuts(self, actions: dict[str, Callable[..., None]]) -> None:
        """Create shortcuts for when the dock has the focus; the layer has those of the canvas."""
        for key, action in actions.items():
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)

    def _bind(self) -> None:
        """Bind keys on the canvas while the labels are selected, and watch their features."""
        layer = self._target.labels
        self._keys.bind(layer)
        if self._watched_layer is not None:
            self._watched_layer.events.features.disconnect(self._on_features)
        self._watched_layer = None if layer is None else unwrap_proxy(layer)
        if layer is not None:
            layer.events.features.connect(self._on_features)
            self._compare.select_result(layer)

    def _on_features(self, _: Any) -> None:
        self._text.setText("")  # it is outdated, by an undo for instance


def _group(title: str, content: QWidget) -> QGroupBox:
    group = QGroupBox(title)
    layout = QVBoxLayout(group)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(content)
    return group
