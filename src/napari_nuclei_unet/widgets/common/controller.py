"""The controller of a dock: one task at a time, and a state that everybody can see."""

from __future__ import annotations

import time
from collections.abc import Generator
from enum import Enum, auto
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Signal

from ...progress import Step, Stop
from .job import ThreadJob, UpdateThrottle
from .notify import show_user_error


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
    seconds : float
        Time at work, without waiting for the user.
    """

    title = ""
    seconds = 0.0
    _began = _steps_began = 0.0

    def steps(self) -> Generator[Step, Stop, Any]:
        """Do the work, and return its result."""
        raise NotImplementedError

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

    def on_end(self) -> None:
        """Clean up, whether there is a result or the task failed or was cancelled."""

    def on_cancelled(self) -> None:
        """Discard what the task has left, after :meth:`on_end`: the user has cancelled it."""

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
    progressed : int, int, str
        Steps that are done, their total, and a text.
    notice : str
        A warning of a step.
    failed : Exception
    finished
        A task is over, in any way; the state is IDLE or ASKING.
    """

    state_changed = Signal(object)
    progressed = Signal(int, int, str)
    notice = Signal(str)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.state = RunState.IDLE
        self.task: Task | None = None
        self._follow_up: Task | None = None
        self._throttle = UpdateThrottle()
        self._job = ThreadJob()
        self._job.stepped.connect(self._on_step)
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)
        parent.destroyed.connect(self._job.cancel)

    @property
    def is_idle(self) -> bool:
        """Whether a task may start."""
        return self.state in (RunState.IDLE, RunState.ASKING)

    def start(self, task: Task) -> None:
        """Start a task; an answer that is awaited is not needed any more."""
        self._check_move(RunState.RUNNING)
        self._follow_up, self.task = None, task
        self._throttle = UpdateThrottle()
        task.start_clock()
        self._move(RunState.RUNNING)
        self._job.start(task.title, task.steps)

    def stop(self) -> None:
        """Stop at the end of the current step, and keep what is finished."""
        if self.state is RunState.RUNNING:
            self._move(RunState.STOPPING)
            self._job.stop()

    def cancel(self) -> None:
        """Stop at the end of the current step; what the task has not shown yet is lost."""
        if self.state in (RunState.RUNNING, RunState.STOPPING):
            self._move(RunState.CANCELLING)
            self._job.cancel()

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
        if (task := self.task) is None:
            return
        if step.notice:
            self.notice.emit(step.notice)
        task.on_step(step)
        if self._throttle.is_due(step) and self.state is RunState.RUNNING:
            self.progressed.emit(step.done, step.total, task.status(step))

    def _on_result(self, result: Any) -> None:
        task = self._end_task()
        self._follow_up = task.follow_up(result) if self.state is RunState.STOPPING else None
        if self._follow_up is None:
            task.on_result(result)

    def _on_failed(self, error: Exception) -> None:
        self._end_task()
        self.failed.emit(error)
        show_user_error(error)  # raises what is no mistake of the user

    def _on_finished(self) -> None:
        if self.task is not None:  # it returned neither a result nor an error
            self._end_task()
        self._move(RunState.IDLE if self._follow_up is None else RunState.ASKING)
        self.finished.emit()

    def _end_task(self) -> Task:
        task, self.task = self.task, None
        assert task is not None  # a job reports its end at most once
        task.stop_clock()
        task.on_end()
        if self.state is RunState.CANCELLING:
            task.on_cancelled()
        return task
