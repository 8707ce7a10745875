"""Runs the network in a thread, says how far it is, and asks what shall become of a part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import Job, Often
from napari_nuclei_unet.widgets.common.notify import tell
from napari_nuclei_unet.widgets.common.preferences import preference
from napari_nuclei_unet.widgets.segment.keep_partial_dialog import ask_to_keep
from napari_nuclei_unet.widgets.segment.plane_task import (
    Finished,
    Run,
    Wanted,
    segment_source,
    separate_source,
)

if TYPE_CHECKING:
    from napari_nuclei_unet.widgets.common.status_panel import Progress


class Runner(QObject):
    """Does one run at a time.

    Parameters
    ----------
    progress : Progress
        Is kept up to date; its button Cancel is obeyed.

    Signals
    -------
    found : Run, Finished
        A run is through, with labels; not after it was cancelled, unless its part is kept.
    stepped : Run, event
        Of a run whose finished planes are whole.
    ended : Run, object
        Such a run is over; None instead of what it returned: it failed, or was cut off.
    """

    found = Signal(object, object)
    stepped = Signal(object, object)
    ended = Signal(object, object)

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)  # ends with it; the job ends by itself
        self._progress = progress
        self.job = Job()
        self._run: Run | None = None
        self._part: tuple[Run, Finished] | None = None  # of a cancelled run
        progress.cancel.clicked.connect(self._on_cancel)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self._on_result)
        self.job.failed.connect(self._on_failure)
        self.job.finished.connect(self._on_finished)

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.job.running

    def start(self, wanted: Wanted) -> None:
        """Begin a run."""
        self.work(Run(wanted), "Starting …", segment_source, wanted)

    def work(self, run: Run, words: str, steps: Any, *args: Any) -> None:
        """Begin a run of any kind: ``steps`` is called with the arguments, in the thread."""
        self._run = run
        self._often = Often()
        run.begin()
        self._progress.begin(words)
        self.job.start(f"Nuclei in {run.wanted.source.image.name}", steps, *args)

    def _on_cancel(self, *_: object) -> None:
        whole = self._run is not None and self._run.whole
        if preference("on_cancel") == "discard" and not whole:
            self.job.cancel()
        else:
            self.job.stop()
            if self._run is not None:
                self._run.stopping = True
        self._progress.say("Stopping …")

    def _on_step(self, step: Step) -> None:
        if (run := self._run) is None:
            return
        if step.notice and run.hears(step.notice):
            show_warning(step.notice)
        if run.whole:
            self.stepped.emit(run, step)
        words = run.words(step)
        if self._often.due(step):
            self._progress.step(step.done, step.total, words)

    def _on_result(self, finished: Any) -> None:
        run = self._end_run()
        if run.whole:
            self.ended.emit(run, finished)
            return
        for notice in finished.prediction.notices:
            if notice not in run.said:
                show_info(notice)
        if finished.answer is not None:
            self.found.emit(run, finished)
            return
        self._progress.say("Cancelled.")
        inside = finished.prediction.inside
        if inside is not None and inside.any():
            self._part = run, finished

    def _on_failure(self, error: Exception) -> None:
        run = self._end_run()
        if run.whole:
            self.ended.emit(run, None)
        tell(error)

    def _on_finished(self) -> None:
        if self._run is not None:  # it gave neither a result nor an error
            run = self._end_run()
            self._progress.say("Cancelled.")
            if run.whole:
                self.ended.emit(run, None)
        self._progress.end()
        if self._part is not None:
            part, self._part = self._part, None
            ask_to_keep(self._progress, partial(self._keep_part, *part))

    def _keep_part(self, run: Run, finished: Finished) -> None:
        """Find nuclei in what a cancelled run has finished."""
        if not self.running:
            run.stopping = False
            self.work(run, "Separating nuclei …", separate_source, run.wanted, finished)

    def _end_run(self) -> Run:
        run, self._run = self._run, None
        assert run is not None  # a job says at most once how it ended
        run.end()
        self._progress.say("")
        return run
