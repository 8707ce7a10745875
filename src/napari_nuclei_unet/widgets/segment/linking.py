"""Nuclei across planes: slices joined in depth, frames linked over time, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Tracks
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from qtpy.QtWidgets import QHBoxLayout

from ...errors import UserError
from ...progress import Step, Stop
from ..common.controls import Panel, create_button, create_combo_box, fill_layout
from ..common.job import ThreadJob
from ..common.layer_combo import reload_choices
from ..common.notify import report_user_errors, show_user_error
from ..layers.features import get_features_table
from ..layers.label_ids import get_label_ids
from ..layers.labels_layer import check_unlocked, get_geometry
from ..layers.labels_record import get_record_entries, set_record_entries
from ..layers.metadata_keys import LINKED_IDS_KEY, TRACKS_KEY
from .plane_form import axis_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...tracking.linking import LinkedLabels
    from .source_form import SourceForm

DEPTH_AXIS_NAMES, TIME_AXIS_NAMES = ("z", "depth", "slice"), ("t", "time", "frame")
LABELS_NOT_A_STACK = "Joining and linking need labels of a stack: segment all planes of one first."
LABELS_NOT_IN_MEMORY = (
    "Labels that are in a file cannot be joined or linked here: use the command line with --join "
    "or --track, or duplicate the layer into memory."
)
TIME_AXIS_NOT_FIRST = (
    "napari draws tracks along the first axis only, and the time of these labels is another: put "
    "it first, with numpy.moveaxis, and segment again."
)
LABELS_CHANGED_WHILE_LINKING = (
    "The labels were changed meanwhile, so their ids stay as they are: do it again."
)


@dataclass(frozen=True, eq=False)
class LinkingTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    planes : list of tuple of int
        Index of every plane.
    linked : LinkedLabels
        Their ids, and the tracks, if frames were linked.
    """

    planes: list[tuple[int, ...]]
    linked: LinkedLabels


def linking_task_steps(
    labels: Any, axis: int, over_time: bool
) -> Generator[Step, Stop, LinkingTaskOutput]:
    """Compute ids that are consistent across the planes of a stack; runs in the thread."""
    # imports scipy, which would delay the start of napari
    from ...tracking.linking import join_steps, track_steps

    lengths = labels.shape[:-2]
    planes = list(np.ndindex(*lengths))

    def read(number: int) -> NDArray[np.integer]:
        return np.asarray(labels[planes[number]])

    names = ["t" if at == axis else f"axis {at}" for at in range(len(lengths))]
    places = [dict(zip(names, index, strict=True)) for index in planes]
    steps = (
        track_steps(read, places, lengths, axis) if over_time else join_steps(read, lengths, axis)
    )
    yield Step(0, len(planes))
    return LinkingTaskOutput(planes, (yield from steps))


