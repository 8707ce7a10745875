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
from napari_nuclei_unet.widgets.common.job import Job
from napari_nuclei_unet.widgets.layers.checksum import content_of
from napari_nuclei_unet.widgets.layers.image_source import Source
from napari_nuclei_unet.widgets.layers.label_ids import Index, ids_of, key_of
from napari_nuclei_unet.widgets.layers.labels_layer import Place, check_unlocked
from napari_nuclei_unet.widgets.session.disk_cache import Spill
from napari_nuclei_unet.widgets.session.plane_result import Answer, Kept, model_stamp

Result = TypeVar("Result")
# After the last move of a slider, in milliseconds.
DEBOUNCE = 40
# What is kept in memory of all images together, in bytes, and of the plane used last in any case;
# the rest goes into files.
MOST_KEPT = 1_500_000_000
EDITED = (
    "These labels were edited by hand, so the sliders leave them alone. "
    "Click Segment for others, in a layer of their own."
)


class Live(QObject):
    """Keeps predictions, and finds nuclei in them again when the form changes.

    Signals
    -------
    retuned : Kept, Answer
    said : str
        A sentence for the user.
    failed : Exception
    """

    retuned = Signal(object, object)
    said = Signal(str)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._wish: tuple[Kept, SegmentParams] | None = None
        self._at_work: Kept | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE)
        self._timer.timeout.connect(self._start)
        self._job = Job()
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self.failed)
        self._job.finished.connect(self._on_finished)
        self._spill = Spill()
        self._spill.failed.connect(self._drop)
        _every.add(self)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._timer.isActive() or self._job.running

    def keep(self, kept: Kept) -> None:
        """Remember a prediction; those used least lately go into files when there are too many."""
        key = kept.source.key, kept.source.region
        self._kept.pop(key, None)
        self._kept[key] = kept
        staying = [one for one in self._kept.values() if one.size and not self._spill.takes(one)]
        too_much = sum(one.size for one in staying) - MOST_KEPT
        for one in staying[:-1]:
            if too_much <= 0:
                break
            too_much -= one.size
            self._spill.put(one)

    def find(self, source: Source, model: str) -> Kept | None:
        """Give what is kept of a plane, if it is of this model.

        That of the same region, or else the latest of the plane.
        """
        stamp = model_stamp(model)
        mine = [
            key
            for key, kept in self._kept.items()
            if key[0] == source.key and kept.model == stamp and kept.source.current
        ]
        if not mine:
            return None
        same = (source.key, source.region)
        key = same if same in mine else mine[-1]
        self._kept.move_to_end(key)
        return self._kept[key]

    def planes_like(self, source: Source, model: str) -> list[Kept]:
        """Give what is kept of the planes of a stack: same image, channel, level and model."""
        stamp, like = model_stamp(model), _alike(source)
        mine = {
            kept.source.key: kept  # of several regions the one used last
            for kept in self._kept.values()
            if _alike(kept.source) == like and kept.model == stamp
        }
        return [kept for kept in mine.values() if kept.source.current]

    def predicted(self, image: Any, index: Index) -> Kept | None:
        """Give what was predicted last of a plane, by whichever model."""
        mine = [
            kept
            for kept in self._kept.values()
            if kept.source.image == image and kept.place.index == index and kept.source.current
        ]
        return mine[-1] if mine else None

    def record_of(self, layer: Labels, index: Index) -> dict[str, Any] | None:
        """Give the record of a plane of labels, if it is kept."""
        mine = self._of(layer, index)
        return mine[-1].record or None if mine else None

    def records_of(self, layer: Labels) -> list[dict[str, Any]]:
        """Give the records of all planes of labels that are kept."""
        mine = {key_of(one.place.index): one for one in self._kept.values() if one.layer == layer}
        return [kept.record for kept in mine.values() if kept.record]

    def _of(self, layer: Labels | None, index: Index) -> list[Kept]:
        return [
            kept
            for kept in self._kept.values()
            if kept.place.index == index and kept.layer == layer
        ]

    def edited(self, layer: Labels, place: Place) -> bool:
        """Whether a plane of labels is not what was written, or was painted by the user alone."""
        if mine := self._of(layer, place.index):
            return not any(kept.untouched() for kept in mine)
        data = layer.data
        known = isinstance(data, np.ndarray) and data.shape == place.shape
        return known and ids_of(layer).unwritten(place.index) and bool(data[place.index].any())

    def writing(self, layer: Labels | None, place: Place, write: Callable[[], Result]) -> Result:
        """Write into a plane of labels; what others have written there does not look edited."""
        beside = [kept for kept in self._of(layer, place.index) if kept.untouched()]
        made = write()
        for kept in beside:
            kept.remember()
        return made

    def writing_all(self, layer: Labels, write: Callable[[], None]) -> None:
        """Write into all planes of labels; those that look as they were written still do."""
        mine = [one for one in self._kept.values() if one.layer == layer and one.untouched()]
        write()
        for kept in mine:
            kept.remember()

    def keeps(self, kept: Kept) -> bool:
        """Whether a prediction was not forgotten meanwhile."""
        return self._kept.get((kept.source.key, kept.source.region)) is kept

    def close(self, *_: object) -> None:
        """Drop everything, and the files."""
        self.stop()
        self._kept.clear()
        self._spill.close()

    def _drop(self, kept: Kept) -> None:
        if self.keeps(kept):
            del self._kept[kept.source.key, kept.source.region]

    def forget(self, layer: Any) -> None:
        """Drop what belongs to an image or labels layer that is gone, or has other content."""
        for key, kept in list(self._kept.items()):
            if layer in (kept.source.image, kept.layer):
                del self._kept[key]
                if self._wish is not None and self._wish[0] is kept:
                    self._wish = None

    def tune(self, kept: Kept, params: SegmentParams) -> None:
        """Find nuclei again, soon; a wish that is not answered yet is replaced by this one."""
        self._wish = kept, params
        self._timer.start()

    def stop(self, *_: object) -> None:
        """Drop wishes; an answer under way is not given any more."""
        self._timer.stop()
        self._wish = self._at_work = None
        self._job.cancel()

    def _start(self) -> None:
        if self._job.running or self._wish is None:
            return  # the end of the job at work comes back here
        (kept, params), self._wish = self._wish, None
        try:
            check_unlocked(kept.layer)
        except UserError as error:
            self.said.emit(str(error))
            return
        if not kept.untouched():
            self.said.emit(EDITED)
            return
        self._at_work = kept
        self._job.start("", _retune_steps, kept, params)

    def _on_result(self, answer: Answer | None) -> None:
        kept, self._at_work = self._at_work, None
        if kept is None or self._wish is not None:
            return  # stale
        if not self.keeps(kept):
            return
        if answer is None:
            self.forget(kept.source.image)
            self.said.emit("The image has changed since it was segmented: click Segment.")
        elif not kept.untouched():
            self.said.emit(EDITED)
        else:
            self.retuned.emit(kept, answer)

    def _on_finished(self) -> None:
        self._at_work = None
        if self._wish is not None and not self._timer.isActive():
            self._start()


