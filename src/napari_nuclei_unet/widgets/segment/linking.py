"""Nuclei across planes: slices are joined in depth, frames linked over time, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Tracks
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.progress import Step, Wish
from napari_nuclei_unet.widgets.common.controls import button, combo
from napari_nuclei_unet.widgets.common.job import Job
from napari_nuclei_unet.widgets.common.notify import tell
from napari_nuclei_unet.widgets.layers.features import table_of
from napari_nuclei_unet.widgets.layers.keys import FOLLOWED, METADATA, TRACKS
from napari_nuclei_unet.widgets.layers.label_ids import ids_of
from napari_nuclei_unet.widgets.layers.labels_layer import GEOMETRY, check_unlocked, result_on_view

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.tracking.linking import Linked
    from napari_nuclei_unet.widgets.segment.source_form import Where

DEPTH, TIME = ("z", "depth", "slice"), ("t", "time", "frame")
NO_STACK = "Joining and linking need labels of a stack: segment all planes of one first."
IN_A_FILE = (
    "Labels that are in a file cannot be joined or linked here: use the command line with --join "
    "or --track, or duplicate the layer into memory."
)
NOT_FIRST = (
    "napari draws tracks along the first axis only, and the time of these labels is another: put "
    "it first, with numpy.moveaxis, and segment again."
)
CHANGED = "The labels were changed meanwhile, so their ids stay as they are: do it again."


@dataclass(frozen=True, eq=False)
class Followed:
    """What the thread returns.

    Attributes
    ----------
    planes : list of tuple of int
        Index of every plane.
    linked : Linked
        Their ids, and tracks, if frames were linked.
    """

    planes: list[tuple[int, ...]]
    linked: Linked


def follow(labels: Any, axis: int, over_time: bool) -> Generator[Step, Wish, Followed]:
    """Run in the thread: give nuclei ids that hold across the planes of a stack."""
    from napari_nuclei_unet.tracking.linking import follow_steps, join_steps

    lengths = labels.shape[:-2]
    planes = list(np.ndindex(*lengths))

    def read(number: int) -> NDArray[np.integer]:
        return np.asarray(labels[planes[number]])

    names = ["t" if at == axis else f"axis {at}" for at in range(len(lengths))]
    places = [dict(zip(names, index, strict=True)) for index in planes]
    steps = (
        follow_steps(read, places, lengths, axis) if over_time else join_steps(read, lengths, axis)
    )
    yield Step(0, len(planes))
    return Followed(planes, (yield from steps))


class Across(QWidget):
    """Buttons that join slices and link frames of the labels of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    where : Where
        Says which image is chosen.
    writing : callable
        Is given the labels layer and a function that writes into it, and calls that.

    Signals
    -------
    said : str
        A sentence for the user.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        where: Where,
        writing: Callable[[Labels, Callable[[], None]], None],
    ) -> None:
        super().__init__()
        self._viewer, self._where, self._writing = viewer, where, writing
        self._layer: Labels | None = None
        self._before = 0
        self._along = 0, False  # which axis, and whether it is time
        self.job = Job()
        self._axis = combo("follow_axis", "The axis along which slices are joined.", self._axes)
        self._join = button(
            "join_slices",
            "Join slices",
            "Sections of one nucleus in neighbouring slices get one id; the network is not asked.",
        )
        self._link = button(
            "link_frames",
            "Link over time",
            "A nucleus keeps its id from frame to frame along the axis of time, and a layer shows "
            "its track. Needs LapTrack.",
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for one in (self._axis.native, self._join, self._link):
            layout.addWidget(one)
        self._join.clicked.connect(self._on_join)
        self._link.clicked.connect(self._on_link)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self._on_followed)
        self.job.failed.connect(tell)
        self.job.finished.connect(self._on_finished)
        where.changed.connect(self.renew)
        viewer.layers.events.inserted.connect(self.renew)
        viewer.layers.events.removed.connect(self.renew)
        viewer.layers.selection.events.active.connect(self.renew)
        self.destroyed.connect(self.job.cancel)
        self.renew()

    def renew(self, *_: object) -> None:
        """Offer the axes of the labels that are chosen now; hidden where they are no stack."""
        before = self._axis.value
        self._axis.reset_choices()
        if before in self._axis.choices:
            self._axis.value = before
        self.setVisible(bool(self._axis.choices))

    def _labels(self) -> Labels | None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels):
            return active
        return result_on_view(self._viewer, self._where.image.value)

    def _axes(self, _: Any) -> list[tuple[str, int]]:
        layer = self._labels()
        if layer is None or layer.multiscale:
            return []
        shape = layer.data.shape
        found = [
            (f"{_name(layer, axis)} ({shape[axis]})", axis)
            for axis in range(layer.ndim - 2)
            if shape[axis] > 1
        ]
        # the last is the likeliest for depth, and depth comes first in the list
        return sorted(found, key=lambda one: (_name(layer, one[1]).lower() not in DEPTH, -one[1]))

    def _on_join(self, *_: object) -> None:
        self._follow(over_time=False)

    def _on_link(self, *_: object) -> None:
        self._follow(over_time=True)

    def _follow(self, over_time: bool) -> None:
        layer = self._labels()
        try:
            if layer is None or self._axis.value is None:
                raise UserError(NO_STACK)
            axis = self._time_axis(layer) if over_time else self._axis.value
            check_unlocked(layer)
            if not isinstance(layer.data, np.ndarray):
                raise UserError(IN_A_FILE)
            if over_time and axis != 0:
                raise UserError(NOT_FIRST)
        except UserError as error:
            show_warning(str(error))
            return
        if self.job.running:
            return
        self._layer, self._before, self._along = layer, id(layer.data), (axis, over_time)
        layer.editable = False  # what is painted meanwhile would be lost
        self._enable(False)
        words = "Linking" if over_time else "Joining"
        self.said.emit(f"{words} …")
        self.job.start(f"{words} {layer.name}", follow, layer.data, axis, over_time)

    def _time_axis(self, layer: Labels) -> int:
        """Give the axis that is called time, or else the first."""
        axes = sorted(axis for _, axis in self._axes(None))
        named = [axis for axis in axes if _name(layer, axis).lower() in TIME]
        return (named or axes)[0]

    def _enable(self, idle: bool) -> None:
        for one in (self._join, self._link):
            one.setEnabled(idle)

    def _on_step(self, step: Step) -> None:
        self.said.emit(f"Plane {min(step.done + 1, step.total)} of {step.total}")

    def _on_followed(self, followed: Followed) -> None:
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        layer.editable = True
        if id(layer.data) != self._before:
            show_warning(CHANGED)
            return
        self._writing(layer, lambda: _write(layer, followed))
        linked, (axis, over_time) = followed.linked, self._along
        drop_tracks(self._viewer, layer)  # their ids are those of before
        _mark(layer, axis, over_time)
        if over_time:
            self._show_tracks(layer, linked)
        what = "tracks" if over_time else "nuclei joined"
        self.said.emit(f"{linked.count:,} {what} along {_name(layer, axis)}")

    def _on_finished(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            layer.editable = True
        self._enable(True)

    def _show_tracks(self, labels: Labels, linked: Linked) -> None:
        data, graph = _as_napari(linked)
        if not len(data):  # napari takes no empty tracks
            return
        active = self._viewer.layers.selection.active
        made = Tracks(
            data,
            graph=graph,
            name=f"{labels.name} tracks",
            metadata={TRACKS: str(labels.unique_id)},
            **{name: getattr(labels, name) for name in GEOMETRY},
        )
        self._viewer.add_layer(made)
        self._viewer.layers.selection.active = active


def drop_tracks(viewer: ViewerModel, labels: Labels) -> None:
    """Remove the tracks of labels whose ids are all others now."""
    key = str(labels.unique_id)
    for layer in [one for one in viewer.layers if one.metadata.get(TRACKS) == key]:
        viewer.layers.remove(layer)
    if FOLLOWED in labels.metadata:
        labels.metadata = {name: v for name, v in labels.metadata.items() if name != FOLLOWED}


def broken(labels: Labels, which: str = " of this plane") -> str:
    """Say that ids do not hold across planes any more, as some were written anew; else nothing."""
    how, record = labels.metadata.get(FOLLOWED), labels.metadata.get(METADATA, {})
    if how is None or record.get("join") or record.get("track"):
        return ""
    return f" · ids{which} are new: {how} again"


def _mark(layer: Labels, axis: int, over_time: bool) -> None:
    """Say in the record of labels how their ids were made."""
    made = {**layer.metadata, FOLLOWED: "link" if over_time else "join"}
    if isinstance(record := layer.metadata.get(METADATA), dict):
        name = layer.axis_labels[axis].lower()
        letter = name if len(name) == 1 and name.isalpha() and name not in "cyx" else "z"
        how = {"join": None if over_time else letter, "track": over_time, "along": axis}
        made[METADATA] = record | how
    layer.metadata = made


def _write(layer: Labels, followed: Followed) -> None:
    data, table = layer.data, table_of(layer)
    for index, ids in zip(followed.planes, followed.linked.ids, strict=True):
        data[index] = ids[np.asarray(data[index])]
        table.relabel((*index, slice(None), slice(None)), ids)
    table.publish()
    ids_of(layer).raise_to(followed.linked.count)
    layer.refresh()


def _as_napari(linked: Linked) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Tracks with their place on every axis, and ``{daughter: [mother]}``."""
    table = linked.tracks
    axes = [name for name in table if name not in ("track", "parent", "t", "y", "x")]
    columns = [table[name] for name in ("track", "t", *axes, "y", "x")]
    born = table["parent"] > 0
    pairs = zip(table["track"][born].tolist(), table["parent"][born].tolist(), strict=True)
    return np.column_stack(columns).astype(np.float64), {child: [of] for child, of in pairs}


def _name(layer: Labels, axis: int) -> str:
    name = layer.axis_labels[axis]
    return name if name.isalpha() else f"axis {axis}"
