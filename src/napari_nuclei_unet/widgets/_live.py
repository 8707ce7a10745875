"""Live tuning: what the network said is kept, and nuclei are found in it again and again."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_nuclei_unet.core.regions import box_around, enlarged, paste
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models import model_path
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.widgets._job import Job
from napari_nuclei_unet.widgets._layers import Place, check_unlocked, write_record
from napari_nuclei_unet.widgets._source import Source

if TYPE_CHECKING:
    from napari_nuclei_unet.engine import Prediction, Segmentation
    from napari_nuclei_unet.prediction import Step

Result = TypeVar("Result")
# After the last move of a slider, in milliseconds.
DEBOUNCE = 40
# What is kept of all images together, in bytes; the plane tuned last is kept in any case.
MOST_KEPT = 1_500_000_000
EDITED = (
    "These labels were edited by hand, so the sliders leave them alone. "
    "Click Segment for others, in a layer of their own."
)


@dataclass(frozen=True, eq=False)
class Answer:
    """A result, and its labels in pixels of the full plane.

    Attributes
    ----------
    result : Segmentation
        In pixels of the level that the network saw.
    labels : ndarray, shape (Y, X), int32
    inside : ndarray, shape (Y, X), bool, or None
        Where they are wanted; None: everywhere.
    areas : ndarray, shape (n,), integer
        Of the nuclei, in pixels.
    """

    result: Segmentation
    labels: NDArray[np.int32]
    inside: NDArray[np.bool_] | None
    areas: NDArray[np.integer]

    @classmethod
    def of(cls, result: Segmentation, source: Source) -> Answer:
        """Enlarge a result to the full plane, where it is smaller."""
        inside = None if result.inside is None else enlarged(result.inside, source.shape)
        labels = enlarged(result.labels, source.shape)
        return cls(result, labels, inside, np.bincount(labels.ravel())[1:])


@dataclass(eq=False)
class Kept:
    """A prediction, and the labels layer that shows what was found in it.

    Attributes
    ----------
    source : Source
    prediction : Prediction
    content : int
        Checksum of the plane's pixels.
    model : tuple
        Which one, and in which state: :func:`model_stamp`.
    layer : napari.layers.Labels
    place : Place
        Of the plane in the layer.
    inside : ndarray, shape of the plane, bool, or None
        Where labels were written.
    written : ndarray, shape of the plane, int32
        The labels, as they were written; see :meth:`remember`.
    """

    source: Source
    prediction: Prediction
    content: int
    model: tuple[str, int]
    layer: Labels
    place: Place
    inside: NDArray[np.bool_] | None
    written: NDArray[np.int32] | None = None

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return int(self.prediction.maps.nbytes)

    def shown(self) -> NDArray[np.int32]:
        """Give the plane of the layer, not a copy; nothing of a layer that has it no more."""
        try:
            return np.asarray(self.layer.data[self.place.index])
        except IndexError:
            return np.zeros((0, 0), np.int32)

    def remember(self) -> None:
        """Take what the layer shows now for what was written."""
        self.written = self.shown().copy()

    def update(self, answer: Answer) -> None:
        """Write other labels in place of those that were written."""
        if not self.shown().flags.writeable:  # such as a map of a file, opened to be read
            self.layer.data = np.array(self.layer.data)
        paste(answer.labels, answer.inside, self.shown())
        self.layer.refresh(extent=False)
        write_record(self.layer, self.source.image, self.place, answer.result.record)
        self.remember()

    def untouched(self) -> bool:
        """Whether the labels are still those that were written."""
        shown = self.shown()
        if self.written is None or (shown.shape, shown.dtype) != (
            self.written.shape,
            self.written.dtype,
        ):
            return False
        if self.inside is None:
            return np.array_equal(shown, self.written)
        box = box_around(self.inside)
        same = (shown[box] == self.written[box]) | ~self.inside[box]
        return bool(same.all())


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

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._timer.isActive() or self._job.running

    def keep(self, kept: Kept) -> None:
        """Remember a prediction; those used least lately go when there are too many."""
        key = kept.source.key, kept.source.region
        self._kept.pop(key, None)
        self._kept[key] = kept
        while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > MOST_KEPT:
            self._kept.popitem(last=False)

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

    def edited(self, layer: Labels, place: Place) -> bool:
        """Whether a plane of labels that was written is not what it was."""
        mine = [
            kept
            for kept in self._kept.values()
            if kept.layer == layer and kept.place.index == place.index
        ]
        return bool(mine) and not any(kept.untouched() for kept in mine)

    def writing(self, layer: Labels | None, place: Place, write: Callable[[], Result]) -> Result:
        """Write into a plane of labels; what others have written there does not look edited."""
        beside = [
            kept
            for kept in self._kept.values()
            if kept.layer == layer and kept.place.index == place.index and kept.untouched()
        ]
        made = write()
        for kept in beside:
            kept.remember()
        return made

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
        if kept not in self._kept.values():
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


def model_stamp(model: str) -> tuple[str, int]:
    """Name of a model, and when its file was changed last."""
    try:
        return model, model_path(model).stat().st_mtime_ns
    except (UserError, OSError):
        return model, 0


def content_of(pixels: NDArray[Any]) -> int:
    """Checksum by which changed pixels are told, at gigabytes a second."""
    return zlib.crc32(np.ascontiguousarray(pixels).view(np.uint8).data)


def _retune_steps(kept: Kept, params: SegmentParams) -> Generator[Step, None, Answer | None]:
    """Run in the thread; None where the image has other pixels by now."""
    from napari_nuclei_unet.engine import retune
    from napari_nuclei_unet.prediction import Step

    yield Step(0, 1)
    pixels = kept.source.pixels
    # what is read lazily is too slow to be read for every move
    in_memory = isinstance(pixels, np.ndarray)
    if in_memory and content_of(kept.source.cut_at_level.read(pixels)) != kept.content:
        return None
    made = retune(kept.prediction, params)
    yield Step(1, 1)
    return Answer.of(made, kept.source)
