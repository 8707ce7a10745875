"""The controller of a dock: one task at a time, and a state that everybody can see."""

from __future__ import annotations

import time
from collections.abc import Generator
from enum import Enum, auto
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Signal

from ...errors import UserError
from ...progress import Step, Stop
from .job import ThreadJob, UpdateThrottle
from .notify import name_controls, report_user_errors, show_user_error, show_warning

CANCELLED = "Cancelled."
# Notices of one run that are shown: a thousand planes may have one each.
MAX_NOTICES = 3


class RunState(Enum):
    """What a controller does."""

    IDLE = auto()
    RUNNING = auto()
    STOPPING = auto()  # finishes its current step; what is finished is kept
    CANCELLING = auto()  # finishes its current step; nothing is kept
    ASKING = auto()  # a partial result waits for the user's answer


LEGAL_MOVES = {
    RunState.IDLE: {RunState.RUNNING},
    RunState.RUNNING: {RunState.IDLE, RunState.STOPPING, RunState.CANCELLING},
    RunState.STOPPING: {RunState.IDLE, RunState.ASKING, RunState.CANCELLING},
    RunState.CANCELLING: {RunState.IDLE},
    RunState.ASKING: {RunState.IDLE, RunState.RUNNING},
}


class Task:
    """One kind of work: subclass it for another.

    :meth:`steps` runs in a thread; everything else in the thread of the window.

    Attributes
    ----------
    title : str
        Of the bar in napari's activity dock; empty: no bar.
    begins : str
        Shown until its first step.
    is_whole : bool
        Whether what a stopped task has finished is complete, so that it is kept unasked.
    stops_in_step : bool
        Whether a stopped task drops the step at work, such as a tile, and does not wait for it.
    has_parts : bool
        Whether there is something to keep of a task that is stopped; else stopping cancels it.
    keeps_rest : bool
        Whether the rest of a task that was stopped before can be done after this one, too.
    seconds : float
        Time at work, without waiting for the user.
    message : str
        Shown when it is over.
    reason : str
        Why it was aborted; empty: it was not.
    error : Exception or None
        With which it has failed, before :meth:`on_end`.
    """

    title = ""
    begins = "Starting …"
    is_whole = stops_in_step = keeps_rest = False
    has_parts = True
    seconds = 0.0
    message = reason = ""
    error: Exception | None = None
    _began = _steps_began = 0.0

    def steps(self) -> Generator[Step, Stop, Any]:
        """Do the work, and return its result."""
        raise NotImplementedError

    def on_start(self) -> None:
        """Prepare; a ``UserError`` that is raised here is raised by :meth:`Controller.start`."""

    def on_step(self, step: Any) -> None:
        """Show what a step has finished."""

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        return self.with_remaining_time(f"{step.done} of {step.total}", step, step.done == 0)

    def follow_up(self, _: Any) -> Task | None:
        """Return what completes the result of a stopped task, if the user wants to keep it."""
        return None

    def on_result(self, result: Any) -> None:
        """Show the result."""

    def show_error(self, error: Exception) -> None:
        """Show why the task has failed, after :meth:`on_end`; raise what is a bug."""
        show_user_error(error)

    def on_end(self) -> None:
        """Clean up, after the result, or when the task failed or was cancelled."""

    def rest(self) -> Task | None:
        """Return a task that goes on where this one was stopped, if there is anything left."""
        return None

    def explain_abort(self) -> str:
        """Return why the task cannot go on, as layers are gone; empty: it can."""
        return ""

    def on_cancelled(self, result: Any) -> None:
        """Discard what the task has left, after :meth:`on_end`: the user has cancelled it.

        ``result`` is None, unless the task was over before it could be stopped.
        """

    def release(self) -> None:
        """Release what others wait for, when the thread has ended; of a dock that is gone, too."""

    @property
    def end_word(self) -> str:
        """The word for the end of a task that has not done everything."""
        return "Cancelled" if self.error is None else "Stopped by an error"

    def start_clock(self) -> None:
        """Start the clock."""
        self._began = self._steps_began = time.monotonic()

    def stop_clock(self) -> None:
        """Stop the clock."""
        self.seconds += time.monotonic() - self._began

    def with_remaining_time(self, message: str, step: Step, begins: bool) -> str:
        """Add the remaining time, from the speed since the last step that ``begins``."""
        if begins or not step.done:
            self._steps_began = time.monotonic()
            return message
        seconds = (time.monotonic() - self._steps_began) / step.done * (step.total - step.done)
        left = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return f"{message} · {left} left"


AnyTask = TypeVar("AnyTask", bound=Task)


