"""Live tuning: nuclei are recomputed from stored predictions, without rerunning the network."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from ...errors import UserError
from ...params import SegmentParams
from ...progress import Step
from ...provenance.record import Provenance
from ..common.controls import with_properties
from ..common.job import ThreadJob
from ..common.notify import report_user_errors
from ..layers.checksum import array_crc32
from ..layers.features import get_features_table
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex, get_label_ids, plane_key
from ..layers.labels_layer import LayerPlacement, check_unlocked
from .disk_cache import DiskCache
from .plane_result import PlaneResult, RetunedPlane, get_model_stamp

_Result = TypeVar("_Result")
# Delay after the last move of a slider, in milliseconds.
RETUNE_DELAY_MS = 40
# Maximum size of the maps in memory, in bytes, for all images together; the rest goes into files.
# The plane used last always stays in memory.
MOST_KEPT = 1_500_000_000
LABELS_EDITED_BY_HAND = (
    "These labels were edited by hand, so the sliders leave them alone. "
    "Click Segment for others, in a layer of their own."
)


class LabelsEditedError(UserError):
    """Labels were edited by hand, and are not replaced."""


class PredictionCache(QObject):
    """Stores predictions, and recomputes their nuclei when the form changes.

    Signals
    -------
    retuned : PlaneResult, RetunedPlane
    message : str
        A sentence for the user.
    failed : Exception
    """

    retuned = Signal(object, object)
    message = Signal(str)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._plane_results: OrderedDict[Any, PlaneResult] = OrderedDict()
        self._requested: tuple[PlaneResult, SegmentParams] | None = None
        self._retuning: PlaneResult | None = None
        self._revision = 0  # of the labels that are being retuned
        self._timer = with_properties(QTimer(self), singleShot=True, interval=RETUNE_DELAY_MS)
        self._timer.timeout.connect(self._start)
        self._job = ThreadJob()
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)
        self._disk_cache = DiskCache()
        self._disk_cache.failed.connect(self._drop)
        _caches.add(self)

    @property
    def is_busy(self) -> bool:
        """Whether a plane is being retuned, or about to be."""
        return self._timer.isActive() or self._job.is_running

    def add(self, plane_result: PlaneResult) -> None:
        """Store a prediction; the least recently used ones go to files when memory is exceeded."""
        key = plane_result.source.key, plane_result.source.region
        self._plane_results.pop(key, None)
        self._plane_results[key] = plane_result
        in_memory = [
            stored
            for stored in self._plane_results.values()
            if stored.size and not self._disk_cache.is_queued(stored)
        ]
        excess = sum(stored.size for stored in in_memory) - MOST_KEPT
        for stored in in_memory[:-1]:
            if excess <= 0:
                break
            excess -= stored.size
            self._disk_cache.put(stored)

    def find(self, source: ImageSource, model: str) -> PlaneResult | None:
        """Find the result of a plane by this model: of the same region, or else the latest."""
        stamp = get_model_stamp(model)
        keys = [
            key
            for key, stored in self._plane_results.items()
            if key[0] == source.key and stored.model == stamp and stored.source.is_current
        ]
        if not keys:
            return None
        own_key = (source.key, source.region)
        key = own_key if own_key in keys else keys[-1]
        self._plane_results.move_to_end(key)
        return self._plane_results[key]

    def find_planes(self, source: ImageSource, model: str) -> list[PlaneResult]:
        """Find the results of a stack: same image, channel, level and model."""
        stamp, stack_key = get_model_stamp(model), _stack_key(source)
        by_plane = {
            stored.source.key: stored  # of several regions the one used last
            for stored in self._plane_results.values()
            if _stack_key(stored.source) == stack_key and stored.model == stamp
        }
        return [stored for stored in by_plane.values() if stored.source.is_current]

    def find_latest(self, image: Any, index: LabelsIndex) -> PlaneResult | None:
        """Find the latest result of a plane, by any model."""
        for stored in reversed(self._plane_results.values()):
            same_plane = stored.source.image == image and stored.placement.index == index
            if same_plane and stored.source.is_current:
                return stored
        return None

    def get_provenance(self, layer: Labels, index: LabelsIndex) -> Provenance | None:
        """Return the provenance of a plane of labels, if it is known."""
        results = self._results_on(layer, index)
        return results[-1].provenance if results else None

    def get_provenances(self, layer: Labels) -> list[Provenance]:
        """Return the provenance of all stored planes of labels."""
        results = self._results_on(layer)
        by_plane = {plane_key(stored.placement.index): stored.provenance for stored in results}
        return [provenance for provenance in by_plane.values() if provenance is not None]

    def _results_on(
        self, layer: Labels | None, index: LabelsIndex | None = None
    ) -> list[PlaneResult]:
        """Return the results of a layer, or of a plane of it."""
        return [
            stored
            for stored in self._plane_results.values()
            if stored.layer == layer and index in (None, stored.placement.index)
        ]

    def edited(self, layer: Labels, placement: LayerPlacement) -> bool:
        """Return whether a plane of labels was edited, or painted by the user alone."""
        if results := self._results_on(layer, placement.index):
            return not any(stored.is_unedited() for stored in results)
        data = layer.data
        return (
            isinstance(data, np.ndarray)
            and data.shape == placement.shape
            and get_label_ids(layer).is_unwritten(placement.index)
            and bool(data[placement.index].any())
        )

    def write(
        self,
        layer: Labels | None,
        write: Callable[[], _Result],
        index: LabelsIndex | None = None,
        own: PlaneResult | None = None,
    ) -> _Result:
        """Write into labels, or a plane of them; results that were unedited there remain so.

        ``own`` is the result that is written, which marks itself.
        """
        results = [stored for stored in self._results_on(layer, index) if stored is not own]
        unedited = [stored for stored in results if stored.is_unedited()]
        written = write()
        for stored in unedited:
            stored.mark_written()
        return written

    def contains(self, plane_result: PlaneResult) -> bool:
        """Return whether a result is still stored."""
        return (
            self._plane_results.get((plane_result.source.key, plane_result.source.region))
            is plane_result
        )

    def close(self, *_: object) -> None:
        """Drop all results and their files."""
        self.stop()
        self._plane_results.clear()
        self._disk_cache.close()

    def _drop(self, plane_result: PlaneResult) -> None:
        if self.contains(plane_result):
            del self._plane_results[plane_result.source.key, plane_result.source.region]

    def remove_layer(self, layer: Any) -> None:
        """Drop the results of an image or labels layer that was removed or has new content."""
        for key, stored in list(self._plane_results.items()):
            if layer in (stored.source.image, stored.layer):
                del self._plane_results[key]
                if self._requested is not None and self._requested[0] is stored:
                    self._requested = None

    def request_retune(self, plane_result: PlaneResult, params: SegmentParams) -> None:
        """Schedule a plane to be retuned; a pending request is replaced."""
        self._requested = plane_result, params
        self._timer.start()

    def stop(self, *_: object) -> None:
        """Drop requests, and the result of a retuning that is under way."""
        self._timer.stop()
        self._requested = self._retuning = None
        self._job.cancel()

    def _start(self) -> None:
        if self._job.is_running or self._requested is None:
            return  # _on_finished calls this again
        (plane_result, params), self._requested = self._requested, None
        with report_user_errors(self.message.emit):
            check_unlocked(plane_result.layer)
            self._retuning = plane_result
            self._revision = get_features_table(plane_result.layer).history.revision
            self._job.start("", _retune_steps, plane_result, plane_result.read_labels(), params)

    def _on_result(self, retuned: RetunedPlane | None) -> None:
        plane_result, self._retuning = self._retuning, None
        if plane_result is None or self._requested is not None or not self.contains(plane_result):
            return  # stale
        if retuned is None:
            self.remove_layer(plane_result.source.image)
            self.message.emit("The image has changed since it was segmented: click Segment.")
        elif self._is_edited_since(plane_result):
            self.message.emit(LABELS_EDITED_BY_HAND)
        else:
            self.retuned.emit(plane_result, retuned)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, LabelsEditedError):
            self.message.emit(str(error))
        else:
            self.failed.emit(error)

    def _is_edited_since(self, plane_result: PlaneResult) -> bool:
        """Return whether labels were edited after the thread has found them unedited."""
        if get_features_table(plane_result.layer).history.revision == self._revision:
            return False
        return not plane_result.is_unedited()

    def _on_finished(self) -> None:
        self._retuning = None
        if self._requested is not None and not self._timer.isActive():
            self._start()


_caches: weakref.WeakSet[PredictionCache] = weakref.WeakSet()


def find_prediction(image: Any, index: LabelsIndex) -> PlaneResult | None:
    """Find the result of a plane of an image in any widget; ``index`` is that of its labels."""
    results = (cache.find_latest(image, index) for cache in _caches)
    return next((plane_result for plane_result in results if plane_result is not None), None)


def _stack_key(source: ImageSource) -> tuple[Any, ...]:
    """Return a key that all planes of a stack share."""
    axis, index = source.plane_index.channel_axis, source.plane_index.index
    channel = None if axis is None else index[axis]
    return source.key[0], source.level, axis, channel, tuple(at is None for at in index)


def retune_plane(plane_result: PlaneResult, params: SegmentParams) -> RetunedPlane | None:
    """Recompute the nuclei of a plane, in the thread; return None if its pixels have changed."""
    # it loads torch, which takes seconds
    from ...segmentation.segment import retune

    source = plane_result.source
    if isinstance(source.pixels, np.ndarray):  # a lazy array is too slow to read at each move
        plane = source.plane_index_at_level.read(source.pixels)
        if array_crc32(plane) != plane_result.checksum:
            return None
    return RetunedPlane.of(retune(plane_result.prediction, params), source)


def _retune_steps(
    plane_result: PlaneResult, labels: NDArray[np.int32], params: SegmentParams
) -> Generator[Step, None, RetunedPlane | None]:
    yield Step(0, 1)
    if not plane_result.is_unedited(labels):
        raise LabelsEditedError(LABELS_EDITED_BY_HAND)
    retuned = retune_plane(plane_result, params)
    yield Step(1, 1)
    return retuned
