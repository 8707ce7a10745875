"""One run over the planes of a stack, whose labels are written as they are finished."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...counts import format_count
from ...progress import Step, Stop
from ...provenance.record import Provenance
from ..common.controller import Task
from ..layers.geometry import is_on_view
from ..layers.labels_layer import record_planes, write_plane_labels
from ..layers.labels_record import stale_ids_warning
from ..layers.labels_state import LabelsState
from ..layers.placement import LayerPlacement, set_geometry
from .linking_task import remove_tracks_layer
from .plane_task import PlaneTaskOutput, SegmentRequest
from .plane_writer import PlaneWriter
from .stack_steps import StackPlaneStep, stack_task_steps
from .summary import describe_region, format_speed, summarize_areas

if TYPE_CHECKING:
    from ...segmentation.stack import StackOutcome


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
        inside = describe_region(self.request.source)
        total = format_count(planes, "plane")
        parts = [f"{first}{inside} in " + (total if done == planes else f"{done:,} of {total}")]
        if self.failed:
            parts.append(f"{len(self.failed):,} could not be read")
        if self.edited:
            parts.append(f"{len(self.edited):,} edited by hand left alone")
        parts += median
        if self.provenance is not None:
            parts.append(format_speed(self.seconds, self.provenance))
        return " · ".join(parts)


class StackTask(Task):
    """Segments the planes of a stack that are left, and writes their labels.

    Parameters
    ----------
    stack : StackState
    writer : PlaneWriter
    """

    is_whole = stops_in_step = True

    def __init__(self, stack: StackState, writer: PlaneWriter) -> None:
        self.request, self.stack, self._writer = stack.request, stack, writer
        self.title = f"Nuclei in {stack.request.source.image.name}"
        self._numbers = stack.remaining

    def steps(self) -> Generator[Step, Stop, StackOutcome]:
        """Segment the planes that are left; runs in the thread."""
        planes = [self.stack.plane_indices[number] for number in self._numbers]
        return (yield from stack_task_steps(self.stack.request, planes))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        total = len(self.stack.plane_indices)
        plane = getattr(step, "plane", step.done * len(self._numbers) // max(step.total, 1))
        message = f"Plane {min(total - len(self._numbers) + plane + 1, total):,} of {total:,}"
        if hasattr(step, "tile"):
            message += f" · tile {min(step.tile + 1, step.tiles)} of {step.tiles}"
        return self.with_remaining_time(message, step, step.done == 0)

    def on_start(self) -> None:
        """Check that labels of before can be changed."""
        if self.stack.layer is not None:
            LabelsState.of(self.stack.layer).check_writable()

    def rest(self) -> StackTask | None:
        """Return a task for the planes that are left, if it can go on."""
        if self.reason or not self.stack.remaining or not self.stack.done:
            return None
        return StackTask(self.stack, self._writer)

    def explain_abort(self) -> str:
        """Return why planes cannot be written any more; empty: they can."""
        source, layer = self.stack.request.source, self.stack.layer
        done = "Planes that were finished before stay."
        if source.image not in self._writer.viewer.layers:
            return f"The image '{source.image.name}' was removed, so its run has ended. {done}"
        if not source.is_current:
            return f"The image '{source.image.name}' was changed, so its run has ended. {done}"
        if layer is None:
            return ""
        if layer not in self._writer.viewer.layers:
            return f"The labels '{layer.name}' were removed, so their run has ended."
        if layer.data.shape != source.placement.shape:
            return f"The labels '{layer.name}' have another shape now, so their run has ended."
        locked = f"The labels '{layer.name}' were locked: the run has ended."
        return "" if layer.editable else locked

    # output of the thread

    def on_step(self, step: Any) -> None:
        """Write the plane that a step has finished."""
        if isinstance(step, StackPlaneStep):
            self._add(self._numbers[step.plane], step.finished)

    def _add(self, number: int, output: PlaneTaskOutput) -> None:
        """Write one plane, with as few updates of the window as possible."""
        stack, writer = self.stack, self._writer
        source = stack.request.source.at_plane(stack.plane_indices[number])
        retuned, place = output.retuned, source.placement
        assert retuned is not None
        layer = stack.layer or writer.find_layer(source, place)
        if layer is not None and writer.overwrites_edits(layer, place, source):
            stack.edited.add(number)
            return
        if layer is not None:
            LabelsState.of(layer).check_writable()
        refresh = is_on_view(writer.viewer, source.image, source.plane_index)
        if stack.layer is None:
            stack.layer = layer = writer.show(source, retuned, layer, place)
        else:
            with LabelsState.of(stack.layer).writing(place.index):
                write_plane_labels(stack.layer, place, retuned.labels, retuned.inside, refresh)
        stack.areas[number] = retuned.areas
        stack.provenance = retuned.result.provenance
        stack.places.append(place)
        result = writer.cache(stack.request, source, output, stack.layer, place)
        writer.display_options.show_map(result, refresh)

    def on_result(self, result: StackOutcome) -> None:
        """Note the planes that could not be segmented."""
        stack = self.stack
        for number in self._numbers:
            index = stack.request.source.at_plane(stack.plane_indices[number]).plane_index_at_level
            if number not in stack.areas and index in result.failed:
                stack.failed.add(number)

    def on_end(self) -> None:
        """Draw what was written, and summarize it."""
        self.stack.seconds += self.seconds
        self._draw()
        self.message = self._summary() + self._stale_ids_warning()

    def release(self) -> None:
        """Record the planes that were written before their dock was closed."""
        if self.stack.places:
            self._draw()

    def _summary(self) -> str:
        stack, planes = self.stack, len(self.stack.plane_indices)
        if self.reason or not stack.remaining:
            return " ".join(filter(None, [self.reason, stack.summary() if stack.done else ""]))
        if not stack.done:
            return f"{self.end_word}."
        done = planes - len(stack.remaining)
        return f"{self.end_word}: {done:,} of {planes:,} planes are done. Continue does the rest."

    def _stale_ids_warning(self) -> str:
        """Return a warning if ids no longer match across planes; remove outdated tracks."""
        source = self.stack.request.source
        if (layer := self.stack.layer) is None or layer not in self._writer.viewer.layers:
            return ""
        if not source.is_current:  # its axes may be others
            return ""
        place = source.placement
        at = zip(place.shape, place.index, strict=True)
        planes = [length for length, part in at if not isinstance(part, slice)]
        warning = stale_ids_warning(layer, "")
        if warning and len(self.stack.areas) == math.prod(planes):
            remove_tracks_layer(self._writer.viewer, layer)
        return warning

    def _draw(self) -> None:
        """Draw and record all planes that were written: once per plane would be too slow."""
        stack, layer, source = self.stack, self.stack.layer, self.stack.request.source
        if layer is None or layer not in self._writer.viewer.layers:
            return
        if stack.places and stack.provenance is not None:
            indices = [place.index for place in stack.places]
            record_planes(layer, source.image, indices, stack.provenance)
            stack.places = []
            LabelsState.of(layer).features.publish()
        if source.image in self._writer.viewer.layers and source.is_current:
            set_geometry(layer, source.placement)
        layer.refresh(extent=False)
