"""Writes the planes of a stack into its labels layer as they are finished; resumes after Cancel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import Signal

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ..common.notify import name_controls, report_user_errors
from ..layers.features import get_features_table
from ..layers.geometry import is_on_view
from ..layers.labels_layer import (
    check_unlocked,
    find_labels_layer,
    set_geometry,
    write_plane_labels,
)
from ..layers.labels_record import write_record
from .linking import remove_tracks_layer, stale_ids_warning
from .plane_task import PlaneTaskOutput, SegmentRequest
from .plane_writer import PlaneWriter
from .runner import SegmentContext, TaskController
from .stack_task import StackPlaneStep, StackState, StackTask, stack_task_steps

if TYPE_CHECKING:
    from ...segmentation.stack import StackOutcome


class StackWriter(TaskController):
    """Segments the planes of a stack, and writes their labels.

    Signals
    -------
    plane_result : PlaneResult
        A plane was written.
    """

    task_type = StackTask
    plane_result = Signal(object)

    def __init__(self, context: SegmentContext) -> None:
        super().__init__(context)
        self._plane_writer = PlaneWriter(context)
        self._stack: StackState | None = None  # the one running, or the one that Continue finishes
        self._task: StackTask | None = None
        self._status_panel.continue_planes.clicked.connect(self._on_continue)

    def start(self, request: SegmentRequest, plane_indices: list[PlaneIndex]) -> None:
        """Start a run over planes of an image."""
        self._begin(StackState(request, plane_indices))

    def withdraw_continue(self) -> None:
        """Remove the offer to continue."""
        if self._task is None:
            self._stack = None
            self._status_panel.continue_planes.setVisible(False)

    def check(self, *_: object) -> None:
        """Stop a run, or the offer to continue it, whose image or labels are gone."""
        if self._stack is None or not (reason := self._explain_abort(self._stack)):
            return
        if self._task is None:
            self.withdraw_continue()
        elif not self._task.is_aborted:
            self._end(reason, show_warning)

    def _begin(self, stack: StackState) -> None:
        self._stack, self._task = stack, StackTask(stack)
        self._status_panel.continue_planes.setVisible(False)
        planes = [stack.plane_indices[number] for number in self._task.numbers]
        self._runner.run_task(self._task, "Starting …", stack_task_steps, stack.request, planes)

    def _on_continue(self, *_: object) -> None:
        stack = self._stack
        if stack is None or self._runner.job.is_running:
            return
        with report_user_errors(show_warning):
            check_unlocked(stack.layer)
            self._predictions.stop()
            self._begin(stack)

    def _explain_abort(self, stack: StackState) -> str:
        """Return why planes cannot be written any more; empty: they can."""
        source, layer = stack.request.source, stack.layer
        done = "Planes that were finished before stay."
        if source.image not in self._viewer.layers:
            return f"The image '{source.image.name}' was removed, so its run has ended. {done}"
        if not source.is_current:
            return f"The image '{source.image.name}' was changed, so its run has ended. {done}"
        if layer is None:
            return ""
        if layer not in self._viewer.layers:
            return f"The labels '{layer.name}' were removed, so their run has ended."
        if layer.data.shape != source.placement.shape:
            return f"The labels '{layer.name}' have another shape now, so their run has ended."
        return (
            "" if layer.editable else f"The labels '{layer.name}' were locked: the run has ended."
        )

    def _end(self, reason: str, show: Any) -> None:
        assert self._task is not None
        self._task.reason = reason
        self._runner.job.cancel()
        show(reason)

    # output of the thread

    def _on_step(self, task: StackTask, step: Any) -> None:
        if not isinstance(step, StackPlaneStep):
            return
        self.check()
        if task.is_aborted:
            return
        try:
            self._add(task.stack, task.numbers[step.plane], step.finished)
        except UserError as error:
            self._end(name_controls(error), show_error)

    def _add(self, stack: StackState, number: int, output: PlaneTaskOutput) -> None:
        """Write one plane, with as few updates of the window as possible."""
        source = stack.request.source.at_plane(stack.plane_indices[number])
        retuned = output.retuned
        assert retuned is not None
        place = source.placement
        layer = stack.layer or find_labels_layer(self._viewer, source.image, len(place.shape))
        if layer is not None and retuned.inside is None and self._predictions.edited(layer, place):
            stack.edited.add(number)
            return
        refresh = is_on_view(self._viewer, source.image, source.plane_index)
        if stack.layer is None:
            check_unlocked(layer)
            stack.layer = layer = self._plane_writer.show(source, retuned, layer, place)
        else:
            labels, inside = retuned.labels, retuned.inside
            self._predictions.write(
                layer,
                lambda: write_plane_labels(layer, place, labels, inside, refresh),
                place.index,
            )
        stack.areas[number] = retuned.areas
        stack.provenance = retuned.result.provenance
        stack.places.append(place)
        result = self._plane_writer.cache(
            stack.request, source, output, layer, place, publish=False
        )
        self._display_options.show_map(result, refresh)
        self.plane_result.emit(result)

    def _on_ended(self, task: StackTask, result: StackOutcome | None) -> None:
        stack, self._task = task.stack, None
        stack.seconds += task.seconds
        if result is not None:
            sources = {
                n: stack.request.source.at_plane(stack.plane_indices[n]) for n in task.numbers
            }
            stack.failed |= {
                n for n, source in sources.items()
                if n not in stack.areas and source.plane_index_at_level in result.failed
            }  # fmt: skip
        self._draw(stack)
        self._status_panel.show_message(_end_message(task) + self._stale_ids_warning(stack))
        if task.is_aborted or not stack.remaining or not stack.done:
            self.withdraw_continue()
        else:
            self._status_panel.continue_planes.setVisible(True)
        if stack.areas:
            self.ended.emit(stack.request)

    def _stale_ids_warning(self, stack: StackState) -> str:
        """Return a warning if ids no longer match across planes; remove outdated tracks."""
        if (layer := stack.layer) is None or layer not in self._viewer.layers:
            return ""
        place = stack.request.source.placement
        at = zip(place.shape, place.index, strict=True)
        planes = [length for length, part in at if not isinstance(part, slice)]
        warning = stale_ids_warning(layer, "")
        if warning and len(stack.areas) == math.prod(planes):
            remove_tracks_layer(self._viewer, layer)
        return warning

    def _draw(self, stack: StackState) -> None:
        """Draw and record all planes that were written: once per plane would be too slow."""
        layer, source = stack.layer, stack.request.source
        if layer is None or layer not in self._viewer.layers:
            return
        if stack.places and stack.provenance is not None:
            *others, last = [place.index for place in stack.places]
            write_record(layer, source.image, last, stack.provenance, others)
            stack.places = []
            get_features_table(layer).publish()
        if source.image in self._viewer.layers and source.is_current:
            set_geometry(layer, source.placement)
        layer.refresh(extent=False)


def _end_message(task: StackTask) -> str:
    """Return the message at the end of a run."""
    stack, planes = task.stack, len(task.stack.plane_indices)
    if task.is_aborted or not stack.remaining:
        return " ".join(filter(None, [task.reason, stack.summary() if stack.done else ""]))
    if not stack.done:
        return "Cancelled."
    done = planes - len(stack.remaining)
    return f"Cancelled: {done:,} of {planes:,} planes are done. Continue does the rest."
