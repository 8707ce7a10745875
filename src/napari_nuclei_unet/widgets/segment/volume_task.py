"""One run over the slices of z-stacks, whose nuclei are decided in 3-D."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from ...arrays.axes import PlaneIndex
from ...counts import format_count
from ...models.model import load_model
from ...progress import Step, Stop, forward_stop
from ...provenance.record import Provenance
from ..common.controller import Task
from ..common.job import load_engine
from ..common.notify import name_controls, show_info
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex
from ..layers.labels_layer import show_labels
from ..layers.labels_record import (
    detach_labels,
    get_record_entries,
    set_record_entries,
    write_record,
)
from ..layers.labels_state import LabelsState, PlaneState, WrittenPart
from ..layers.measurements import axis_step
from ..layers.volumes import is_volume
from ..session.model_registry import MODEL_REGISTRY
from ..session.session import Session
from ..session.volume_result import RetunedVolume, VolumeResult, group_volumes, volume_index
from .plane_task import SegmentRequest, describe_origin
from .plane_writer import PlaneWriter
from .stack_steps import find_stack_file

if TYPE_CHECKING:
    from ...segmentation.volumes import VolumesOutcome

LABELS_EDITED = "What you have corrected in '{}' stays as it is."


@dataclass(frozen=True)
class VolumeRequest:
    """Slices that are segmented as volumes.

    Attributes
    ----------
    request : SegmentRequest
        Its source is one of the slices.
    plane_indices : tuple of PlaneIndex
        Of all slices, at full resolution.
    axis : int
        Of the image, along which they are slices.
    z_step : float or None
        Distance between slices in pixels of full resolution; None: it is estimated.
    """

    request: SegmentRequest
    plane_indices: tuple[PlaneIndex, ...]
    axis: int
    z_step: float | None

    @property
    def sources(self) -> list[ImageSource]:
        """Sources of all slices."""
        return [self.request.source.at_plane(index) for index in self.plane_indices]


@dataclass(eq=False)
class VolumesState:
    """Requested volumes, and their state.

    Attributes
    ----------
    wanted : VolumeRequest
    sources : list of ImageSource
        Of all slices, found once.
    layer : napari.layers.Labels or None
        The layer they are written into; None before the first.
    done : dict of (tuple of int) to int
        Nuclei of the volumes that are done, by the numbers of their slices.
    failed : set of int
        Slices that could not be read.
    edited : set of (tuple of int)
        Volumes that were skipped, because the user has painted in them.
    overwritten : set of (tuple of int)
        Volumes that hold labels along another axis, of a run before.
    step : float or None
        Of the first volume that is not empty: the others have the same.
    """

    wanted: VolumeRequest
    sources: list[ImageSource] = field(init=False)
    layer: Labels | None = None
    done: dict[tuple[int, ...], int] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    edited: set[tuple[int, ...]] = field(default_factory=set)
    overwritten: set[tuple[int, ...]] = field(default_factory=set)
    step: float | None = None

    def __post_init__(self) -> None:
        self.sources = self.wanted.sources

    @property
    def volumes(self) -> list[tuple[int, ...]]:
        """The numbers of the slices of each volume."""
        return group_volumes(self.sources, self.wanted.axis)

    @property
    def remaining(self) -> list[int]:
        """Numbers of the slices of volumes that are neither done nor unreadable."""
        over = self.done.keys() | self.edited
        left = [one for one in self.volumes if one not in over and not self.failed >= {*one}]
        return sorted(number for volume in left for number in volume)

    def find_slices(self, numbers: Sequence[int]) -> tuple[ImageSource, ...]:
        """Return the sources of the slices of a volume."""
        return tuple(self.sources[number] for number in numbers)

    def find_index(self, numbers: Sequence[int]) -> LabelsIndex:
        """Return the index of a volume in the labels, which may lack the axis of channels."""
        source = self.sources[numbers[0]]
        place = source.placement
        lead = len(source.full_resolution.shape) - len(place.shape)
        return volume_index(place.index, self.wanted.axis - (0 if source.image.rgb else lead))

    def is_edited(self, layer: Labels | None, numbers: Sequence[int]) -> bool:
        """Return whether a volume has labels that no run along its axis has written."""
        if layer is None:
            return False
        return LabelsState.of(layer).plane_state(self.find_index(numbers)) is PlaneState.EDITED


@dataclass(frozen=True, eq=False, kw_only=True)
class VolumeTaskStep(Step):
    """A volume is finished.

    Attributes
    ----------
    numbers : tuple of int
        Of its slices.
    retuned : RetunedVolume
    """

    numbers: tuple[int, ...]
    retuned: RetunedVolume


class VolumeTask(Task):
    """Segments volumes, and writes each when it is finished.

    Parameters
    ----------
    state : VolumesState
    writer : PlaneWriter
    session : Session
    """

    is_whole = stops_in_step = True

    def __init__(self, state: VolumesState, writer: PlaneWriter, session: Session) -> None:
        self._state, self._writer, self._session = state, writer, session
        self._numbers = state.remaining
        whole = state.wanted
        self._wanted = dataclasses.replace(
            whole,
            plane_indices=tuple(whole.plane_indices[number] for number in self._numbers),
            z_step=state.step if whole.z_step is None else whole.z_step,
        )
        self.request = whole.request
        self.title = f"Nuclei in {whole.request.source.image.name}"

    def on_start(self) -> None:
        """Leave labels alone that were edited, or hold planes: nuclei get a layer of their own."""
        source, state = self.request.source, self._state
        layer = state.layer or self._writer.find_volume_layer(source, source.placement)
        if layer is None:
            return
        LabelsState.of(layer).check_writable()
        if state.layer is not None:
            return
        if LabelsState.of(layer).has_edits or not is_volume(layer):
            if is_volume(layer):
                show_info(LABELS_EDITED.format(layer.name))
            detach_labels(layer)
        else:
            state.overwritten = {one for one in state.volumes if state.is_edited(layer, one)}

    def steps(self) -> Generator[Step, Stop, VolumesOutcome]:
        """Segment all volumes; runs in the thread."""
        return (yield from volume_task_steps(self._wanted))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        planes = len(self._state.sources)
        at = step.done * len(self._numbers) // max(step.total, 1)
        at = min(planes - len(self._numbers) + at + 1, planes)
        return self.with_remaining_time(f"Slice {at:,} of {planes:,}", step, step.done == 0)

    def explain_abort(self) -> str:
        """Return why volumes cannot be written any more; empty: they can."""
        image = self.request.source.image
        if image not in self._writer.viewer.layers:
            return f"The image '{image.name}' was removed, so its run has ended."
        if not self.request.source.is_current:
            return f"The image '{image.name}' was changed, so its run has ended."
        layer = self._state.layer
        if layer is not None and layer not in self._writer.viewer.layers:
            return f"The labels '{layer.name}' were removed, so their run has ended."
        if layer is not None and layer.data.shape != self.request.source.placement.shape:
            return f"The labels '{layer.name}' have another shape now, so their run has ended."
        return ""

    def rest(self) -> VolumeTask | None:
        """Return a task for the volumes that are left, if it can go on."""
        if self.reason or not self._state.remaining or not self._state.done:
            return None
        return VolumeTask(self._state, self._writer, self._session)

    def on_step(self, step: Any) -> None:
        """Write the volume that a step has finished."""
        if not isinstance(step, VolumeTaskStep):
            return
        for notice in step.retuned.result.notices:
            show_info(name_controls(notice))
        numbers = tuple(self._numbers[number] for number in step.numbers)
        self._write(numbers, step.retuned)

    def _write(self, numbers: tuple[int, ...], retuned: RetunedVolume) -> None:
        state = self._state
        sources, index = state.find_slices(numbers), state.find_index(numbers)
        provenance = retuned.result.provenance
        if state.step is None and not retuned.result.prediction.is_blank:
            state.step = provenance.z_step
        if numbers not in state.overwritten and state.is_edited(state.layer, numbers):
            state.edited.add(numbers)
            return
        whole = dataclasses.replace(sources[0].placement, index=index)
        layer = show_labels(
            self._writer.viewer, sources[0].image, whole, retuned.labels, None, provenance
        )
        if state.layer is None:
            self._writer.display_options.apply(layer)
        state.layer = layer
        write_volume_record(layer, sources, provenance)
        result = VolumeResult(
            sources, retuned.result.prediction, MODEL_REGISTRY.stamp(self.request.model),
            layer, WrittenPart(index, None), axis_step(layer, index_axis(index)),
        )  # fmt: skip
        result.mark_written()
        self._writer.watch(result.state)
        state.done[numbers] = retuned.result.count
        self._session.predictions.volumes.add(result)

    def on_result(self, result: VolumesOutcome) -> None:
        """Note slices that could not be read."""
        self._state.failed |= {self._numbers[number] for number in result.failed}

    def on_end(self) -> None:
        """Summarize."""
        self.message = " ".join(filter(None, [self.reason, self._summary()]))

    def _summary(self) -> str:
        state, volumes = self._state, len(self._state.volumes)
        if not state.done:
            return "" if self.reason else f"{self.end_word}."
        if state.remaining and not self.reason:
            done = len(state.done)
            rest = f"{done:,} of {volumes:,} volumes are done. Continue does the rest."
            return f"{self.end_word}: {rest}"
        parts = [summarize_volumes(sum(state.done.values()), len(state.done), volumes)]
        if state.failed:
            parts.append(f"{format_count(len(state.failed), 'slice')} could not be read")
        if state.edited:
            parts.append(f"{len(state.edited):,} edited by hand left alone")
        if state.wanted.z_step is None and state.step is not None:
            parts.append(f"z step estimated: {state.step:.1f} px")
        return " · ".join(parts)


def volume_task_steps(wanted: VolumeRequest) -> Generator[Step, Stop, VolumesOutcome]:
    """Segment volumes of the image of a request; runs in the thread."""
    load_engine(wanted.request.threads_free)
    # imports torch, which would delay the start of napari
    from ...segmentation.volumes import SegmentedVolumeStep, VolumeSlices, segment_volumes_steps

    request, sources = wanted.request, wanted.sources
    slices = VolumeSlices(
        [source.plane_index_at_level for source in sources], group_volumes(sources, wanted.axis)
    )
    region = request.source.region_at_level
    reduction = request.source.shape_at_level[0] / request.source.shape[0]
    z_step = None if wanted.z_step is None else wanted.z_step * reduction
    steps = segment_volumes_steps(
        request.source.pixels, slices, z_step, load_model(request.model),
        (request.params, request.device, region),
    )  # fmt: skip
    file = find_stack_file(sources[0])

    def convert(step: Any) -> Any:
        if not isinstance(step, SegmentedVolumeStep):
            return step
        first = sources[step.numbers[0]]
        origin = describe_origin(request, first, file)
        found = step.result.provenance
        step_found = None if found.z_step is None else found.z_step / reduction
        provenance = dataclasses.replace(found, **origin, z_step=step_found)
        prediction = dataclasses.replace(step.prediction, provenance=provenance)
        result = dataclasses.replace(step.result, prediction=prediction, provenance=provenance)
        retuned = RetunedVolume.of(result, first)
        return VolumeTaskStep(step.done, step.total, numbers=step.numbers, retuned=retuned)

    return (yield from forward_stop(steps, convert))


def write_volume_record(
    layer: Labels, sources: Sequence[ImageSource], provenance: Provenance
) -> None:
    """Write the provenance of a volume into the metadata of its labels, with all its slices."""
    *others, last = [source.placement.index for source in sources]
    along = next(
        (at for at, (a, b) in enumerate(zip(others[0], last, strict=True)) if a != b), None
    ) if others else None  # fmt: skip
    described = dataclasses.replace(provenance, along=along)
    write_record(layer, sources[0].image, last, described, others)
    # labels were shown with all slices at once
    planes = get_record_entries(layer)["planes_written"]
    set_record_entries(layer, planes_written=[plane for plane in planes if plane.count(None) == 2])


def index_axis(index: LabelsIndex) -> int:
    """Return the first axis that an index has whole: that of the slices of a volume."""
    return next(axis for axis, at in enumerate(index) if isinstance(at, slice))


def summarize_volumes(nuclei: int, done: int, volumes: int) -> str:
    """Summarize the nuclei of volumes in words."""
    count = format_count(nuclei, "nucleus")
    if volumes == 1:
        return f"{count} in 3-D"
    return f"{count} in {done:,} of {volumes:,} volumes" if done < volumes else (
        f"{count} in {volumes:,} volumes"
    )  # fmt: skip
