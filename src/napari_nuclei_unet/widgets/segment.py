"""The dock widget "Segment nuclei"."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models import available_models, read_card
from napari_nuclei_unet.params import DEVICES, SegmentParams
from napari_nuclei_unet.widgets._form import ParamsForm
from napari_nuclei_unet.widgets._job import Job
from napari_nuclei_unet.widgets._layers import (
    Index,
    pixels_of,
    plane_on_view,
    shape_of,
    show_labels,
)

if TYPE_CHECKING:
    import napari.viewer

    from napari_nuclei_unet.engine import Segmentation
    from napari_nuclei_unet.prediction import Step


class SegmentWidget(QWidget):
    """Finds the nuclei of the image on view.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job = Job()
        self._run: _Run | None = None
        self._files: list[str] = []
        self._build()
        self._watch()
        self._show_thresholds()
        self._follow_selection()

    # what is seen

    def _build(self) -> None:
        self._image = _combo("image", "The image whose nuclei are to be found.", self._images)
        self._model = _combo("model", "The network that finds the nuclei.", self._models)
        self._device = _combo(
            "device",
            "Where the network runs. auto takes a graphics card if there is one.",
            lambda _: DEVICES,
        )
        self._form = ParamsForm(SegmentParams)
        self._segment = _button("segment", "Segment", "Find the nuclei in the plane on view.")
        self._cancel = _button("cancel", "Cancel", "Stop after the tile at work.")
        self._cancel.setEnabled(False)
        self._bar = QProgressBar(objectName="progress")
        self._bar.setVisible(False)
        self._status = QLabel("", objectName="status")
        self._status.setWordWrap(True)
        browse = _button("model_file", "…", "Choose a model file (.safetensors).")
        browse.setMaximumWidth(32)
        browse.clicked.connect(self._choose_file)
        self._segment.clicked.connect(self.start)
        self._cancel.clicked.connect(self._job.cancel)
        self._model.changed.connect(self._show_thresholds)

        top = QFormLayout()
        top.addRow("Image", self._image.native)
        top.addRow("Model", _row(self._model.native, browse))
        top.addRow("Device", self._device.native)
        settings = QCollapsible("Settings")
        settings.setObjectName("settings")
        settings.addWidget(self._form.container.native)
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(top)
        layout.addWidget(settings)
        layout.addWidget(_row(self._segment, self._cancel))
        layout.addWidget(self._bar)
        layout.addWidget(self._status)

    def _images(self, _: Any) -> list[Image]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def _models(self, _: Any) -> list[str]:
        return [*available_models(), *self._files]

    # what happens elsewhere

    def _watch(self) -> None:
        layers = self._viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._refresh_images)
        layers.selection.events.active.connect(self._follow_selection)
        for layer in layers:
            layer.events.name.connect(self._refresh_images)
        self._job.stepped.connect(self._on_step)
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failure)
        self._job.finished.connect(self._on_finished)
        self.destroyed.connect(self._job.cancel)

    def _on_inserted(self, event: Any) -> None:
        event.value.events.name.connect(self._refresh_images)
        self._refresh_images()

    def _refresh_images(self, _: Any = None) -> None:
        self._image.reset_choices()

    def _follow_selection(self, _: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Image) and active in self._image.choices:
            self._image.value = active

    def _show_thresholds(self, _: Any = None) -> None:
        """Show the values that were tuned for the chosen model."""
        try:
            card = read_card(self._model.value)
        except UserError as error:
            show_error(str(error))
        else:
            tuned = card.thresholds | {"minimum_area": None}  # it depends on the size of nuclei
            self._form.set(dataclasses.replace(self._form.get(), **tuned))

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model file", "", "Models (*.safetensors)")
        if path:
            self.use_model_file(path)

    # the public face, for scripts and tests

    def use_model_file(self, path: str | Path) -> None:
        """Offer a model file in the list and choose it; a file that is no model is refused.

        Parameters
        ----------
        path : str or Path
        """
        try:
            read_card(path)
        except UserError as error:
            show_error(str(error))
            return
        if str(path) not in self._files:
            self._files.append(str(path))
            self._model.reset_choices()
        self._model.value = str(path)

    def start(self) -> None:
        """Segment, as a click on the button does; a run under way goes on undisturbed."""
        if self._job.running:
            return
        image = self._image.value
        if image is None:
            show_warning("There is no image to segment: open one first (File ▸ Open).")
            return
        try:
            index = plane_on_view(self._viewer, image)
        except UserError as error:
            show_warning(str(error))
            return
        self._run = _Run(image, index)
        self._segment.setEnabled(False)
        self._cancel.setEnabled(True)
        self._bar.setRange(0, 0)  # busy, until the first step says how much there is
        self._bar.setVisible(True)
        self._status.setText("Starting …")
        self._job.start(
            f"Nuclei in {image.name}",
            _segment_layer,
            pixels_of(image),
            index,
            self._model.value,
            self._form.get(),
            self._device.value,
        )

    # what the job says

    def _on_step(self, step: Step) -> None:
        if (run := self._run) is None:
            return
        if step.notice:
            run.said.add(step.notice)
            show_warning(step.notice)
        self._bar.setRange(0, step.total)
        self._bar.setValue(step.done)
        self._status.setText(run.words(step))

    def _on_result(self, result: Segmentation) -> None:
        run = self._end_run()
        for notice in result.notices:
            if notice not in run.said:
                show_info(notice)
        if run.image not in self._viewer.layers:
            show_warning(
                f"The image '{run.image.name}' was removed while it was being segmented, "
                "so its nuclei were not added."
            )
            return
        if shape_of(run.image) != run.shape:
            show_warning(
                f"The image '{run.image.name}' was changed while it was being segmented, "
                "so its nuclei were not added: segment it again."
            )
            return
        try:
            show_labels(self._viewer, run.image, run.index, result.labels, result.record)
        except UserError as error:
            show_error(str(error))
            return
        self._status.setText(_summary(result, time.monotonic() - run.started))

    def _on_failure(self, error: Exception) -> None:
        self._end_run()
        if isinstance(error, UserError):
            show_error(str(error))
            return
        raise error  # a bug: napari shows its traceback

    def _on_finished(self) -> None:
        if self._run is not None:  # it gave neither a result nor an error
            self._end_run()
            self._status.setText("Cancelled.")
        self._bar.setVisible(False)
        self._segment.setEnabled(True)
        self._cancel.setEnabled(False)

    def _end_run(self) -> _Run:
        run, self._run = self._run, None
        assert run is not None  # a job says at most once how it ended
        self._status.setText("")
        return run


