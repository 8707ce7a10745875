"""Measuring all planes of a labels layer: the work in a thread, and the table."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_warning

from ...errors import UserError
from ...labels.masks import MASK_HINT, is_mask
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.checksum import array_crc32
from ..layers.export_result import measured_plane_axes
from ..layers.geometry import full_resolution_data
from ..layers.label_ids import LabelsIndex, index_plane_axes
from ..layers.labels_state import LabelsState
from ..layers.measurements import (
    MeasurementSource,
    create_labels_measurement_source,
    measure_box,
    whole_plane_box,
)
from ..session.session import Session

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

# Pixels of labels that are measured in the window; more take minutes, and memory for the table.
MAX_MEASURED_PIXELS = 300_000_000
TOO_LARGE_TO_MEASURE = (
    "These labels are too large to be measured here: their table is beside their store."
)
LABELS_REMOVED_WHILE_MEASURING = "The labels were removed while they were measured."
LABELS_CHANGED_WHILE_MEASURING = (
    "The labels were changed while they were measured: measure them again."
)


@dataclass(frozen=True, eq=False)
class MeasuredPlane:
    """A plane that was measured, and the checksum of its labels."""

    index: LabelsIndex
    measurement_source: MeasurementSource
    measurements: pd.DataFrame
    checksum: int


def measure_steps(
    labels: Any, planes: list[tuple[LabelsIndex, MeasurementSource]]
) -> Generator[Step, Stop, list[MeasuredPlane]]:
    """Measure planes of labels; runs in the thread."""
    measured = []
    for done, (index, source) in enumerate(planes):
        yield Step(done, len(planes))
        plane = np.array(labels[index])  # a copy, as the user may paint meanwhile
        measurements = measure_box(source, plane, whole_plane_box(source.shape))
        measured.append(MeasuredPlane(index, source, measurements, array_crc32(plane)))
    return measured


def is_measured_mask(labels: Any, measured: list[MeasuredPlane]) -> bool:
    """Return whether the measured labels are a mask, of which all planes have one nucleus."""
    return all(len(plane.measurements) <= 1 for plane in measured) and is_mask(
        np.asarray(labels[plane.index]) for plane in measured
    )


class MeasureTask(Task):
    """Measures all planes of labels, and publishes their table.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    labels : napari.layers.Labels
    image : napari.layers.Image or None
        Its intensities are measured, too.

    Attributes
    ----------
    layer : napari.layers.Labels
        The labels.
    is_measured : bool
        Whether the table is published.

    Raises
    ------
    UserError
        If the labels are too large, or not of the image's shape.
    """

    begins = "Measuring …"
    is_measured = False
    _is_mask = False

    def __init__(self, viewer: ViewerModel, labels: Labels, image: Image | None) -> None:
        self.title = f"Measuring {labels.name}"
        self._viewer, self._state = viewer, LabelsState.of(labels)
        self.layer, self._revision = self._state.layer, self._state.revision
        self._data = full_resolution_data(self.layer)
        self._planes = list_planes(viewer, self.layer, image)

    def steps(self) -> Generator[Step, Stop, list[MeasuredPlane]]:
        """Measure planes of labels; runs in the thread."""
        measured = yield from measure_steps(self._data, self._planes)
        self._is_mask = is_measured_mask(self._data, measured)
        return measured

    def on_result(self, planes: list[MeasuredPlane]) -> None:
        """Publish the table, unless the labels are others by now."""
        if self.layer not in self._viewer.layers:
            self.message = LABELS_REMOVED_WHILE_MEASURING
        elif self._were_changed(planes):
            self.message = LABELS_CHANGED_WHILE_MEASURING
        else:
            self._publish(planes)

    def _were_changed(self, planes: list[MeasuredPlane]) -> bool:
        """Return whether the labels have changed since the task was made.

        The revision knows of every event. Scripts that write into an array in memory send none:
        for these its pixels are compared.
        """
        if self._state.revision != self._revision:
            return True
        return isinstance(self._data, np.ndarray) and any(
            array_crc32(self._data[plane.index]) != plane.checksum for plane in planes
        )

    def _publish(self, planes: list[MeasuredPlane]) -> None:
        table, axes = self._state.features, index_plane_axes(planes[0].index)
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
        self.message = f"{count:,} nuclei measured, in {_length_unit(self.layer, axes)}"
        self.is_measured = True
        if self._is_mask:
            self.message = f"'{self.layer.name}' is {MASK_HINT}"
            show_warning(self.message)


def list_planes(
    viewer: ViewerModel, layer: Labels, image: Image | None
) -> list[tuple[LabelsIndex, MeasurementSource]]:
    """Return all planes of labels, each with what it is measured from.

    Raises
    ------
    UserError
        If the labels are too large, or not of the image's shape.
    """
    if is_too_large(layer):
        raise UserError(TOO_LARGE_TO_MEASURE)
    axes = measured_plane_axes(viewer, layer)
    shape = full_resolution_data(layer).shape
    lengths = [1 if axis in axes else length for axis, length in enumerate(shape)]
    planes, predictions = [], Session.of(viewer).predictions
    for position in np.ndindex(*lengths):
        index: LabelsIndex = tuple(
            slice(None) if n in axes else at for n, at in enumerate(position)
        )
        result = None if image is None else predictions.find_latest(image, index)
        maps = None if result is None else result.maps
        planes.append((index, create_labels_measurement_source(layer, index, image, maps)))
    return planes


def is_too_large(layer: Labels) -> bool:
    """Return whether labels are too large to be measured in the window."""
    return math.prod(full_resolution_data(layer).shape) > MAX_MEASURED_PIXELS


def _length_unit(layer: Labels, axes: tuple[int, int]) -> str:
    """Name the unit of lengths; pixels, where the layer has none and a scale of 1."""
    names = {str(layer.units[axis]) for axis in axes}
    scaled = any(layer.scale[axis] != 1 for axis in axes)
    if names == {"pixel"}:
        return "units of its scale" if scaled else "pixels"
    return " and ".join(sorted(names))
