"""Runs the network in a thread, shows the progress, and asks whether to keep a partial result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Signal

from ...progress import Step
from ..common.job import ThreadJob, UpdateThrottle
from ..common.notify import name_controls, show_user_error
from ..common.preferences import get_preference
from .keep_partial_dialog import ask_to_keep
from .plane_task import (
    PlaneTask,
    PlaneTaskOutput,
    SegmentRequest,
    plane_task_steps,
    separate_nuclei_steps,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..common.status_panel import StatusPanel
    from ..session.predictions import PredictionCache
    from .display import DisplayOptions


class Runner(QObject):
    """Executes one run at a time.

    Parameters
    ----------
    status_panel : StatusPanel
        Shows the progress; its button Cancel stops the run.

    Signals
    -------
    segmented : PlaneTask, PlaneTaskOutput
        A run has finished, with labels; after a cancelled run only if its partial result is kept.
    stepped : PlaneTask, event
        Of a run whose finished planes are complete.
    ended : PlaneTask, object
        Such a run is over, with its return value; None: it failed, or was aborted.
    """

    segmented = Signal(object, object)
    stepped = Signal(object, object)
    ended = Signal(object, object)

    def __init__(self, status_panel: StatusPanel) -> None:
        super().__init__(status_panel)  # destroyed with it; the job ends by itself
        self._status_panel = status_panel
        self.job = ThreadJob()
        self._task: PlaneTask | None = None
        self._partial_result: tuple[PlaneTask, PlaneTaskOutput] | None = None  # of a cancelled run
        status_panel.cancel.clicked.connect(self._on_cancel)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self._on_result)
        self.job.failed.connect(self._on_failure)
        self.job.finished.connect(self._on_finished)

    def start(self, request: SegmentRequest) -> None:
        """Start a run."""
        self.run_task(PlaneTask(request), "Starting …", plane_task_steps, request)

    def run_task(self, task: PlaneTask, message: str, steps: Any, *args: Any) -> None:
        """Start a run of any kind: ``steps`` is called with the arguments, in the thread."""
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
        if (task := self._task) is None:
            return
        if step.notice and task.add_warning(step.notice):
            show_warning(name_controls(step.notice))
        if task.whole:
            self.stepped.emit(task, step)
        message = task.status(step)
        if self._throttle.is_due(step):
            self._status_panel.step(step.done, step.total, message)

    def _on_result(self, output: Any) -> None:
        task = self._end_task()
        if task.whole:
            self.ended.emit(task, output)
            return
        for notice in output.prediction.notices:
            if notice not in task.warnings:
                show_info(name_controls(notice))
        if output.retuned is not None:
            self.segmented.emit(task, output)
            return
        self._status_panel.show_message("Cancelled.")
        inside = output.prediction.inside
        if inside is not None and inside.any():
            self._partial_result = task, output

    def _on_failure(self, error: Exception) -> None:
        task = self._end_task()
        if task.whole:
            self.ended.emit(task, None)
        show_user_error(error)

    def _on_finished(self) -> None:
        if self._task is not None:  # it returned neither a result nor an error
            task = self._end_task()
            self._status_panel.show_message("Cancelled.")
            if task.whole:
                self.ended.emit(task, None)
        self._status_panel.end()
        if self._partial_result is not None:
            part, self._partial_result = self._partial_result, None
            ask_to_keep(self._status_panel, partial(self._keep_part, *part))

    def _keep_part(self, task: PlaneTask, output: PlaneTaskOutput) -> None:
        """Separate the nuclei in the tiles that a cancelled run has finished."""
        if not self.job.is_running:
            task.is_stopping = False
            self.run_task(task, "Separating nuclei …", separate_nuclei_steps, task.request, output)

    def _end_task(self) -> PlaneTask:
        task, self._task = self._task, None
        assert task is not None  # a job reports its end at most once
        task.end()
        self._status_panel.show_message("")
        return task


@dataclass(frozen=True, eq=False)
class SegmentContext:
    """The parts of the dock that every kind of run needs.

    Attributes
    ----------
    viewer : napari.components.ViewerModel
    predictions : PredictionCache
        Stores the network output of every plane.
    runner : Runner
    status_panel : StatusPanel
    display_options : DisplayOptions
    """

    viewer: ViewerModel
    predictions: PredictionCache
    runner: Runner
    status_panel: StatusPanel
    display_options: DisplayOptions


class TaskController(QObject):
    """Base of what starts one kind of run, and shows its output: subclass it for another kind.

    Parameters
    ----------
    context : SegmentContext

    Signals
    -------
    ended : SegmentRequest
        A run is over, and has written planes.
    """

    task_type: type[PlaneTask]
    ended = Signal(object)

    def __init__(self, context: SegmentContext) -> None:
        super().__init__(context.status_panel)
        self._viewer, self._predictions = context.viewer, context.predictions
        self._runner, self._status_panel = context.runner, context.status_panel
        self._display_options = context.display_options
        context.runner.stepped.connect(self._on_any_step)
        context.runner.ended.connect(self._on_any_ended)

    def _on_any_step(self, task: Any, step: Any) -> None:
        if isinstance(task, self.task_type):
            self._on_step(task, step)

    def _on_any_ended(self, task: Any, result: Any) -> None:
        if isinstance(task, self.task_type):
            self._on_ended(task, result)

    def _on_step(self, task: Any, step: Any) -> None:
        """Handle an event of the thread."""

    def _on_ended(self, task: Any, result: Any) -> None:
        """Handle the return value; None: the run failed, or was aborted."""