class Controller(QObject):
    """Runs one task at a time.

    Signals
    -------
    state_changed : RunState
    stepped : Step
        Its task has shown it.
    progressed : int, int, str
        Steps that are done, their total, and a text.
    notice : str
        A warning of a step, once, in the words of the window.
    message : str
        Of a task that is over.
    failed : Exception
    finished
        A task is over, in any way; the state is IDLE or ASKING.
    """

    state_changed = Signal(object)
    stepped = Signal(object)
    progressed = Signal(int, int, str)
    notice = Signal(str)
    message = Signal(str)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.state = RunState.IDLE
        self.task: Task | None = None
        self.rest: Task | None = None  # goes on where one was stopped
        self.ended_well = False  # the last task: neither stopped nor failed
        self._follow_up: Task | None = None
        self._notices: set[str] = set()  # of this run
        self._throttle = UpdateThrottle()
        self._job = ThreadJob(self)
        self._job.stepped.connect(self._on_step)
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)

    @property
    def is_idle(self) -> bool:
        """Whether a task may start."""
        return self.state in (RunState.IDLE, RunState.ASKING)

    def start(self, task: Task) -> None:
        """Start a task; an answer that is awaited is not needed any more.

        Raises
        ------
        UserError
            If the task cannot be done.
        """
        self._check_move(RunState.RUNNING)
        task.on_start()
        self._follow_up, self.task = None, task
        if not task.keeps_rest:
            self.rest = None
        self._notices.clear()
        self._throttle = UpdateThrottle()
        task.start_clock()
        self._move(RunState.RUNNING)
        self._job.at_end = task.release
        self._job.start(task.title, task.steps)

    def stop(self) -> None:
        """Stop at once, or at the end of the current step, and keep what is finished."""
        if self.task is not None and not self.task.has_parts:
            self.cancel()
        elif self.state is RunState.RUNNING:
            self._move(RunState.STOPPING)
            self._job.stop(self.task is not None and self.task.stops_in_step)

    def cancel(self) -> None:
        """Stop at once, or at the end of the current step; what is not shown yet is lost."""
        if self.task is not None and self.state in (RunState.RUNNING, RunState.STOPPING):
            self._move(RunState.CANCELLING)
            self._job.cancel()

    def check(self) -> None:
        """Abort a task whose layers are gone, and forget what is left of one."""
        if self.task is not None and (reason := self.task.explain_abort()):
            self._abort(self.task, reason)
        elif self.rest is not None and self.rest.explain_abort():
            self.rest = None
            self.state_changed.emit(self.state)

    def answer(self, keep: bool) -> None:
        """Keep a partial result, or discard it."""
        follow_up, self._follow_up = self._follow_up, None
        if self.state is not RunState.ASKING:
            return
        if keep and follow_up is not None:
            self.start(follow_up)
        else:
            self._move(RunState.IDLE)

    def _check_move(self, state: RunState) -> None:
        if state not in LEGAL_MOVES[self.state]:
            raise AssertionError(f"{self.state.name} does not become {state.name}")

    def _move(self, state: RunState) -> None:
        self._check_move(state)
        self.state = state
        self.state_changed.emit(state)

    # events of the thread

    def _on_step(self, step: Step) -> None:
        if (task := self.task) is None or self.state is RunState.CANCELLING:
            return
        self._notify(step.notice)
        self.check()
        if task.reason:
            return
        try:
            task.on_step(step)
        except UserError as error:
            self._abort(task, name_controls(error))
            return
        except Exception:  # a bug is reported once, not at each step
            self.cancel()
            raise
        self.stepped.emit(step)
        if self._throttle.is_due(step) and self.state is RunState.RUNNING:
            self.progressed.emit(step.done, step.total, task.status(step))

    def _notify(self, notice: str) -> None:
        if notice and notice not in self._notices and len(self._notices) < MAX_NOTICES:
            self._notices.add(notice)
            self.notice.emit(name_controls(notice))

    def _abort(self, task: Task, reason: str) -> None:
        if not task.reason:
            task.reason = reason
            self.cancel()
            show_warning(reason)

    def _on_result(self, result: Any) -> None:
        task = self._take_task()
        if self.state is RunState.CANCELLING:  # the thread was faster than the click
            self._end_cancelled(task, result)
            return
        self._follow_up = task.follow_up(result) if self.state is RunState.STOPPING else None
        if self._follow_up is not None:
            task.message = CANCELLED
        try:
            if self._follow_up is None:
                with report_user_errors():
                    task.on_result(result)
        finally:
            self._end(task)

    def _on_failed(self, error: Exception) -> None:
        task = self._take_task()
        task.error = error
        self._end(task)
        self.failed.emit(error)
        task.show_error(error)

    def _on_finished(self) -> None:
        if self.task is not None:  # it returned neither a result nor an error
            self._end_cancelled(self._take_task())
        self._move(RunState.IDLE if self._follow_up is None else RunState.ASKING)
        self.finished.emit()

    def _take_task(self) -> Task:
        task, self.task = self.task, None
        assert task is not None  # a job reports its end at most once
        task.stop_clock()
        return task

    def _end_cancelled(self, task: Task, result: Any = None) -> None:
        task.message = task.reason or CANCELLED
        self._end(task, result)

    def _end(self, task: Task, result: Any = None) -> None:
        self.ended_well = self.state is RunState.RUNNING and task.error is None
        task.on_end()
        if self.state is RunState.CANCELLING:
            task.on_cancelled(result)
        if not task.keeps_rest:
            self.rest = task.rest()
        self.message.emit(task.message)
