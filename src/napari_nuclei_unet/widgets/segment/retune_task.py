"""Applies the sliders to all planes of a stack, in what the network has said of each."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.layers.features import table_of
from napari_nuclei_unet.widgets.layers.geometry import is_on_view
from napari_nuclei_unet.widgets.layers.labels_layer import write_record
from napari_nuclei_unet.widgets.segment.linking import broken
from napari_nuclei_unet.widgets.segment.plane_task import Run, Wanted
from napari_nuclei_unet.widgets.session.plane_result import Answer, Kept
from napari_nuclei_unet.widgets.session.predictions import retune_kept

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.widgets.common.status_panel import Progress
    from napari_nuclei_unet.widgets.segment.runner import Runner
    from napari_nuclei_unet.widgets.session.predictions import Live


@dataclass(frozen=True, eq=False)
class Tuned:
    """A plane is tuned; None as answer: its image has other pixels by now."""

    done: int
    total: int
    kept: Kept
    answer: Answer | None
    notice: str = ""


class TuneRun(Run):
    """What is known of the run under way."""

    whole = True

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.tuned = self.edited = self.stale = self.nuclei = 0
        self.last: Kept | None = None

    def words(self, step: Any) -> str:
        """Say how far it is."""
        if self.stopping:
            return "Stopping …"
        words = f"Tuning plane {min(step.done + 1, step.total):,} of {step.total:,}"
        if step.done == 0:
            self.tiles_from = time.monotonic()
            return words
        return f"{words} · {self.left(step)}"

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


class TuneAll(QObject):
    """Tunes all planes that are kept of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    live : Live
    runner : Runner
    progress : Progress

    Signals
    -------
    ended : Wanted
    """

    ended = Signal(object)

    def __init__(self, viewer: ViewerModel, live: Live, runner: Runner, progress: Progress) -> None:
        super().__init__(progress)
        self._viewer, self._live, self._runner = viewer, live, runner
        self._progress = progress
        runner.stepped.connect(self._on_step)
        runner.ended.connect(self._on_ended)

    def start(self, wanted: Wanted, planes: Sequence[Kept]) -> None:
        """Begin with planes that are kept."""
        self._runner.work(TuneRun(wanted), "Tuning …", tune_steps, planes, wanted.params)

    def _on_step(self, run: Any, step: Any) -> None:
        if not isinstance(run, TuneRun) or not isinstance(step, Tuned):
            return
        kept, answer = step.kept, step.answer
        if answer is None or not self._live.keeps(kept) or not kept.layer.editable:
            run.stale += 1
        elif not kept.untouched():
            run.edited += 1
        else:
            seen = is_on_view(self._viewer, kept.source.image, kept.source.cut)
            self._live.writing(kept.layer, kept.place, lambda: kept.update(answer, seen))
            run.tuned += 1
            run.nuclei += len(answer.areas)
            run.last = kept

    def _on_ended(self, run: Any, result: Any) -> None:
        if isinstance(run, TuneRun):
            if (last := run.last) is not None:
                write_record(last.layer, last.source.image, last.place, last.record)
                table_of(last.layer).publish()
            new = "" if last is None else broken(last.layer, "")
            self._progress.say(run.summary(result is True) + new)
            self.ended.emit(run.wanted)


def tune_steps(
    planes: Sequence[Kept], params: SegmentParams
) -> Generator[Step | Tuned, bool | None, bool]:
    """Run in the thread; whether all is done."""
    stop = yield Step(0, len(planes))
    for done, kept in enumerate(planes, 1):
        if stop:
            return False
        stop = yield Tuned(done, len(planes), kept, retune_kept(kept, params))
    return True
