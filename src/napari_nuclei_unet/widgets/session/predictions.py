"""Live tuning: what the network said is kept, and nuclei are found in it again and again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob
from napari_nuclei_unet.widgets.layers.checksum import array_crc32
from napari_nuclei_unet.widgets.layers.image_source import ImageSource
from napari_nuclei_unet.widgets.layers.label_ids import LabelsIndex, get_label_ids, plane_key
from napari_nuclei_unet.widgets.layers.labels_layer import LayerPlacement, check_unlocked
from napari_nuclei_unet.widgets.session.disk_cache import DiskCache
from napari_nuclei_unet.widgets.session.plane_result import (
    PlaneResult,
    RetunedPlane,
    get_model_stamp,
)

_Result = TypeVar("_Result")
# After the last move of a slider, in milliseconds.
RETUNE_DELAY_MS = 40
# What is kept in memory of all images together, in bytes, and of the plane used last in any case;
# the rest goes into files.
MOST_KEPT = 1_500_000_000
LABELS_EDITED_BY_HAND = (
    "These labels were edited by hand, so the sliders leave them alone. "
    "Click Segment for others, in a layer of their own."
)


class PredictionCache(QObject):
    """Keeps predictions, and finds nuclei in them again when the form changes.

    Signals
    -------
    retuned : Kept, Answer
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
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(RETUNE_DELAY_MS)
        self._timer.timeout.connect(self._start)
        self._job = ThreadJob()
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self.failed)
        self._job.finished.connect(self._on_finished)
        self._disk_cache = DiskCache()
        self._disk_cache.failed.connect(self._drop)
        _caches.add(self)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is under way."""
        return self._timer.isActive() or self._job.is_running

    def add(self, plane_result: PlaneResult) -> None:
        """Remember a prediction; those used least lately go into files when there are too many."""
        key = plane_result.source.key, plane_result.source.region
        self._plane_results.pop(key, None)
        self._plane_results[key] = plane_result
        staying = [
            one
            for one in self._plane_results.values()
            if one.size and not self._disk_cache.is_queued(one)
        ]
        too_much = sum(one.size for one in staying) - MOST_KEPT
        for one in staying[:-1]:
            if too_much <= 0:
                break
            too_much -= one.size
            self._disk_cache.put(one)

    def find(self, source: ImageSource, model: str) -> PlaneResult | None:
        """Give what is kept of a plane, if it is of this model.

        That of the same region, or else the latest of the plane.
        """
        stamp = get_model_stamp(model)
        mine = [
            key
            for key, kept in self._plane_results.items()
            if key[0] == source.key and kept.model == stamp and kept.source.is_current
        ]
        if not mine:
            return None
        same = (source.key, source.region)
        key = same if same in mine else mine[-1]
        self._plane_results.move_to_end(key)
        return self._plane_results[key]

    def find_planes(self, source: ImageSource, model: str) -> list[PlaneResult]:
        """Give what is kept of the planes of a stack: same image, channel, level and model."""
        stamp, like = get_model_stamp(model), _stack_key(source)
        mine = {
            kept.source.key: kept  # of several regions the one used last
            for kept in self._plane_results.values()
            if _stack_key(kept.source) == like and kept.model == stamp
        }
        return [kept for kept in mine.values() if kept.source.is_current]

    def find_latest(self, image: Any, index: LabelsIndex) -> PlaneResult | None:
        """Give what was predicted last of a plane, by whichever model."""
        mine = [
            kept
            for kept in self._plane_results.values()
            if kept.source.image == image
            and kept.placement.index == index
            and kept.source.is_current
        ]
        return mine[-1] if mine else None

    def get_record(self, layer: Labels, index: LabelsIndex) -> dict[str, Any] | None:
        """Give the record of a plane of labels, if it is kept."""
        mine = self._results_on(layer, index)
        return mine[-1].record or None if mine else None

    def get_records(self, layer: Labels) -> list[dict[str, Any]]:
        """Give the records of all planes of labels that are kept."""
        mine = {
            plane_key(one.placement.index): one
            for one in self._plane_results.values()
            if one.layer == layer
        }
        return [kept.record for kept in mine.values() if kept.record]

    def _results_on(self, layer: Labels | None, index: LabelsIndex) -> list[PlaneResult]:
        return [
            kept
            for kept in self._plane_results.values()
            if kept.placement.index == index and kept.layer == layer
        ]

    def edited(self, layer: Labels, placement: LayerPlacement) -> bool:
        """Whether a plane of labels is not what was written, or was painted by the user alone."""
        if mine := self._results_on(layer, placement.index):
            return not any(kept.is_unedited() for kept in mine)
        data = layer.data
        known = isinstance(data, np.ndarray) and data.shape == placement.shape
        return (
            known
            and get_label_ids(layer).is_unwritten(placement.index)
            and bool(data[placement.index].any())
        )

    def write_plane(
        self, layer: Labels | None, placement: LayerPlacement, write: Callable[[], _Result]
    ) -> _Result:
        """Write into a plane of labels; what others have written there does not look edited."""
        beside = [kept for kept in self._results_on(layer, placement.index) if kept.is_unedited()]
        made = write()
        for kept in beside:
            kept.mark_written()
        return made

    def write_all_planes(self, layer: Labels, write: Callable[[], None]) -> None:
        """Write into all planes of labels; those that look as they were written still do."""
        mine = [
            one for one in self._plane_results.values() if one.layer == layer and one.is_unedited()
        ]
        write()
        for kept in mine:
            kept.mark_written()

    def contains(self, plane_result: PlaneResult) -> bool:
        """Whether a prediction was not forgotten meanwhile."""
        return (
            self._plane_results.get((plane_result.source.key, plane_result.source.region))
            is plane_result
        )

    def close(self, *_: object) -> None:
        """Drop everything, and the files."""
        self.stop()
        self._plane_results.clear()
        self._disk_cache.close()

    def _drop(self, plane_result: PlaneResult) -> None:
        if self.contains(plane_result):
            del self._plane_results[plane_result.source.key, plane_result.source.region]

    def remove_layer(self, layer: Any) -> None:
        """Drop what belongs to an image or labels layer that is gone, or has other content."""
        for key, kept in list(self._plane_results.items()):
            if layer in (kept.source.image, kept.layer):
                del self._plane_results[key]
                if self._requested is not None and self._requested[0] is kept:
                    self._requested = None

    def request_retune(self, plane_result: PlaneResult, params: SegmentParams) -> None:
        """Find nuclei again, soon; a wish that is not answered yet is replaced by this one."""
        self._requested = plane_result, params
        self._timer.start()

    def stop(self, *_: object) -> None:
        """Drop wishes; an answer under way is not given any more."""
        self._timer.stop()
        self._requested = self._retuning = None
        self._job.cancel()

    def _start(self) -> None:
        if self._job.is_running or self._requested is None:
            return  # the end of the job at work comes back here
        (kept, params), self._requested = self._requested, None
        try:
            check_unlocked(kept.layer)
        except UserError as error:
            self.message.emit(str(error))
            return
        if not kept.is_unedited():
            self.message.emit(LABELS_EDITED_BY_HAND)
            return
        self._retuning = kept
        self._job.start("", _retune_steps, kept, params)

    def _on_result(self, answer: RetunedPlane | None) -> None:
        kept, self._retuning = self._retuning, None
        if kept is None or self._requested is not None:
            return  # stale
        if not self.contains(kept):
            return
        if answer is None:
            self.remove_layer(kept.source.image)
            self.message.emit("The image has changed since it was segmented: click Segment.")
        elif not kept.is_unedited():
            self.message.emit(LABELS_EDITED_BY_HAND)
        else:
            self.retuned.emit(kept, answer)

    def _on_finished(self) -> None:
        self._retuning = None
        if self._requested is not None and not self._timer.isActive():
            self._start()


_caches: weakref.WeakSet[PredictionCache] = weakref.WeakSet()


def find_prediction(image: Any, index: LabelsIndex) -> PlaneResult | None:
    """Give what any widget keeps of a plane of an image; ``index`` is that of its labels."""
    found = (live.find_latest(image, index) for live in _caches)
    return next((kept for kept in found if kept is not None), None)


def _stack_key(source: ImageSource) -> tuple[Any, ...]:
    """Say which stack a plane is of."""
    axis, index = source.plane_index.channel_axis, source.plane_index.index
    channel = None if axis is None else index[axis]
    return source.key[0], source.level, axis, channel, tuple(at is None for at in index)


def retune_plane(plane_result: PlaneResult, params: SegmentParams) -> RetunedPlane | None:
    """Find nuclei again, in the thread; None where the image has other pixels by now."""
    from napari_nuclei_unet.segmentation.segment import retune

    pixels = plane_result.source.pixels
    # what is read lazily is too slow to be read for every move
    in_memory = isinstance(pixels, np.ndarray)
    if (
        in_memory
        and array_crc32(plane_result.source.plane_index_at_level.read(pixels))
        != plane_result.checksum
    ):
        return None
    return RetunedPlane.of(retune(plane_result.prediction, params), plane_result.source)


def _retune_steps(
    plane_result: PlaneResult, params: SegmentParams
) -> Generator[Step, None, RetunedPlane | None]:

    yield Step(0, 1)
    made = retune_plane(plane_result, params)
    yield Step(1, 1)
    return made
