"""Nuclei across planes: slices joined in depth, frames linked over time, in a thread."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import axis_letters
from ...arrays.packed_labels import PackedLabels
from ...counts import choose_noun, format_count
from ...errors import UserError
from ...progress import Step, Stop
from ...tracking.corrections import LinkCorrections
from ..common.controller import Task
from ..common.notify import show_warning
from ..layers.axis_names import TIME_AXIS_NAMES
from ..layers.label_ids import LabelsIndex
from ..layers.labels_record import get_record_entries, set_record_entries
from ..layers.labels_state import LabelsState
from ..layers.link_corrections import get_link_corrections
from ..layers.link_history import LinkHistory
from ..layers.metadata_keys import LINKED_IDS_KEY, TRACKS_KEY
from ..layers.placement import get_geometry
from ..layers.tracks_layer import create_tracks_layer, find_tracks_layer
from ..session.session import Session
from .link_candidates import KnownFrame, find_frame_candidates, find_known_frames
from .plane_form import axis_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...tracking.linking import LinkedLabels

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
        Index of every plane, or volume.
    linked : LinkedLabels
        Their ids, and the tracks, if frames were linked.
    candidates : PackedLabels
        Of them, from which tracks have taken nuclei that were missed.
    """

    planes: list[tuple[int, ...]]
    linked: LinkedLabels
    candidates: PackedLabels


@dataclass(frozen=True)
class LinkingChoice:
    """How labels are linked.

    Attributes
    ----------
    axis : int
        Along which slices are joined, or that of time.
    over_time : bool
    letters : str
        Of the axes of the labels, time being T.
    is_volume : bool
        Whether a nucleus is one object along the axis before those of the plane.
    spacing : tuple of float or None
        Size of a voxel of a volume, along z, y and x.
    corrections : LinkCorrections
        Of the user, which stay.
    known : mapping of int to KnownFrame
        Frames in which missed nuclei can be looked for, by number.
    """

    axis: int
    over_time: bool
    letters: str
    is_volume: bool = False
    spacing: tuple[float, ...] | None = None
    corrections: LinkCorrections = field(default_factory=LinkCorrections)
    known: Mapping[int, KnownFrame] = field(default_factory=dict)

    def count_plane_axes(self) -> int:
        """Return how many axes at the end are those of a plane, or of a volume that is linked."""
        return 3 if self.is_volume and self.over_time else 2


def linking_task_steps(
    labels: Any, choice: LinkingChoice
) -> Generator[Step, Stop, LinkingTaskOutput]:
    """Compute ids that are consistent across the planes of a stack; runs in the thread."""
    # imports scipy, which would delay the start of napari
    from ...tracking.linking import TrackOptions, join_steps, track_steps

    lengths = labels.shape[: -choice.count_plane_axes()]
    planes = list(np.ndindex(*lengths))
    packed = PackedLabels(labels.shape[len(lengths) :])

    def read(number: int) -> NDArray[np.integer]:
        return np.asarray(labels[planes[number]])

    def read_candidates(number: int) -> NDArray[np.integer]:
        known = choice.known.get(number)
        found = None if known is None else find_frame_candidates(known, read(number))
        if found is not None:
            packed.put(number, found)
        return packed.read(number)

    places = [dict(zip(choice.letters.lower(), index, strict=False)) for index in planes]
    if choice.over_time:
        options = TrackOptions(
            corrections=choice.corrections,
            spacing=choice.spacing,
            read_candidates=read_candidates if choice.known else None,
        )
        steps = track_steps(read, places, lengths, choice.axis, options)
    else:
        steps = join_steps(read, lengths, choice.axis)
    yield Step(0, len(planes))
    return LinkingTaskOutput(planes, (yield from steps), packed)


