"""One run of the network on a plane, in the thread and in the window."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import convert_read_errors
from ...models.model import load_model, shipped_models
from ...params import SegmentParams
from ...progress import Step, Stop
from ...provenance.record import SourceImage
from ..common.controller import CANCELLED, Task
from ..common.job import load_engine
from ..common.notify import name_controls, show_info
from ..layers.checksum import array_crc32
from ..layers.image_source import ImageSource
from ..layers.labels_record import stale_ids_warning
from ..session.plane_result import PlaneResult, RetunedPlane, detach_pixels
from .source_file import SourceFile, find_source_file
from .summary import summarize_plane

if TYPE_CHECKING:
    from ...segmentation.segment import Prediction
    from .plane_writer import PlaneWriter


@dataclass(frozen=True)
class SegmentRequest:
    """Values of the form when Segment is clicked."""

    source: ImageSource
    model: str
    device: str
    params: SegmentParams
    threads_free: int


@dataclass(frozen=True, eq=False)
class PlaneTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    prediction : Prediction
    retuned : RetunedPlane or None
        None: the run was stopped before it was finished.
    checksum : int
        Checksum of the plane's pixels.
    """

    prediction: Prediction
    retuned: RetunedPlane | None
    checksum: int


class PlaneTask(Task):
    """Segments one plane, and writes its nuclei.

    Parameters
    ----------
    request : SegmentRequest
    writer : PlaneWriter
    part : PlaneTaskOutput, optional
        The prediction of a task that was stopped, whose nuclei are separated.

    Attributes
    ----------
    plane_result : PlaneResult or None
        What was written.
    """

    stops_in_step = True

    def __init__(
        self, request: SegmentRequest, writer: PlaneWriter, part: PlaneTaskOutput | None = None
    ) -> None:
        self.request, self._writer, self._part = request, writer, part
        self.title = f"Nuclei in {request.source.image.name}"
        self.plane_result: PlaneResult | None = None
        self._seen: set[str] = set()  # notices
        if part is not None:
            self.begins = "Separating nuclei …"

    def steps(self) -> Generator[Step, Stop, PlaneTaskOutput]:
        """Run the network, and separate the nuclei; runs in the thread."""
        if self._part is not None:
            return (yield from separate_nuclei_steps(self.request, self._part))
        return (yield from plane_task_steps(self.request))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        if step.done == step.total:
            return "Separating nuclei …"
        begins = step.done == 0  # the network is loading, or tiles restart with less memory
        message = f"Tile {max(step.done, 1)} of {step.total}"
        return self.with_remaining_time(message, step, begins)

    def on_step(self, step: Step) -> None:
        """Note what is shown already."""
        self._seen.add(step.notice)

    def follow_up(self, result: PlaneTaskOutput) -> PlaneTask | None:
        """Return the task that separates the nuclei of the tiles that are finished."""
        inside = result.prediction.inside
        if result.retuned is not None or inside is None or not inside.any():
            return None
        rest = PlaneTask(self.request, self._writer, result)
        rest.seconds = self.seconds
        return rest

    def on_result(self, result: PlaneTaskOutput) -> None:
        """Write the nuclei."""
        if result.retuned is None:  # stopped before the first tile
            self.message = CANCELLED
            return
        for notice in result.prediction.notices:
            if notice not in self._seen:
                show_info(name_controls(notice))
        self.plane_result = self._writer.write(self.request, result)
        if self.plane_result is not None:
            source, layer = self.plane_result.source, self.plane_result.layer
            summary = summarize_plane(result.retuned, source, self.seconds)
            self.message = summary + stale_ids_warning(layer)


def plane_task_steps(request: SegmentRequest) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Segment a plane; runs in the thread."""
    load_engine(request.threads_free)
    # torch, and readers of files, are imported when they are needed: napari starts faster
    from ...segmentation.segment import predict_plane_steps, with_provenance

    started = time.perf_counter()
    source = request.source
    with convert_read_errors("The image"):
        plane = source.plane_index_at_level.read(source.pixels)
        crc = array_crc32(plane)
    prediction = yield from predict_plane_steps(
        plane, load_model(request.model), request.params, request.device, source.region_at_level
    )
    origin = describe_origin(request, source, find_source_file(source, crc))
    prediction = with_provenance(prediction, seconds=_seconds_since(started), **origin)
    output = PlaneTaskOutput(detach_pixels(prediction, source), None, crc)
    if prediction.provenance.stopped:
        return output
    return (yield from separate_nuclei_steps(request, output, plane))


def separate_nuclei_steps(
    request: SegmentRequest, output: PlaneTaskOutput, plane: NDArray[Any] | None = None
) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Separate the nuclei of a prediction of the pixels ``plane``; runs in the thread."""
    from ...segmentation.segment import retune, with_provenance

    yield Step(1, 1)
    started = time.perf_counter() - (output.prediction.provenance.seconds or 0)
    segmentation = retune(output.prediction, request.params)
    segmentation = with_provenance(segmentation, seconds=_seconds_since(started))
    return dataclasses.replace(output, retuned=RetunedPlane.of(segmentation, request.source, plane))


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def describe_origin(
    request: SegmentRequest, source: ImageSource, file: SourceFile | None
) -> dict[str, Any]:
    """Return the part of the provenance that identifies model file, image and plane."""
    axes = [axis for axis, name in enumerate(source.axes) if name not in "CYX"]
    lengths = [
        tuple(int(array.shape[axis]) for axis in axes)
        for array in (source.full_resolution, source.pixels)
    ]
    described = SourceImage.of(
        source.plane_index_at_level,
        source.axes,
        np.dtype(source.pixels.dtype),
        source.shape,
        level_size=source.shape_at_level,
        level=source.level,
        path=file and file.path,
        scene=file and file.scene,
        layer=source.image.name,
        multiscale=bool(source.image.multiscale),
        # None where the level has fewer planes, numbered otherwise
        lengths=lengths[0] if lengths[0] == lengths[1] else None,
    )
    return {
        "model_file": None if request.model in shipped_models() else request.model,
        "source": described,
        "region": None if source.region is None else source.region.polygons,
    }
