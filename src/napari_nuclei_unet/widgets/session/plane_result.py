"""What is kept of a plane that was segmented: what the network said, and what was written."""

from __future__ import annotations

import dataclasses
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import Cut, CutArray
from napari_nuclei_unet.arrays.boxes import Box, box_around, enlarged
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models.model import model_path
from napari_nuclei_unet.widgets.layers.checksum import content_of
from napari_nuclei_unet.widgets.layers.features import UNSEEN, table_of
from napari_nuclei_unet.widgets.layers.image_source import Source
from napari_nuclei_unet.widgets.layers.label_ids import ids_of
from napari_nuclei_unet.widgets.layers.labels_layer import (
    Place,
    forget_steps,
    write_labels,
    write_record,
)
from napari_nuclei_unet.widgets.layers.measurements import (
    Found,
    Maps,
    behind_source,
    measured,
    whole,
)

if TYPE_CHECKING:
    from napari_nuclei_unet.segmentation.segment import Prediction, Segmentation


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
    found : tuple
        Their measurements, as from ``_behind.measured``.
    """

    result: Segmentation
    labels: NDArray[np.int32]
    inside: NDArray[np.bool_] | None
    areas: NDArray[np.integer]
    found: Found

    @classmethod
    def of(cls, result: Segmentation, source: Source, plane: NDArray[Any] | None = None) -> Answer:
        """Enlarge a result to the full plane, where it is smaller, and measure it.

        ``plane`` is what was read of the image, so that it is not read again.
        """
        inside = None if result.inside is None else enlarged(result.inside, source.shape)
        labels = enlarged(result.labels, source.shape)
        behind = behind_source(source, lambda: result.maps)
        if plane is not None and source.cut.channel_axis is None and source.level == 0:
            behind = dataclasses.replace(behind, pixels=lambda: plane, cut=Cut((None, None)))
        found = measured(behind, labels, whole(source.shape))
        return cls(result, labels, inside, np.bincount(labels.ravel())[1:], found)


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
    record : dict
        Of the labels that were written last.
    written : tuple
        Tells the labels that were written from others; see :meth:`remember`.
    """

    source: Source
    prediction: Prediction
    content: int
    model: tuple[str, int]
    layer: Labels
    place: Place
    inside: NDArray[np.bool_] | None
    record: dict[str, Any] = field(default_factory=dict)
    written: tuple[Any, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of memory; what is in a file takes none."""
        maps = self.prediction.maps
        return 0 if isinstance(maps, np.memmap) else int(maps.nbytes)

    def probability(self, box: Box) -> NDArray[np.float32]:
        """Predicted probability of nucleus, in a box of the full plane."""
        return enlarged(self.prediction.maps[0], self.source.shape, box)

    def shown(self) -> NDArray[np.int32]:
        """Give the plane of the layer, not a copy; nothing of a layer that has it no more."""
        try:
            return np.asarray(self.layer.data[self.place.index])
        except IndexError:
            return np.zeros((0, 0), np.int32)

    def remember(self) -> None:
        """Take what the layer shows now for what was written."""
        self.written = self._mark()

    def update(self, answer: Answer, refresh: bool = True) -> None:
        """Write other labels in place of those that were written.

        Parameters
        ----------
        answer : Answer
        refresh : bool
            Whether the plane is on view, and to be drawn; else the layer's record stays, too.
        """
        write_labels(self.layer, self.place, answer.labels, answer.inside, refresh)
        self.record = answer.result.record
        if refresh:
            write_record(self.layer, self.source.image, self.place, self.record)
        self.remember()
        self.tabulate(answer, refresh)

    def tabulate(self, answer: Answer, publish: bool = True) -> None:
        """Put the measurements of what was just written into the table of the layer."""
        table, index = table_of(self.layer), self.place.index
        if table.history.crosses(index):
            forget_steps(self.layer)
            table.history.clear()
        behind = behind_source(self.source, self.maps)
        if answer.inside is None:
            table.take(index, behind, answer.found, ids_of(self.layer).above(index))
        elif table.plane(index) is not None:
            table.history.settle()
            table.recheck(index, box_around(answer.inside), state=UNSEEN)
        else:  # labels that were there before have not been measured
            shape = self.source.shape
            table.take(index, behind, measured(behind, self.shown(), whole(shape)))
        if publish:
            table.publish()

    @property
    def maps(self) -> Maps:
        """Gives the maps, as long as this is kept."""
        me = weakref.ref(self)

        def given() -> NDArray[np.float32] | None:
            kept = me()
            return None if kept is None else kept.prediction.maps

        return given

    def untouched(self) -> bool:
        """Whether the labels are still those that were written."""
        return self.written is not None and self.written == self._mark()

    def _mark(self) -> tuple[Any, ...]:
        """Checksum of the labels, of which a copy would take as much memory as the layer."""
        shown = self.shown()
        if self.inside is not None and shown.shape == self.inside.shape:
            box = box_around(self.inside)
            shown = np.where(self.inside[box], shown[box], 0)
        return shown.shape, shown.dtype.str, content_of(shown)


def lean(prediction: Prediction, source: Source) -> Prediction:
    """Let a prediction refer to the pixels of its plane instead of holding them."""
    pixels = CutArray(source.pixels, source.cut_at_level)
    plane = dataclasses.replace(prediction.plane, pixels=pixels)  # type: ignore[arg-type]
    return dataclasses.replace(prediction, plane=plane)


def model_stamp(model: str) -> tuple[str, int]:
    """Name of a model, and when its file was changed last."""
    try:
        return model, model_path(model).stat().st_mtime_ns
    except (UserError, OSError):
        return model, 0