class LinkingTask(Task):
    """Joins the slices, or links the frames, of the labels of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    axis : int
        Along which slices are joined, or that of time.
    over_time : bool

    Raises
    ------
    UserError
        If the labels cannot be changed, or not linked along the axis.
    """

    has_parts, keeps_rest = False, True

    def __init__(self, viewer: ViewerModel, layer: Labels, axis: int, over_time: bool) -> None:
        state = LabelsState.of(layer)
        state.check_writable()
        if not isinstance(layer.data, np.ndarray):
            raise UserError(LABELS_NOT_IN_MEMORY)
        if over_time and axis != 0:
            raise UserError(TIME_AXIS_NOT_FIRST)
        self._viewer, self._layer = viewer, layer
        names = [*layer.axis_labels]
        if over_time:
            names[axis] = "t"
        letters = axis_letters(names, (layer.ndim - 2, layer.ndim - 1))
        is_volume = layer.ndim > 3 and bool(get_record_entries(layer).get("volume"))
        spacing = tuple(map(float, layer.scale[-3:])) if is_volume else None
        corrections = get_link_corrections(layer)
        choice = LinkingChoice(axis, over_time, letters, is_volume, spacing, corrections)
        self._choice = replace(choice, known=self._find_known(choice)) if over_time else choice
        self._state, self._revision = state, state.revision
        verb = "Linking" if over_time else "Joining"
        self.title, self.begins = f"{verb} {layer.name}", f"{verb} …"

    def _find_known(self, choice: LinkingChoice) -> dict[int, KnownFrame]:
        """Find the frames in which missed nuclei can be looked for."""
        layer = self._layer
        lengths = layer.data.shape[: -choice.count_plane_axes()]
        frames = [_whole(layer, index) for index in np.ndindex(*lengths)]
        return find_known_frames(Session.of(self._viewer).predictions.results, layer, frames)

    def on_start(self) -> None:
        """Reserve the labels."""
        self._state.busy = "linking frames" if self._choice.over_time else "joining slices"

    def steps(self) -> Generator[Step, Stop, LinkingTaskOutput]:
        """Compute ids that are consistent across planes; runs in the thread."""
        return (yield from linking_task_steps(self._layer.data, self._choice))

    def status(self, step: Step) -> str:
        """Return the text that describes the progress."""
        return f"Plane {min(step.done + 1, step.total)} of {step.total}"

    def on_result(self, result: LinkingTaskOutput) -> None:
        """Write the ids, and show the tracks."""
        layer, linked = self._layer, result.linked
        if layer not in self._viewer.layers:
            return
        if self._state.revision != self._revision:
            show_warning(LABELS_CHANGED_WHILE_LINKING)
            return
        for index in result.planes:
            self._state.forget_edits(_whole(layer, index))
        with self._state.writing():
            _write_linked_ids(layer, result, self._choice.known)
        remove_tracks_layer(self._viewer, layer)  # their ids are outdated
        if self._choice.over_time:
            name_time_axis(layer, self._choice.axis)
        _record_linking(layer, self._choice)
        if self._choice.over_time:
            self._show_tracks(layer, linked)
        noun = "tracks" if self._choice.over_time else "nuclei joined"
        self.message = f"{linked.count:,} {noun} along {axis_name(layer, self._choice.axis)}"
        self.message += _describe_divisions(linked)
        self.message += _describe_search(linked.recovered, len(self._choice.known), result.planes)

    def show_error(self, error: Exception) -> None:
        """Show why it has failed: ids of labels that change while they are read do not match."""
        if self._state.revision != self._revision:
            show_warning(LABELS_CHANGED_WHILE_LINKING)
        else:
            super().show_error(error)

    def release(self) -> None:
        """Release the labels."""
        self._state.busy = ""

    def _show_tracks(self, labels: Labels, linked: LinkedLabels) -> None:
        assert linked.tracks is not None  # they were linked over time
        if not len(linked.tracks):  # napari takes no empty tracks
            return
        active = self._viewer.layers.selection.active
        tracks_layer = create_tracks_layer(
            linked.tracks,
            get_geometry(labels),
            name=f"{labels.name} tracks",
            metadata={TRACKS_KEY: str(labels.unique_id)},
        )
        self._viewer.add_layer(tracks_layer)
        self._viewer.layers.selection.active = active
        LinkHistory.of(self._viewer, labels).clear()


