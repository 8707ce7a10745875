"""Runs the network in a thread, says how far it is, and asks what shall become of a part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob, UpdateThrottle
from napari_nuclei_unet.widgets.common.notify import show_user_error
from napari_nuclei_unet.widgets.common.preferences import get_preference
from napari_nuclei_unet.widgets.segment.keep_partial_dialog import ask_to_keep
from napari_nuclei_unet.widgets.segment.plane_task import (
    PlaneTask,
    PlaneTaskOutput,
    SegmentRequest,
    plane_task_steps,
    separate_nuclei_steps,
)

if TYPE_CHECKING:
    from napari_nuclei_unet.widgets.common.status_panel import StatusPanel


class Runner(QObject):
    """Does one run at a time.

    Parameters
    ----------
    status_panel : Progress
        Is kept up to date; its button Cancel is obeyed.

    Signals
    -------
    segmented : Run, Finished
        A run is through, with labels; not after it was cancelled, unless its part is kept.
    stepped : Run, event
        Of a run whose finished planes are whole.
    ended : Run, object
        Such a run is over; None instead of what it returned: it failed, or was cut off.
    """

    segmented = Signal(object, object)
    stepped = Signal(object, object)
    ended = Signal(object, object)

    def __init__(self, status_panel: StatusPanel) -> None:
        super().__init__(status_panel)  # ends with it; the job ends by itself
        self._status_panel = status_panel
        self.job = ThreadJob()
        self._task: PlaneTask | None = None
        self._part: tuple[PlaneTask, PlaneTaskOutput] | None = None  # of a cancelled run
        status_panel.cancel.clicked.connect(self._on_cancel)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self._on_result)
        self.job.failed.connect(self._on_failure)
        self.job.finished.connect(self._on_finished)

    @property
    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self.job.is_running

    def start(self, request: SegmentRequest) -> None:
        """Begin a run."""
        self.run_task(PlaneTask(request), "Starting …", plane_task_steps, request)

    def run_task(self, task: PlaneTask, message: str, steps: Any, *args: Any) -> None:
        """Begin a run of any kind: ``steps`` is called with the arguments, in the thread."""
        self._task = task
        self._throttle = UpdateThrottle()
        task.begin()
        self._status_panel.begin(message)
        self.job.start(f"Nuclei in {task.request.source.image.name}", steps, *args)

    def _on_cancel(self, *_: object) -> None:
        whole = self._task is not None and self._task.whole
        if get_preference("on_cancel") == "discard" and not whole:
            self.job.cancel()
        else:
            self.job.stop()
            if self._task is not None:
                self._task.is_stopping = True
        self._status_panel.show_message("Stopping …")

    def _on_step(self, step: Step) -> None:
        if (run := self._task) is None:
            return
        if step.notice and run.add_warning(step.notice):
            show_warning(step.notice)
        if run.whole:
            self.stepped.emit(run, step)
        words = run.status(step)
        if self._throttle.is_due(step):
            self._status_panel.step(step.done, step.total, words)

    def _on_result(self, finished: Any) -> None:
        run = self._end_task()
        if run.whole:
            self.ended.emit(run, finished)
            return
        for notice in finished.prediction.notices:
            if notice not in run.warnings:
                show_info(notice)
        if finished.retuned is not None:
            self.segmented.emit(run, finished)
            return
        self._status_panel.show_message("Cancelled.")
        inside = finished.prediction.inside
        if inside is not None and inside.any():
            self._part = run, finished

    def _on_failure(self, error: Exception) -> None:
        run = self._end_task()
        if run.whole:
            self.ended.emit(run, None)
        show_user_error(error)

    def _on_finished(self) -> None:
        if self._task is not None:  # it gave neither a result nor an error
            run = self._end_task()
            self._status_panel.show_message("Cancelled.")
            if run.whole:
                self.ended.emit(run, None)
        self._status_panel.end()
        if self._part is not None:
            part, self._part = self._part, None
            ask_to_keep(self._status_panel, partial(self._keep_part, *part))

    def _keep_part(self, run: PlaneTask, finished: PlaneTaskOutput) -> None:
        """Find nuclei in what a cancelled run has finished."""
        if not self.is_running:
            run.is_stopping = False
            self.run_task(run, "Separating nuclei …", separate_nuclei_steps, run.request, finished)

    def _end_task(self) -> PlaneTask:
        run, self._task = self._task, None
        assert run is not None  # a job says at most once how it ended
        run.end()
        self._status_panel.show_message("")
        return run
