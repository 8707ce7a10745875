"""One run over the planes of a stack, in the thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ...models.model import load_model
from ...progress import Step, Stop, forward_stop
from ..common.job import load_engine
from ..layers.checksum import array_crc32
from ..layers.image_source import ImageSource
from ..session.plane_result import RetunedPlane, detach_pixels
from .plane_task import PlaneTaskOutput, SegmentRequest, describe_origin
from .source_file import SourceFile, find_source_file

if TYPE_CHECKING:
    from ...segmentation.stack import SegmentedPlaneStep, StackOutcome


@dataclass(frozen=True, eq=False, kw_only=True)
class StackPlaneStep(Step):
    """A plane is finished; other fields as in ``segmentation.stack.SegmentedPlaneStep``."""

    finished: PlaneTaskOutput
    plane: int
    tile: int = 1
    tiles: int = 1


def stack_task_steps(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex]
) -> Generator[Step, Stop, StackOutcome]:
    """Segment planes of the image of ``request``, one after the other; runs in the thread.

    Parameters
    ----------
    request : SegmentRequest
    plane_indices : sequence of PlaneIndex
        At full resolution.
    """
    load_engine(request.threads_free)
    # imports torch, which would delay the start of napari
    from ...segmentation.stack import SegmentedPlaneStep, segment_planes_steps

    sources = [request.source.at_plane(index) for index in plane_indices]
    steps = segment_planes_steps(
        request.source.pixels,
        [source.plane_index_at_level for source in sources],
        load_model(request.model),
        request.params,
        request.device,
        request.source.region_at_level,
    )
    file: list[SourceFile | None] = []  # the file of the image, found once

    def convert(step: Any) -> Any:
        if not isinstance(step, SegmentedPlaneStep):
            return step
        source = sources[step.plane]
        if not file:
            file.append(find_stack_file(source))
        finished = _task_output(request, source, step, file[0])
        return StackPlaneStep(step.done, step.total, finished=finished, plane=step.plane)

    return (yield from forward_stop(steps, convert))


def find_stack_file(source: ImageSource) -> SourceFile | None:
    """Find the file of the image of a plane; None if there is none that can be read."""
    if source.path is None:
        return None
    try:
        return find_source_file(
            source, array_crc32(source.plane_index_at_level.read(source.pixels))
        )
    except (UserError, OSError):
        return None


def _task_output(
    request: SegmentRequest, source: ImageSource, step: SegmentedPlaneStep, file: SourceFile | None
) -> PlaneTaskOutput:
    from ...segmentation.segment import with_provenance

    crc = 0
    if isinstance(source.pixels, np.ndarray):  # lazy ones are not read again, nor ever compared
        crc = array_crc32(source.plane_index_at_level.read(source.pixels))
    origin = describe_origin(request, source, file)
    result = with_provenance(step.result, **origin)
    retuned = RetunedPlane.of(result, source, np.asarray(result.plane.pixels)).measured(source)
    prediction = detach_pixels(with_provenance(step.prediction, **origin), source)
    return PlaneTaskOutput(prediction, retuned, crc)