def remove_tracks_layer(viewer: ViewerModel, labels: Labels) -> None:
    """Remove the tracks layers of labels whose ids were all replaced."""
    while (layer := find_tracks_layer(viewer, labels)) is not None:
        viewer.layers.remove(layer)
    if LINKED_IDS_KEY in labels.metadata:
        labels.metadata = {name: v for name, v in labels.metadata.items() if name != LINKED_IDS_KEY}


def name_time_axis(layer: Labels, axis: int) -> None:
    """Name the axis of time, unless the user has: tables and files have it by its name."""
    if axis_name(layer, axis).lower() not in TIME_AXIS_NAMES:
        layer.axis_labels = tuple(
            "t" if at == axis else name for at, name in enumerate(layer.axis_labels)
        )


def _record_linking(layer: Labels, choice: LinkingChoice) -> None:
    """Record in the metadata of the labels how their ids were linked."""
    axis, over_time = choice.axis, choice.over_time
    layer.metadata = {**layer.metadata, LINKED_IDS_KEY: "link" if over_time else "join"}
    if get_record_entries(layer):
        name = layer.axis_labels[axis].lower()
        letter = name if len(name) == 1 and name.isalpha() and name not in "cyx" else "z"
        join = None if over_time else letter
        set_record_entries(layer, join=join, track=over_time, along=axis)
        if choice.known:
            set_record_entries(layer, recovered=_count_recovered(choice.known.values()))


def _count_recovered(known: Iterable[KnownFrame]) -> int:
    """Count the nuclei that linking has added, now or before, and that are still there."""
    results = [frame.result for frame in known]
    return sum(
        bool(result.state.read_plane(result.part.index).take(pixels).any())
        for result in results
        for pixels in result.recovered
    )


def _describe_divisions(linked: LinkedLabels) -> str:
    """Describe how many nuclei have divided; nothing where none has."""
    if linked.tracks is None:
        return ""
    parents = linked.tracks["parent"]
    count = int(parents[parents > 0].nunique())
    return f" · {format_count(count, 'division')}" if count else ""


def _describe_search(recovered: int | None, known: int, frames: Sequence[object]) -> str:
    """Describe what the search for missed nuclei has found, and where it was not possible."""
    if recovered is None:
        return ""
    noun = choose_noun(recovered, "nucleus")
    found = f" · {recovered:,} missed {noun} found again" if recovered else ""
    where = f" · looked for missed nuclei in {known:,} of {len(frames):,} frames"
    return found + (where if known < len(frames) else "")


def _whole(layer: Labels, index: tuple[int, ...]) -> LabelsIndex:
    """Return the index of a whole plane, or volume, of a layer."""
    return (*index, *[slice(None)] * (layer.ndim - len(index)))


def _write_linked_ids(
    layer: Labels, output: LinkingTaskOutput, known: Mapping[int, KnownFrame]
) -> None:
    state, linked = LabelsState.of(layer), output.linked
    data, table = layer.data, state.features
    for number, index in enumerate(output.planes):
        ids = linked.ids[number]
        table.relabel(_whole(layer, index), ids)  # measures it, if it waits for that
        data[index] = ids[np.asarray(data[index])]
        if linked.added is not None and linked.added[number].any():
            added = linked.added[number][output.candidates.read(number)]
            known[number].result.recovered += _add_nuclei(data[index], added)
            table.measure_again(_whole(layer, index))
    table.publish()
    state.ids.note_used_id(output.linked.count)
    layer.refresh()


def _add_nuclei(frame: NDArray[np.integer], added: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Write nuclei into the background of a view of labels; return the pixels of each."""
    added = np.where(frame == 0, added, 0)
    frame[added > 0] = added[added > 0]
    pixels = np.flatnonzero(added)
    ids = added.ravel()[pixels]
    return [pixels[ids == one] for one in np.unique(ids)]