class LinkingPanel(Panel):
    """Buttons to join the slices and link the frames of the labels of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.
    writing : callable
        Called with the labels layer and a function that writes into it; calls that function.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source_form: SourceForm,
        writing: Callable[[Labels, Callable[[], None]], None],
    ) -> None:
        super().__init__()
        self._viewer, self._source_form, self._writing = viewer, source_form, writing
        self._layer: Labels | None = None
        self._data_id = 0
        self._direction = 0, False  # which axis, and whether it is time
        self.job = ThreadJob()
        self._axis = create_combo_box(
            "follow_axis", "The axis along which slices are joined.", self._axes
        )
        self._join = create_button(
            "join_slices",
            "Join slices",
            "Sections of one nucleus in neighbouring slices get one id; the network is not asked.",
            partial(self._start_linking, False),
        )
        self._link = create_button(
            "link_frames",
            "Link over time",
            "A nucleus keeps its id from frame to frame along the axis of time, and a layer shows "
            "its track. Needs LapTrack.",
            partial(self._start_linking, True),
        )
        fill_layout(QHBoxLayout(self), self._axis.native, self._join, self._link)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self._on_linked)
        self.job.failed.connect(show_user_error)
        self.job.finished.connect(self._on_finished)
        source_form.changed.connect(self.refresh_choices)
        viewer.layers.events.inserted.connect(self.refresh_choices)
        viewer.layers.events.removed.connect(self.refresh_choices)
        viewer.layers.selection.events.active.connect(self.refresh_choices)
        self.destroyed.connect(self.job.cancel)
        self.refresh_choices()

    def refresh_choices(self, *_: object) -> None:
        """Update the axes of the chosen labels; the panel is hidden where they are no stack."""
        reload_choices(self._axis)
        self.setVisible(bool(self._axis.choices))

    def _labels(self) -> Labels | None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels):
            return active
        return self._source_form.find_result()

    def _axes(self, _: Any) -> list[tuple[str, int]]:
        layer = self._labels()
        if layer is None or layer.multiscale:
            return []
        shape = layer.data.shape
        axes = [axis for axis in range(layer.ndim - 2) if shape[axis] > 1]
        titles = {axis: axis_name(layer, axis) for axis in axes}
        # depth comes first in the list; of the others the last is the likeliest for it
        axes.sort(key=lambda axis: (titles[axis].lower() not in DEPTH_AXIS_NAMES, -axis))
        return [(f"{titles[axis]} ({shape[axis]})", axis) for axis in axes]

    def _start_linking(self, over_time: bool, *_: object) -> None:
        layer = self._labels()
        with report_user_errors(show_warning):
            if layer is None or self._axis.value is None:
                raise UserError(LABELS_NOT_A_STACK)
            axis = self._time_axis(layer) if over_time else self._axis.value
            check_unlocked(layer)
            if not isinstance(layer.data, np.ndarray):
                raise UserError(LABELS_NOT_IN_MEMORY)
            if over_time and axis != 0:
                raise UserError(TIME_AXIS_NOT_FIRST)
            if self.job.is_running:
                return
            self._layer, self._data_id, self._direction = layer, id(layer.data), (axis, over_time)
            layer.editable = False  # what is painted in the meantime would be lost
            self._enable(False)
            verb = "Linking" if over_time else "Joining"
            self.message.emit(f"{verb} …")
            self.job.start(f"{verb} {layer.name}", linking_task_steps, layer.data, axis, over_time)

    def _time_axis(self, layer: Labels) -> int:
        """Return the axis that is named time, or else the first."""
        axes = sorted(axis for _, axis in self._axes(None))
        named = [axis for axis in axes if axis_name(layer, axis).lower() in TIME_AXIS_NAMES]
        return (named or axes)[0]

    def _enable(self, idle: bool) -> None:
        for button in (self._join, self._link):
            button.setEnabled(idle)

    def _on_step(self, step: Step) -> None:
        self.message.emit(f"Plane {min(step.done + 1, step.total)} of {step.total}")

    def _on_linked(self, output: LinkingTaskOutput) -> None:
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        layer.editable = True
        if id(layer.data) != self._data_id:
            show_warning(LABELS_CHANGED_WHILE_LINKING)
            return
        self._writing(layer, lambda: _write_linked_ids(layer, output))
        linked, (axis, over_time) = output.linked, self._direction
        remove_tracks_layer(self._viewer, layer)  # their ids are outdated
        _record_linking(layer, axis, over_time)
        if over_time:
            self._show_tracks(layer, linked)
        noun = "tracks" if over_time else "nuclei joined"
        self.message.emit(f"{linked.count:,} {noun} along {axis_name(layer, axis)}")

    def _on_finished(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            layer.editable = True
        self._enable(True)

    def _show_tracks(self, labels: Labels, linked: LinkedLabels) -> None:
        data, graph = _to_napari_tracks(linked)
        if not len(data):  # napari takes no empty tracks
            return
        active = self._viewer.layers.selection.active
        tracks_layer = Tracks(
            data,
            graph=graph,
            name=f"{labels.name} tracks",
            metadata={TRACKS_KEY: str(labels.unique_id)},
            **get_geometry(labels),
        )
        self._viewer.add_layer(tracks_layer)
        self._viewer.layers.selection.active = active


def remove_tracks_layer(viewer: ViewerModel, labels: Labels) -> None:
    """Remove the tracks layer of labels whose ids were all replaced."""
    key = str(labels.unique_id)
    for layer in [layer for layer in viewer.layers if layer.metadata.get(TRACKS_KEY) == key]:
        viewer.layers.remove(layer)
    if LINKED_IDS_KEY in labels.metadata:
        labels.metadata = {name: v for name, v in labels.metadata.items() if name != LINKED_IDS_KEY}


def stale_ids_warning(labels: Labels, which: str = " of this plane") -> str:
    """Return a warning if ids no longer match across planes, as some were rewritten; or ""."""
    action, record = labels.metadata.get(LINKED_IDS_KEY), get_record_entries(labels)
    if action is None or record.get("join") or record.get("track"):
        return ""
    return f" · ids{which} are new: {action} again"


def _record_linking(layer: Labels, axis: int, over_time: bool) -> None:
    """Record in the metadata of the labels how their ids were linked."""
    layer.metadata = {**layer.metadata, LINKED_IDS_KEY: "link" if over_time else "join"}
    if get_record_entries(layer):
        name = layer.axis_labels[axis].lower()
        letter = name if len(name) == 1 and name.isalpha() and name not in "cyx" else "z"
        join = None if over_time else letter
        set_record_entries(layer, join=join, track=over_time, along=axis)


def _write_linked_ids(layer: Labels, output: LinkingTaskOutput) -> None:
    data, table = layer.data, get_features_table(layer)
    for index, ids in zip(output.planes, output.linked.ids, strict=True):
        data[index] = ids[np.asarray(data[index])]
        table.relabel((*index, slice(None), slice(None)), ids)
    table.publish()
    get_label_ids(layer).note_used_id(output.linked.count)
    layer.refresh()


def _to_napari_tracks(linked: LinkedLabels) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Convert tracks to napari's array of vertices and graph ``{daughter: [mother]}``."""
    table: Any = linked.tracks
    axes = [name for name in table if name not in ("track", "parent", "t", "y", "x")]
    vertices = table[["track", "t", *axes, "y", "x"]].to_numpy(np.float64)
    born = table.loc[table["parent"] > 0, ["track", "parent"]]
    return vertices, {child: [mother] for child, mother in born.to_numpy().tolist()}
