"""Planes of a labels layer that wait to be measured, in a thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from ...progress import Step, Stop
from ..common.controls import with_properties
from ..common.job import ThreadJob
from ..common.notify import show_user_error
from .label_ids import LabelsIndex, plane_key
from .measurements import Measurable, measure_box, whole_box

if TYPE_CHECKING:
    import pandas as pd

    from .features import FeaturesTable

# Delay after the last move of a slider, in milliseconds: measuring takes as long as retuning.
MEASURE_DELAY_MS = 300


@dataclass(frozen=True, eq=False)
class UnmeasuredPlane:
    """A plane, or volume, whose labels are not measured yet.

    Attributes
    ----------
    index : tuple of int and slice
    measurement_source : Measurable
    read_source : Measurable
        The same, but may hold the pixels that were read already.
    labels_are_new : bool
        As in :meth:`FeaturesTable.set_measurements`.
    """

    index: LabelsIndex
    measurement_source: Measurable
    read_source: Measurable
    labels_are_new: bool = True

    def measure(self, labels: NDArray[Any]) -> pd.DataFrame:
        """Measure the labels of the plane."""
        return measure_box(self.read_source, labels, whole_box(self.read_source.shape))

    def with_spacing(self, spacing: tuple[float, ...]) -> UnmeasuredPlane:
        """Return the same with pixels of another size."""
        return replace(
            self,
            measurement_source=self.measurement_source.with_spacing(spacing),
            read_source=self.read_source.with_spacing(spacing),
        )


class MeasureQueue(QObject):
    """Measures planes one by one, when their labels have not changed for a moment.

    Parameters
    ----------
    table : FeaturesTable
        That of the labels.

    Attributes
    ----------
    waiting : dict of tuple to UnmeasuredPlane
        Planes that are not measured yet, by key.

    Signals
    -------
    emptied
        All planes are measured, and the table is published.
    """

    emptied = Signal()

    def __init__(self, table: FeaturesTable) -> None:
        super().__init__()
        self._table = table
        self.waiting: dict[tuple[int | None, ...], UnmeasuredPlane] = {}
        self._measuring: tuple[UnmeasuredPlane, int] | None = None  # with the revision of labels
        self._timer = with_properties(QTimer(self), singleShot=True)
        self._timer.timeout.connect(self._start)
        self._job = ThreadJob(self)
        self._job.returned.connect(self._on_measured)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)
        self.destroyed.connect(self.waiting.clear)  # with the labels

    @property
    def is_empty(self) -> bool:
        """Whether all planes are measured."""
        return not self.waiting

    def put(self, plane: UnmeasuredPlane, delay: int = MEASURE_DELAY_MS) -> None:
        """Schedule a plane to be measured; it replaces what is known of its labels."""
        self.waiting[plane_key(plane.index)] = plane
        self._timer.start(delay)

    def postpone(self) -> None:
        """Wait anew; labels that are about to be replaced need not be measured."""
        if self._timer.isActive():
            self._timer.start(MEASURE_DELAY_MS)

    def discard(self, index: LabelsIndex) -> None:
        """Drop a plane that was measured otherwise, or is gone."""
        self.waiting.pop(plane_key(index), None)

    def clear(self) -> None:
        """Drop what waits; the labels are others."""
        self.waiting.clear()

    def flush(self, index: LabelsIndex | None = None) -> None:
        """Measure a plane, or all, at once: somebody needs the rows now. The rest follows soon."""
        waiting = dict(self.waiting)
        if index is not None:
            key = plane_key(index)
            waiting = {key: waiting[key]} if key in waiting else {}
        for plane in waiting.values():
            labels = self._table.read_plane(plane.index)
            if labels.shape == plane.read_source.shape:
                self._set(plane, plane.measure(labels))
            else:
                self.discard(plane.index)
        if waiting:
            self._table.publish()

    def _start(self) -> None:
        if self._job.is_running:
            return  # _on_finished calls this again
        if self._table.is_gone:
            self.clear()
        if not self.waiting:  # they were flushed, or dropped
            self._end()
            return
        plane = next(iter(self.waiting.values()))
        labels = self._table.read_plane(plane.index)
        if labels.shape != plane.read_source.shape:  # the layer no longer has it
            self.discard(plane.index)
            self._timer.start(0)
            return
        self._measuring = plane, self._table.history.revision
        # a copy, as a slider or a brush may write meanwhile
        self._job.start("", _measure_steps, plane, labels.copy())

    def _on_measured(self, measurements: pd.DataFrame) -> None:
        assert self._measuring is not None
        if self._table.is_gone:
            return
        plane, revision = self._measuring
        is_latest = self.waiting.get(plane_key(plane.index)) is plane
        if is_latest and self._table.history.revision == revision:
            self._set(plane, measurements)
            self._table.publish()

    def _on_failed(self, error: Exception) -> None:
        if self._measuring is not None:
            self.discard(self._measuring[0].index)
        show_user_error(error)

    def _on_finished(self) -> None:
        self._measuring = None
        if not self._timer.isActive():
            self._start()

    def _end(self) -> None:
        self._table.publish_changes()
        self.emptied.emit()

    def _set(self, plane: UnmeasuredPlane, measurements: pd.DataFrame) -> None:
        self._table.set_measurements(
            plane.index,
            plane.measurement_source,
            measurements,
            labels_are_new=plane.labels_are_new,
        )


def _measure_steps(
    plane: UnmeasuredPlane, labels: NDArray[np.integer]
) -> Generator[Step, Stop, pd.DataFrame]:
    """Measure a plane; runs in the thread."""
    yield Step(0, 1)
    return plane.measure(labels)
