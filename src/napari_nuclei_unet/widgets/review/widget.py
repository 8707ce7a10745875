"""The dock widget "Review nuclei"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFormLayout, QGroupBox, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_nuclei_unet.widgets.common.controls import Scrolled, button, row
from napari_nuclei_unet.widgets.common.key_bindings import Keys, bare
from napari_nuclei_unet.widgets.layers.features import table_of
from napari_nuclei_unet.widgets.review.compare import Compare
from napari_nuclei_unet.widgets.review.queue import Queue
from napari_nuclei_unet.widgets.review.save import Files
from napari_nuclei_unet.widgets.review.target_form import Target
from napari_nuclei_unet.widgets.review.tools import Correct

if TYPE_CHECKING:
    import napari.viewer


class ReviewWidget(Scrolled):
    """Corrects, reviews, measures, saves and compares the nuclei of a labels layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._target = Target(napari_viewer)
        self._correct = Correct(napari_viewer, self._target)
        self._queue = Queue(napari_viewer, self._target)
        self._files = Files(napari_viewer, self._target, self)
        self._compare = Compare(napari_viewer)
        self._followed: Labels | None = None
        self._text = QLabel("", objectName="review_status")
        self._text.setWordWrap(True)
        self._build()
        for part in (self._correct, self._queue, self._files, self._compare):
            part.said.connect(self._text.setText)
        acts = self._correct.keys | self._queue.keys
        self._keys = Keys(acts)
        self._make_shortcuts(acts)
        self._target.changed.connect(self._bind)
        # Qt calls no method of an object that dies
        self.destroyed.connect(partial(Keys.bind, self._keys, None))
        self._bind()

    def _build(self) -> None:
        top = QFormLayout()
        self._target.fill(top)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(top)
        layout.addWidget(_group("Correct", self._correct))
        layout.addWidget(_group("Review", self._queue))
        layout.addWidget(self._text)
        layout.addWidget(self._buttons())
        compare = QCollapsible("Compare with another layer")
        compare.setObjectName("compare_section")
        compare.addWidget(self._compare)
        layout.addWidget(compare)
        layout.addStretch(1)
        self.hold(inside)

    def _buttons(self) -> QWidget:
        measure = button(
            "measure", "Measure", "Fill the features table of the labels, from labels and image."
        )
        save = button(
            "save",
            "Save …",
            "A table, outlines for QuPath or Fiji, or the labels as OME-TIFF.",
        )
        measure.clicked.connect(self.measure)
        save.clicked.connect(self._files.ask)
        return row(measure, save)

    # the public face, for scripts and tests

    def measure(self, *_: object) -> None:
        """Measure all nuclei, as a click on the button does."""
        self._files.measure()

    def save(self, path: Any) -> None:
        """Save to a file; its extension says what: ``export.FORMATS``.

        Parameters
        ----------
        path : str or Path
        """
        self._files.save(path)

    # keys

    def _make_shortcuts(self, acts: dict[str, Callable[..., None]]) -> None:
        """Let keys work when the dock has the focus; on the canvas they are the layer's."""
        for key, act in acts.items():
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    def _bind(self) -> None:
        """Let keys work on the canvas while the labels are selected, and follow their edits."""
        layer = self._target.labels
        self._keys.bind(layer)
        if self._followed is not None:
            self._followed.events.features.disconnect(self._on_features)
        self._followed = None if layer is None else bare(layer)
        if layer is not None:
            layer.events.features.connect(self._on_features)
            self._compare.judge(layer)
            if not layer.multiscale:
                table_of(layer)

    def _on_features(self, _: Any) -> None:
        self._text.setText("")  # what it says is of before: an undo, for instance


def _group(title: str, inside: QWidget) -> QGroupBox:
    made = QGroupBox(title)
    layout = QVBoxLayout(made)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(inside)
    return made
