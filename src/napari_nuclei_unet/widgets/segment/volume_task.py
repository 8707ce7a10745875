"""One run over the slices of z-stacks, whose nuclei are decided in 3-D."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_info

from ...arrays.axes import PlaneIndex
from ...models.model import load_model
from ...progress import Step, Stop, forward_stop
from ...provenance.record import Provenance
from ..common.controller import Task
from ..common.job import reserve_threads
from ..common.notify import name_controls
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex
from ..layers.labels_layer import show_labels
from ..layers.labels_record import (
    detach_labels,
    get_record_entries,
    set_record_entries,
    write_record,
)
from ..layers.labels_state import LabelsState, WrittenPart
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
    wanted : VolumeRequest
    writer : PlaneWriter
    session : Session
    """

    is_whole = True

    def __init__(self, wanted: VolumeRequest, writer: PlaneWriter, session: Session) -> None:
        self.request, self._wanted, self._writer = wanted.request, wanted, writer
        self._session, self._sources = session, wanted.sources
        self.title = f"Nuclei in {wanted.request.source.image.name}"
        self.layer: Labels | None = None
        self._results: list[VolumeResult] = []
        self._nuclei = self._failed = 0

    def on_start(self) -> None:
        """Leave labels alone that were edited, or hold planes: nuclei get a layer of their own."""
        source = self.request.source
        layer = self._writer.find_volume_layer(source, source.placement)
        if layer is None:
            return
        LabelsState.of(layer).check_writable()
        if LabelsState.of(layer).has_edits or not is_volume(layer):
            if is_volume(layer):
                show_info(LABELS_EDITED.format(layer.name))
            detach_labels(layer)

    def steps(self) -> Generator[Step, Stop, VolumesOutcome]:
        """Segment all volumes; runs in the thread."""
        return (yield from volume_task_steps(self._wanted))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        planes = len(self._sources)
        at = min(step.done * planes // max(step.total, 1) + 1, planes)
        return self.with_remaining_time(f"Slice {at:,} of {planes:,}", step, step.done == 0)

    def explain_abort(self) -> str:
        """Return why volumes cannot be written any more; empty: they can."""
        image = self.request.source.image
        if image not in self._writer.viewer.layers:
            return f"The image '{image.name}' was removed, so its run has ended."
        if not self.request.source.is_current:
            return f"The image '{image.name}' was changed, so its run has ended."
        if self.layer is not None and self.layer not in self._writer.viewer.layers:
            return f"The labels '{self.layer.name}' were removed, so their run has ended."
        return ""

    def on_step(self, step: Any) -> None:
        """Write the volume that a step has finished."""
        if not isinstance(step, VolumeTaskStep):
            return
        for notice in step.retuned.result.notices:
            show_info(name_controls(notice))
        self._write(step.numbers, step.retuned)
        self._nuclei += step.retuned.result.count

    def _write(self, numbers: Sequence[int], retuned: RetunedVolume) -> None:
        sources = tuple(self._sources[number] for number in numbers)
        place = sources[0].placement
        index = volume_index(place.index, self._label_axis(sources[0]))
        provenance = retuned.result.provenance
        whole = dataclasses.replace(place, index=index)
        self.layer = show_labels(
            self._writer.viewer, sources[0].image, whole, retuned.labels, None, provenance
        )
        if not self._results:
            self._writer.display_options.apply(self.layer)
        write_volume_record(self.layer, sources, provenance)
        result = VolumeResult(
            sources, retuned.result.prediction, MODEL_REGISTRY.stamp(self.request.model),
            self.layer, WrittenPart(index, None), axis_step(self.layer, index_axis(index)),
        )  # fmt: skip
        result.mark_written()
        self._writer.watch(result.state)
        self._results.append(result)
        self._session.predictions.volumes.add(result)

    def _label_axis(self, source: ImageSource) -> int:
        """Return the axis of the slices in the labels, which may lack that of channels."""
        lead = len(source.full_resolution.shape) - len(source.placement.shape)
        return self._wanted.axis - (lead if not source.image.rgb else 0)

    def on_result(self, result: VolumesOutcome) -> None:
        """Note slices that could not be read."""
        self._failed = len(result.failed)

    def on_end(self) -> None:
        """Summarize."""
        volumes = group_volumes(self._sources, self._wanted.axis)
        self.message = summarize_volumes(self._nuclei, len(self._results), len(volumes))
        if self._failed:
            self.message += f" · {self._failed:,} slices could not be read"
        if self._wanted.z_step is None and self._results:
            step = self._results[0].prediction.provenance.z_step
            self.message += f" · z step estimated: {step:.1f} px"
        if not self._results:
            self.message = f"{self.end_word}."


def volume_task_steps(wanted: VolumeRequest) -> Generator[Step, Stop, VolumesOutcome]:
    """Segment volumes of the image of a request; runs in the thread."""
    # imports torch, which would delay the start of napari
    from ...segmentation.volumes import SegmentedVolumeStep, VolumeSlices, segment_volumes_steps

    request, sources = wanted.request, wanted.sources
    reserve_threads(request.threads_free)
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
    count = "1 nucleus" if nuclei == 1 else f"{nuclei:,} nuclei"
    if volumes == 1:
        return f"{count} in 3-D"
    return f"{count} in {done:,} of {volumes:,} volumes" if done < volumes else (
        f"{count} in {volumes:,} volumes"
    )  # fmt: skip
