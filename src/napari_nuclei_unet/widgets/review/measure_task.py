"""Measuring all planes of a labels layer: the work in a thread, and the table."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from ...counts import format_count
from ...errors import UserError
from ...labels.masks import MASK_HINT, is_mask
from ...labels.surroundings import Distances, drop_unnamed_channel
from ...progress import Step, Stop
from ..common.controller import Task
from ..common.notify import show_warning
from ..layers.checksum import array_crc32
from ..layers.geometry import full_resolution_data
from ..layers.label_ids import LabelsIndex, index_axes, plane_key
from ..layers.labels_state import LabelsState
from ..layers.measured_channels import check_fit
from ..layers.measured_planes import length_unit, list_planes
from ..layers.measurements import (
    Measurable,
    MeasurementSource,
    create_labels_measurement_source,
    measure_box,
    whole_box,
)
from ..layers.volume_measurements import NO_RINGS_IN_VOLUMES
from ..layers.volumes import create_volume_source, is_volume
from ..session.session import Session
from .measure_form import MeasureChoice

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

LABELS_REMOVED_WHILE_MEASURING = "The labels were removed while they were measured."
LABELS_CHANGED_WHILE_MEASURING = (
    "The labels were changed while they were measured: measure them again."
)


@dataclass(frozen=True, eq=False)
class MeasuredPlane:
    """A plane or volume that was measured, and the checksum of its labels."""

    index: LabelsIndex
    measurement_source: Measurable
    measurements: pd.DataFrame
    checksum: int


def measure_steps(
    labels: Any, planes: list[tuple[LabelsIndex, Measurable]], distances: Distances
) -> Generator[Step, Stop, list[MeasuredPlane]]:
    """Measure planes or volumes of labels; runs in the thread."""
    measured = []
    for done, (index, source) in enumerate(planes):
        yield Step(done, len(planes))
        plane = np.array(labels[index])  # a copy, as the user may paint meanwhile
        measurements = measure_box(source, plane, whole_box(source.shape), distances)
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
        Of the labels: its prediction is measured, too.
    choice : MeasureChoice

    Attributes
    ----------
    layer : napari.layers.Labels
        The labels.
    is_measured : bool
        Whether the table is published.

    Raises
    ------
    UserError
        If the labels are too large, an image does not fit, or micrometers are not known.
    """

    begins = "Measuring …"
    is_measured = False
    _is_mask = False

    def __init__(
        self, viewer: ViewerModel, labels: Labels, image: Image | None, choice: MeasureChoice
    ) -> None:
        self.title = f"Measuring {labels.name}"
        self._viewer, self._state = viewer, LabelsState.of(labels)
        self.layer, self._revision = self._state.layer, self._state.revision
        self._data = full_resolution_data(self.layer)
        self._distances = choice.distances(viewer, labels)
        self._planes = create_sources(viewer, self.layer, image, choice)

    def steps(self) -> Generator[Step, Stop, list[MeasuredPlane]]:
        """Measure planes of labels; runs in the thread."""
        measured = yield from measure_steps(self._data, self._planes, self._distances)
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
        table, axes = self._state.features, index_axes(planes[0].index)
        for key in [key for key, plane in table.planes.items() if index_axes(plane.index) != axes]:
            del table.planes[key]  # planes in other directions, of an earlier view
        for plane in planes:
            known = table.planes.get(plane_key(plane.index))
            if known is not None:
                known.rows = drop_unnamed_channel(known.rows, plane.measurements)
            table.set_measurements(
                plane.index, plane.measurement_source, plane.measurements, labels_are_new=False
            )
        table.publish()
        count = sum(len(plane.measurements) for plane in planes)
        unit = length_unit(self.layer, axes) or "units of its scale"
        self.message = f"{format_count(count, 'nucleus')} measured, in {unit}"
        self.is_measured = True
        if self._is_mask:
            self.message = f"'{self.layer.name}' is {MASK_HINT}"
            show_warning(self.message)


def create_sources(
    viewer: ViewerModel, layer: Labels, image: Image | None, choice: MeasureChoice
) -> list[tuple[LabelsIndex, Measurable]]:
    """Return all planes or volumes of labels, each with what it is measured from.

    Raises
    ------
    UserError
        If the labels are too large, or an image does not fit.
    """
    for channel in choice.channels:
        check_fit(layer, channel.image)
    predictions = Session.of(viewer).predictions

    def create(index: LabelsIndex) -> MeasurementSource:
        result = None if image is None else predictions.find_latest(image, index)
        maps = None if result is None else result.maps
        return create_labels_measurement_source(layer, index, choice.channels, maps)

    indices = list_planes(viewer, layer)
    if is_volume(layer):
        if choice.ring or choice.neighbours:
            raise UserError(NO_RINGS_IN_VOLUMES)
        return [(index, create_volume_source(layer, index, create)) for index in indices]
    return [(index, create(index)) for index in indices]
