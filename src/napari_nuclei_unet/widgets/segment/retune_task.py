"""Applies the sliders to all planes of a stack, from the stored network output of each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ...counts import format_count
from ...params import SegmentParams
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.geometry import is_on_view
from ..layers.labels_record import stale_ids_warning
from ..session.plane_result import PlaneResult, RetunedPlane, retune_plane
from ..session.predictions import Predictions
from .plane_task import SegmentRequest
from .plane_writer import PlaneWriter


@dataclass(frozen=True, eq=False, kw_only=True)
class RetuneStep(Step):
    """A plane is retuned; ``retuned`` is None if its image has changed since."""

    plane_result: PlaneResult
    retuned: RetunedPlane | None


class RetuneTask(Task):
    """Retunes all planes of a stack that are cached.

    Parameters
    ----------
    request : SegmentRequest
        Has the values of the sliders.
    planes : sequence of PlaneResult
    predictions : Predictions
        Stores the planes; one that was dropped meanwhile is left alone.
    writer : PlaneWriter
    """

    begins = "Tuning …"
    is_whole = keeps_rest = True

    def __init__(
        self,
        request: SegmentRequest,
        planes: Sequence[PlaneResult],
        predictions: Predictions,
        writer: PlaneWriter,
    ) -> None:
        self.request, self._planes = request, planes
        self._predictions, self._viewer = predictions, writer.viewer
        self.title = f"Nuclei in {request.source.image.name}"
        self._tuned = self._edited = self._stale = self._nuclei = 0
        self._last: PlaneResult | None = None
        self._all_done = False

    def steps(self) -> Generator[Step, Stop, bool]:
        """Retune the planes; runs in the thread, and returns whether all are done."""
        return (yield from retune_task_steps(self._planes, self.request.params))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        message = f"Tuning plane {min(step.done + 1, step.total):,} of {step.total:,}"
        return self.with_remaining_time(message, step, step.done == 0)

    def on_step(self, step: Any) -> None:
        """Write the plane that a step has retuned."""
        if not isinstance(step, RetuneStep):
            return
        result, retuned = step.plane_result, step.retuned
        is_writable = result.layer.editable and not result.state.busy
        if retuned is None or not is_writable or not self._predictions.contains(result):
            self._stale += 1
        elif not result.is_unedited():
            self._edited += 1
        else:
            source = result.source
            result.update(retuned, is_on_view(self._viewer, source.image, source.plane_index))
            self._tuned += 1
            self._nuclei += len(retuned.areas)
            self._last = result

    def on_result(self, result: bool) -> None:
        """Note whether all planes were retuned."""
        self._all_done = result

    def on_end(self) -> None:
        """Record the values, and summarize."""
        self.message = self._summary()
        if (last := self._last) is not None:
            last.write_record()
            last.state.features.publish()
            self.message += stale_ids_warning(last.layer, "")

    def _summary(self) -> str:
        planes = format_count(self._tuned, "plane")
        parts = [f"{planes} tuned"] if self._all_done else [f"{self.end_word}: {planes} tuned"]
        if self._tuned:
            parts.append(format_count(self._nuclei, "nucleus"))
        if self._edited:
            parts.append(f"{self._edited:,} edited by hand left alone")
        if self._stale:
            parts.append(f"{self._stale:,} changed since they were segmented left alone")
        return " · ".join(parts)


def retune_task_steps(
    planes: Sequence[PlaneResult], params: SegmentParams
) -> Generator[Step, Stop, bool]:
    """Retune planes; runs in the thread, and returns whether all are done."""
    stop = yield Step(0, len(planes))
    for done, result in enumerate(planes, 1):
        if stop:
            return False
        retuned = retune_plane(result, params)
        if retuned is not None:
            retuned = retuned.measured(result.source)
        stop = yield RetuneStep(done, len(planes), plane_result=result, retuned=retuned)
    return True