_every: weakref.WeakSet[Live] = weakref.WeakSet()


def predicted(image: Any, index: Index) -> Kept | None:
    """Give what any widget keeps of a plane of an image; ``index`` is that of its labels."""
    found = (live.predicted(image, index) for live in _every)
    return next((kept for kept in found if kept is not None), None)


def _alike(source: Source) -> tuple[Any, ...]:
    """Say which stack a plane is of."""
    axis, index = source.cut.channel_axis, source.cut.index
    channel = None if axis is None else index[axis]
    return source.key[0], source.level, axis, channel, tuple(at is None for at in index)


def retune_kept(kept: Kept, params: SegmentParams) -> Answer | None:
    """Find nuclei again, in the thread; None where the image has other pixels by now."""
    from napari_nuclei_unet.segmentation.segment import retune

    pixels = kept.source.pixels
    # what is read lazily is too slow to be read for every move
    in_memory = isinstance(pixels, np.ndarray)
    if in_memory and content_of(kept.source.cut_at_level.read(pixels)) != kept.content:
        return None
    return Answer.of(retune(kept.prediction, params), kept.source)


def _retune_steps(kept: Kept, params: SegmentParams) -> Generator[Step, None, Answer | None]:

    yield Step(0, 1)
    made = retune_kept(kept, params)
    yield Step(1, 1)
    return made
