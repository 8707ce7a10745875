"""Applies the sliders to all planes of a stack, from the stored network output of each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ...params import SegmentParams
from ...progress import Step, Stop
from ..layers.features import get_features_table
from ..layers.geometry import is_on_view
from ..session.plane_result import PlaneResult, RetunedPlane
from ..session.predictions import retune_plane
from .linking import stale_ids_warning
from .plane_task import PlaneTask, SegmentRequest
from .runner import TaskController


@dataclass(frozen=True, eq=False, kw_only=True)
class RetuneStep(Step):
    """A plane is retuned; ``retuned`` is None if its image has changed since."""

    plane_result: PlaneResult
    retuned: RetunedPlane | None


class RetuneTask(PlaneTask):
    """State of a retuning run."""

    whole = True

    def __init__(self, request: SegmentRequest) -> None:
        super().__init__(request)
        self.tuned = self.edited = self.stale = self.nuclei = 0
        self.last: PlaneResult | None = None

    def _progress(self, step: Any) -> str:
        message = f"Tuning plane {min(step.done + 1, step.total):,} of {step.total:,}"
        return self.with_remaining_time(message, step, step.done == 0)

    def summary(self, all_done: bool) -> str:
        """Summarize the run in words."""
        planes = "1 plane" if self.tuned == 1 else f"{self.tuned:,} planes"
        parts = [f"{planes} tuned"] if all_done else [f"Cancelled: {planes} tuned"]
        if self.tuned:
            parts.append("1 nucleus" if self.nuclei == 1 else f"{self.nuclei:,} nuclei")
        if self.edited:
            parts.append(f"{self.edited:,} edited by hand left alone")
        if self.stale:
            parts.append(f"{self.stale:,} changed since they were segmented left alone")
        return " · ".join(parts)


class RetuneController(TaskController):
    """Retunes all planes of a stack that are cached."""

    task_type = RetuneTask

    def start(self, request: SegmentRequest, planes: Sequence[PlaneResult]) -> None:
        """Start retuning cached planes."""
        self._runner.run_task(
            RetuneTask(request), "Tuning …", retune_task_steps, planes, request.params
        )

    def _on_step(self, task: RetuneTask, step: Any) -> None:
        if not isinstance(step, RetuneStep):
            return
        result, retuned = step.plane_result, step.retuned
        if retuned is None or not self._predictions.contains(result) or not result.layer.editable:
            task.stale += 1
        elif not result.is_unedited():
            task.edited += 1
        else:
            refresh = is_on_view(self._viewer, result.source.image, result.source.plane_index)
            self._predictions.write(
                result.layer,
                lambda: result.update(retuned, refresh),
                result.placement.index,
                result,
            )
            task.tuned += 1
            task.nuclei += len(retuned.areas)
            task.last = result

    def _on_ended(self, task: RetuneTask, result: Any) -> None:
        if (last := task.last) is not None:
            last.write_record()
            get_features_table(last.layer).publish()
        warning = "" if last is None else stale_ids_warning(last.layer, "")
        self._status_panel.show_message(task.summary(result is True) + warning)
        self.ended.emit(task.request)


def retune_task_steps(
    planes: Sequence[PlaneResult], params: SegmentParams
) -> Generator[Step, Stop, bool]:
    """Retune planes; runs in the thread, and returns whether all are done."""
    stop = yield Step(0, len(planes))
    for done, result in enumerate(planes, 1):
        if stop:
            return False
        retuned = retune_plane(result, params)
        stop = yield RetuneStep(done, len(planes), plane_result=result, retuned=retuned)
    return True
