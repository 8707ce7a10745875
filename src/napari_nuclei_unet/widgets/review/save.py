"""Measuring and saving labels in a thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from ...arrays.axes import axis_letters
from ...errors import UserError
from ...io.paths import sanitize_name
from ...progress import Step, Stop
from ..common.job import ThreadJob
from ..common.notify import name_controls, report_user_errors, show_user_error
from ..layers.checksum import array_crc32
from ..layers.geometry import full_resolution_data, hidden_axes, is_same_array, pixel_to_world
from ..layers.label_ids import LabelsIndex, index_plane_axes
from ..layers.labels_record import get_record_entries
from ..layers.labels_state import LabelsState
from ..layers.measurements import (
    MeasurementSource,
    create_labels_measurement_source,
    measure_box,
    whole_plane_box,
)
from ..session.session import Session
from .target_form import LABELS_NEEDED, TargetForm

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from ...export import Result

# Pixels of labels that are measured in the window; more take minutes, and memory for the table.
MAX_MEASURED_PIXELS = 300_000_000
# File name for a layer without a usable name.
DEFAULT_FILE_STEM = "nuclei"
TOO_LARGE_TO_MEASURE = (
    "These labels are too large to be measured here: their table is beside their store."
)
LABELS_REMOVED_WHILE_MEASURING = "The labels were removed while they were measured."
LABELS_CHANGED_WHILE_MEASURING = (
    "The labels were changed while they were measured: measure them again."
)


@dataclass(frozen=True, eq=False)
class _MeasuredPlane:
    """A plane that was measured, and the checksum of its labels."""

    index: LabelsIndex
    measurement_source: MeasurementSource
    measurements: pd.DataFrame
    checksum: int


def measure_steps(
    labels: Any, planes: list[tuple[LabelsIndex, MeasurementSource]]
) -> Generator[Step, Stop, list[_MeasuredPlane]]:
    """Measure planes of labels; runs in the thread."""
    measured = []
    for done, (index, source) in enumerate(planes):
        yield Step(done, len(planes))
        plane = np.asarray(labels[index])
        measurements = measure_box(source, plane, whole_plane_box(source.shape))
        measured.append(_MeasuredPlane(index, source, measurements, array_crc32(plane)))
    return measured


def save_steps(path: str, result: Result) -> Generator[Step, Stop, tuple[Path, bool]]:
    """Write a file; runs in the thread, and returns whether the labels stayed the same."""
    # formats of files are imported when they are needed: the dock opens faster
    from ...export import save

    yield Step(0, 1)
    in_memory = isinstance(result.labels, np.ndarray)
    checksum = array_crc32(result.labels) if in_memory else 0
    saved = save(path, result)
    return saved, not in_memory or array_crc32(result.labels) == checksum


class LabelsExporter(QObject):
    """Measures the labels of a target, and saves them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
    parent : QWidget
        Parent of dialogs.

    Signals
    -------
    message : str
        A sentence for the user.
    """

    message = Signal(str)

    def __init__(self, viewer: ViewerModel, target: TargetForm, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._target, self._parent = viewer, target, parent
        self._layer: Labels | None = None
        self._data: Any = None
        self._on_success: Callable[[], None] | None = None
        self.job, self.saving = ThreadJob(), ThreadJob()
        self.job.returned.connect(self._on_measured)
        self.job.finished.connect(self._on_finished)
        self.saving.returned.connect(self._on_saved)
        for job in (self.job, self.saving):
            job.failed.connect(self._on_failed)
            self.destroyed.connect(job.cancel)

    # measuring

    def measure(self, *_: object, after: Callable[[], None] | None = None) -> None:
        """Measure all planes of the labels.

        Parameters
        ----------
        after : callable, optional
            Called when they are measured.
        """
        layer = self._target.labels
        if self.job.is_running:
            self._on_success = after or self._on_success
            return
        with report_user_errors(self.message.emit):
            if layer is None:
                raise UserError(LABELS_NEEDED)
            planes = self._planes(layer)
            self._layer, self._data, self._on_success = layer, full_resolution_data(layer), after
            self.message.emit("Measuring …")
            self.job.start(f"Measuring {layer.name}", measure_steps, self._data, planes)

    def _planes(self, layer: Labels) -> list[tuple[LabelsIndex, MeasurementSource]]:
        shape, image = full_resolution_data(layer).shape, self._target.image
        if _is_too_large(layer):
            raise UserError(TOO_LARGE_TO_MEASURE)
        axes = measured_plane_axes(self._viewer, layer)
        lengths = [1 if axis in axes else length for axis, length in enumerate(shape)]
        planes, predictions = [], Session.of(self._viewer).predictions
        for position in np.ndindex(*lengths):
            index: LabelsIndex = tuple(
                slice(None) if n in axes else at for n, at in enumerate(position)
            )
            result = None if image is None else predictions.find_latest(image, index)
            maps = None if result is None else result.maps
            planes.append((index, create_labels_measurement_source(layer, index, image, maps)))
        return planes

    def _on_measured(self, planes: list[_MeasuredPlane]) -> None:
        layer, after = self._layer, self._on_success
        if layer is None or layer not in self._viewer.layers:
            self.message.emit(LABELS_REMOVED_WHILE_MEASURING)
            return
        if not is_same_array(full_resolution_data(layer), self._data) or _labels_changed(
            self._data, planes
        ):
            self.message.emit(LABELS_CHANGED_WHILE_MEASURING)
            return
        table = LabelsState.of(layer).features
        axes = index_plane_axes(planes[0].index)
        for key in [
            key for key, plane in table.planes.items() if index_plane_axes(plane.index) != axes
        ]:
            del table.planes[key]  # planes in other directions, of an earlier view
        for plane in planes:
            table.set_measurements(
                plane.index, plane.measurement_source, plane.measurements, labels_are_new=False
            )
        table.publish()
        count = sum(len(plane.measurements) for plane in planes)
        self.message.emit(f"{count:,} nuclei measured, in {_length_unit(layer, axes)}")
        if after is not None:
            after()

    def _on_finished(self) -> None:
        self._layer = self._data = self._on_success = None

    def _on_failed(self, error: Exception) -> None:
        self.message.emit(name_controls(error) if isinstance(error, UserError) else "")
        show_user_error(error)

    # saving

    def ask(self, *_: object) -> None:
        """Ask for a file, and save; the dialog asks before it replaces a file."""
        from ...export import FORMATS

        layer = self._target.labels
        if layer is None:
            self.message.emit(LABELS_NEEDED)
            return
        kinds = [f"{title} (*{suffix})" for suffix, title in FORMATS.items()]
        path, kind = QFileDialog.getSaveFileName(
            self._parent,
            "Save nuclei",
            f"{sanitize_name(layer.name, DEFAULT_FILE_STEM)}.csv",
            ";;".join(kinds),
        )
        if not path:
            return
        suffix = next((suffix for suffix, title in FORMATS.items() if kind.startswith(title)), "")
        target = add_suffix(path, suffix)
        if target == path or not Path(target).exists() or self._confirm_replace(target):
            self.save(target)

    def _confirm_replace(self, path: str) -> bool:
        """Ask whether to replace a file that the dialog did not check."""
        button = QMessageBox.question(
            self._parent, "Save nuclei", f"{Path(path).name} exists. Replace it?"
        )
        return button == QMessageBox.StandardButton.Yes

    def save(self, path: str | Path) -> None:
        """Save the labels, or their table, once they are measured as they are now.

        Parameters
        ----------
        path : str or Path
            Its extension selects the format: ``export.FORMATS``.
        """
        layer = self._target.labels
        if layer is None:
            self.message.emit(LABELS_NEEDED)
        elif _is_too_large(layer):
            self._save(layer, str(path))  # their table was made with them
        else:
            self.measure(after=lambda: self._save(layer, str(path)))

    def _save(self, layer: Labels, path: str) -> None:
        if self.saving.is_running:
            self.message.emit("Another file is being saved: save again when that is done.")
            return
        with report_user_errors(self.message.emit):
            result = build_export_result(self._viewer, layer)
            self.message.emit("Saving …")
            self.saving.start(f"Saving {layer.name}", save_steps, path, result)

    def _on_saved(self, saved: tuple[Path, bool]) -> None:
        path, is_unchanged = saved
        self.message.emit(
            f"Saved {path.name}"
            if is_unchanged
            else f"The labels were changed while {path.name} was saved: save it again."
        )


def _is_too_large(layer: Labels) -> bool:
    return math.prod(full_resolution_data(layer).shape) > MAX_MEASURED_PIXELS


def _length_unit(layer: Labels, axes: tuple[int, int]) -> str:
    """Name the unit of lengths; pixels, where the layer has none and a scale of 1."""
    names = {str(layer.units[axis]) for axis in axes}
    scaled = any(layer.scale[axis] != 1 for axis in axes)
    if names == {"pixel"}:
        return "units of its scale" if scaled else "pixels"
    return " and ".join(sorted(names))


def add_suffix(path: str, suffix: str) -> str:
    """Append the chosen suffix to a path, unless it has the suffix of a known format.

    Dialogs change .csv into .tif where .ome.tif is chosen.
    """
    from ...export import FORMATS

    lower = path.lower()
    if suffix.endswith(".tif") and lower.endswith((".tif", ".tiff")):
        return path
    if any(lower.endswith(known) for known in (*FORMATS, ".ome.tiff")):
        return path
    return path + suffix


def _labels_changed(data: Any, planes: list[_MeasuredPlane]) -> bool:
    """Return whether in-memory labels have changed since they were measured."""
    return isinstance(data, np.ndarray) and any(
        array_crc32(data[plane.index]) != plane.checksum for plane in planes
    )


def measured_plane_axes(viewer: ViewerModel, layer: Labels) -> tuple[int, int]:
    """Return the axes of the planes that were measured, or else are on view."""
    for plane in LabelsState.of(layer).features.planes.values():
        return index_plane_axes(plane.index)
    hidden = hidden_axes(viewer, layer)
    rows, columns = (axis for axis in range(layer.ndim) if axis not in hidden)
    return rows, columns


def build_export_result(viewer: ViewerModel, layer: Labels) -> Result:
    """Collect labels, their table and their geometry, with the axes of planes last."""
    from ...export import Result

    axes = measured_plane_axes(viewer, layer)
    order = [axis for axis in range(layer.ndim) if axis not in axes] + list(axes)
    data = full_resolution_data(layer)
    moved = order != sorted(order)
    labels = np.asarray(data).transpose(order) if moved else data
    _, linear = pixel_to_world(layer)
    letters = axis_letters(layer.axis_labels, axes)
    units = [None if str(layer.units[axis]) == "pixel" else str(layer.units[axis])
             for axis in order]  # fmt: skip
    table = LabelsState.of(layer).features.world_table().rename(columns={"index": "label"})
    return Result(
        labels=labels,
        table=table,
        axes="".join(letters[axis] for axis in order),
        spacing=tuple(float(np.linalg.norm(linear[:, axis])) for axis in order),
        units=tuple(units),
        record=dict(get_record_entries(layer)),
        name=sanitize_name(layer.name, DEFAULT_FILE_STEM),
    )
