"""Applies the sliders to all planes of a stack, in what the network has said of each."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.layers.features import get_features_table
from napari_nuclei_unet.widgets.layers.geometry import is_on_view
from napari_nuclei_unet.widgets.layers.labels_layer import write_record
from napari_nuclei_unet.widgets.segment.linking import stale_ids_warning
from napari_nuclei_unet.widgets.segment.plane_task import PlaneTask, SegmentRequest
from napari_nuclei_unet.widgets.session.plane_result import PlaneResult, RetunedPlane
from napari_nuclei_unet.widgets.session.predictions import retune_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.widgets.common.status_panel import StatusPanel
    from napari_nuclei_unet.widgets.segment.runner import Runner
    from napari_nuclei_unet.widgets.session.predictions import PredictionCache


@dataclass(frozen=True, eq=False)
class RetuneStep:
    """A plane is tuned; None as answer: its image has other pixels by now."""

    done: int
    total: int
    plane_result: PlaneResult
    retuned: RetunedPlane | None
    notice: str = ""


class RetuneTask(PlaneTask):
    """What is known of the run under way."""

    whole = True

    def __init__(self, request: SegmentRequest) -> None:
        super().__init__(request)
        self.tuned = self.edited = self.stale = self.nuclei = 0
        self.last: PlaneResult | None = None

    def status(self, step: Any) -> str:
        """Say how far it is."""
        if self.is_stopping:
            return "Stopping …"
        words = f"Tuning plane {min(step.done + 1, step.total):,} of {step.total:,}"
        if step.done == 0:
            self.tiles_from = time.monotonic()
            return words
        return f"{words} · {self.remaining_time(step)}"

    def summary(self, all_done: bool) -> str:
        """Say in words what was done."""
        planes = "1 plane" if self.tuned == 1 else f"{self.tuned:,} planes"
        words = [f"{planes} tuned"] if all_done else [f"Cancelled: {planes} tuned"]
        if self.tuned:
            words.append("1 nucleus" if self.nuclei == 1 else f"{self.nuclei:,} nuclei")
        if self.edited:
            words.append(f"{self.edited:,} edited by hand left alone")
        if self.stale:
            words.append(f"{self.stale:,} changed since they were segmented left alone")
        return " · ".join(words)


class RetuneController(QObject):
    """Tunes all planes that are kept of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    live : Live
    runner : Runner
    status_panel : Progress

    Signals
    -------
    ended : Wanted
    """

    ended = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        predictions: PredictionCache,
        runner: Runner,
        status_panel: StatusPanel,
    ) -> None:
        super().__init__(status_panel)
        self._viewer, self._predictions, self._runner = viewer, predictions, runner
        self._status_panel = status_panel
        runner.stepped.connect(self._on_step)
        runner.ended.connect(self._on_ended)

    def start(self, request: SegmentRequest, planes: Sequence[PlaneResult]) -> None:
        """Begin with planes that are kept."""
        self._runner.run_task(
            RetuneTask(request), "Tuning …", retune_task_steps, planes, request.params
        )

    def _on_step(self, run: Any, step: Any) -> None:
        if not isinstance(run, RetuneTask) or not isinstance(step, RetuneStep):
            return
        kept, answer = step.plane_result, step.retuned
        if answer is None or not self._predictions.contains(kept) or not kept.layer.editable:
            run.stale += 1
        elif not kept.is_unedited():
            run.edited += 1
        else:
            seen = is_on_view(self._viewer, kept.source.image, kept.source.plane_index)
            self._predictions.write_plane(
                kept.layer, kept.placement, lambda: kept.update(answer, seen)
            )
            run.tuned += 1
            run.nuclei += len(answer.areas)
            run.last = kept

    def _on_ended(self, run: Any, result: Any) -> None:
        if isinstance(run, RetuneTask):
            if (last := run.last) is not None:
                write_record(last.layer, last.source.image, last.placement, last.record)
                get_features_table(last.layer).publish()
            new = "" if last is None else stale_ids_warning(last.layer, "")
            self._status_panel.show_message(run.summary(result is True) + new)
            self.ended.emit(run.request)


def retune_task_steps(
    planes: Sequence[PlaneResult], params: SegmentParams
) -> Generator[Step | RetuneStep, bool | None, bool]:
    """Run in the thread; whether all is done."""
    stop = yield Step(0, len(planes))
    for done, kept in enumerate(planes, 1):
        if stop:
            return False
        stop = yield RetuneStep(done, len(planes), kept, retune_plane(kept, params))
    return True