class _Run:
    """What is known of the run under way."""

    def __init__(self, image: Image, index: Index) -> None:
        self.image, self.index, self.shape = image, index, shape_of(image)
        self.started = self.tiles_from = time.monotonic()
        self.said: set[str] = set()

    def words(self, step: Step) -> str:
        if step.done == step.total:
            return "Separating nuclei …"
        if step.done == 0:  # the network is loaded, or tiles start again with less memory
            self.tiles_from = time.monotonic()
            return f"Tile 1 of {step.total}"
        left = (time.monotonic() - self.tiles_from) / step.done * (step.total - step.done)
        return f"Tile {step.done} of {step.total} · {left:.0f} s left"


def _segment_layer(
    pixels: Any, index: Index, model: str, params: SegmentParams, device: str
) -> Generator[Step, None, Segmentation]:
    """Run in the thread; torch is imported here, not when the widget opens."""
    from napari_nuclei_unet.engine import segment_steps
    from napari_nuclei_unet.models import load_model

    try:
        plane = np.asarray(pixels[index])
    except Exception as error:  # whatever lies behind a lazy layer: a file, a server, a graph
        raise UserError(f"The image could not be read: {error}") from error
    return (yield from segment_steps(plane, load_model(model), params, device))


def _summary(result: Segmentation, seconds: float) -> str:
    how = result.record["ran_on"]
    parts = ["1 nucleus" if result.count == 1 else f"{result.count:,} nuclei"]
    if diameter := result.record["diameter"]:
        zoom = result.record["zoom"]
        seen = "" if zoom == 1 else f" (network: zoom {zoom:.2g})"
        parts.append(f"{diameter:.0f} px across{seen}")
    parts.append(f"{seconds:.1f} s on {how['device'].upper()}, {how['precision']}")
    return " · ".join(parts)


def _combo(name: str, tooltip: str, choices: Any) -> ComboBox:
    combo = ComboBox(name=name, choices=choices, tooltip=tooltip)
    combo.native.setObjectName(name)
    return combo


def _button(name: str, text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text, objectName=name)
    button.setToolTip(tooltip)
    return button


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
