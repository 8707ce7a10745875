"""One run over the planes of a stack: the input of the thread, its output, and the summary."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ...models.model import load_model
from ...progress import Step, Stop, forward_stop
from ...provenance.record import Provenance
from ..common.job import reserve_threads
from ..layers.checksum import array_crc32
from ..layers.image_source import ImageSource
from ..layers.labels_layer import LayerPlacement
from ..session.plane_result import RetunedPlane, detach_pixels
from .plane_task import (
    PlaneTask,
    PlaneTaskOutput,
    SegmentRequest,
    describe_origin,
    find_source_file,
    format_speed,
    summarize_areas,
)

if TYPE_CHECKING:
    from ...segmentation.stack import SegmentedPlaneStep, StackOutcome

# Warnings of one run that are shown: a thousand planes may have one each.
MAX_WARNINGS_PER_RUN = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class StackPlaneStep(Step):
    """A plane is finished; other fields as in ``segmentation.stack.SegmentedPlaneStep``."""

    finished: PlaneTaskOutput
    plane: int
    tile: int = 1
    tiles: int = 1


@dataclass(eq=False)
class StackState:
    """Requested planes of a stack, and their state.

    Attributes
    ----------
    request : SegmentRequest
        Its source is one of the planes.
    plane_indices : list of PlaneIndex
        At full resolution.
    layer : napari.layers.Labels or None
        The layer they are written into; None before the first.
    areas : dict of int to ndarray
        Of the nuclei of the planes that are done, by their number in ``plane_indices``.
    failed : set of int
        Planes that could not be read or segmented.
    edited : set of int
        Planes that were skipped, because the user has edited their labels.
    seconds : float
        Of all runs.
    provenance : Provenance or None
        Of the plane that was written last.
    places : list of LayerPlacement
        Written since the layer's record was.
    """

    request: SegmentRequest
    plane_indices: list[PlaneIndex]
    layer: Labels | None = None
    areas: dict[int, NDArray[np.integer]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    edited: set[int] = field(default_factory=set)
    seconds: float = 0.0
    provenance: Provenance | None = None
    places: list[LayerPlacement] = field(default_factory=list)

    @property
    def remaining(self) -> list[int]:
        """Numbers of the planes that are not done yet."""
        over = self.areas.keys() | self.failed | self.edited
        return [number for number in range(len(self.plane_indices)) if number not in over]

    @property
    def done(self) -> int:
        """Number of planes that were processed, without those that could not be read."""
        return len(self.areas) + len(self.edited)

    def summary(self) -> str:
        """Summarize the nuclei of the planes in words."""
        done, planes = len(self.areas), len(self.plane_indices)
        areas = np.concatenate([*self.areas.values(), np.zeros(0, np.int64)])
        first, *median = summarize_areas(areas, self.request.source)
        inside = " in the region" if self.request.source.region is not None else ""
        total = "1 plane" if planes == 1 else f"{planes:,} planes"
        parts = [f"{first}{inside} in " + (total if done == planes else f"{done:,} of {total}")]
        if self.failed:
            parts.append(f"{len(self.failed):,} could not be read")
        if self.edited:
            parts.append(f"{len(self.edited):,} edited by hand left alone")
        parts += median
        if self.provenance is not None:
            parts.append(format_speed(self.seconds, self.provenance))
        return " · ".join(parts)


class StackTask(PlaneTask):
    """State of a run over a stack.

    Attributes
    ----------
    stack : StackState
    numbers : list of int
        Of the planes that it segments.
    reason : str
        Why it was aborted; empty: it was not.
    """

    whole = True

    def __init__(self, stack: StackState) -> None:
        super().__init__(stack.request)
        self.stack, self.numbers, self.reason = stack, stack.remaining, ""

    @property
    def is_aborted(self) -> bool:
        """Whether the run was aborted."""
        return bool(self.reason)

    def add_warning(self, notice: str) -> bool:
        """Record a warning; return whether to show it."""
        new = notice not in self.warnings and len(self.warnings) < MAX_WARNINGS_PER_RUN
        self.warnings.add(notice)
        return new

    def _progress(self, step: Any) -> str:
        already_done = len(self.stack.plane_indices) - len(self.numbers)
        plane = getattr(step, "plane", step.done * len(self.numbers) // max(step.total, 1))
        message = f"Plane {min(already_done + plane + 1, len(self.stack.plane_indices)):,} of "
        message += f"{len(self.stack.plane_indices):,}"
        if hasattr(step, "tile"):
            message += f" · tile {min(step.tile + 1, step.tiles)} of {step.tiles}"
        return self.with_remaining_time(message, step, step.done == 0)


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
    # imports torch, which would delay the start of napari
    from ...segmentation.stack import SegmentedPlaneStep, segment_planes_steps

    reserve_threads(request.threads_free)
    sources = [request.source.at_plane(index) for index in plane_indices]
    steps = segment_planes_steps(
        request.source.pixels,
        [source.plane_index_at_level for source in sources],
        load_model(request.model),
        request.params,
        request.device,
        request.source.region_at_level,
    )
    file: list[str | None] = []  # the file of the image, found once

    def convert(step: Any) -> Any:
        if not isinstance(step, SegmentedPlaneStep):
            return step
        source = sources[step.plane]
        if not file:
            file.append(_stack_file(source))
        finished = _task_output(request, source, step, file[0])
        return StackPlaneStep(step.done, step.total, finished=finished, plane=step.plane)

    return (yield from forward_stop(steps, convert))


def _stack_file(source: ImageSource) -> str | None:
    if source.path is None:
        return None
    try:
        return find_source_file(
            source, array_crc32(source.plane_index_at_level.read(source.pixels))
        )
    except (UserError, OSError):
        return None


def _task_output(
    request: SegmentRequest, source: ImageSource, step: SegmentedPlaneStep, file: str | None
) -> PlaneTaskOutput:
    from ...segmentation.segment import with_provenance

    crc = 0
    if isinstance(source.pixels, np.ndarray):  # lazy ones are not read again, nor ever compared
        crc = array_crc32(source.plane_index_at_level.read(source.pixels))
    origin = describe_origin(request, source, file)
    result = with_provenance(step.result, **origin)
    retuned = RetunedPlane.of(result, source, np.asarray(result.plane.pixels))
    prediction = detach_pixels(with_provenance(step.prediction, **origin), source)
    return PlaneTaskOutput(prediction, retuned, crc)
