"""Long work in a thread: the only module that uses threads.

A job runs a generator. Its events and its result arrive in the GUI thread; code that runs in the
worker thread never touches Qt, layers or the viewer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from napari.utils import progress
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot
from superqt.utils import GeneratorWorker

from ...network.loading import load_torch
from ...progress import Interrupted, check_interruption, interruptible

# Seconds between looks whether a run that waits for imports was cancelled.
IMPORT_POLL = 0.05
LOADING = "Loading the network, once per session …"
_was_loaded = threading.Event()
# In seconds; of steps that follow each other faster, some are not shown.
MIN_UPDATE_INTERVAL = 0.1


class _Worker(GeneratorWorker[Any, Any, Any]):
    """A generator worker that loses no error and always closes its generator.

    superqt (0.9.0) takes any RuntimeError for a deleted worker and does not report it; torch raises
    it when memory runs out. And ``quit()`` leaves the generator suspended, with its ``finally``
    blocks not run.
    """

    stop_requested = stop_in_step = False
    owner: ThreadJob | None = None  # a job outlives its widget until it has ended

    def _next_value(self) -> bool | None:
        """Return True to stop the generator; before its first step only None may be sent."""
        has_begun, self._has_begun = getattr(self, "_has_begun", False), True
        return True if has_begun and self.stop_requested else None

    def work(self) -> Any:
        result = None
        try:
            with interruptible(lambda: self.abort_requested, lambda: self.stop_in_step):
                result = super().work()
        except Interrupted:
            self.aborted.emit()
        finally:
            self._gen.close()
        if isinstance(result, RuntimeError):
            raise _WrappedRuntimeError(result)
        return result


# A worker that has ended is kept until others have. Its signals would go with it, maybe in its own
# thread, and PyQt crashes when they do while a slot of theirs is called: napari's bar processes
# events, so the end of a job may come in the midst of its step.
_ended_workers: deque[_Worker] = deque(maxlen=8)


class _WrappedRuntimeError(Exception):
    """Carries a RuntimeError past superqt."""


class UpdateThrottle:
    """Limits how often steps are shown: redrawing the window at each would slow fast ones down."""

    def __init__(self) -> None:
        self._last = -MIN_UPDATE_INTERVAL

    def is_due(self, step: Any) -> bool:
        """Return whether to show a step: the first, the last, and others after some time."""
        now = time.monotonic()
        if 0 < step.done < step.total and now - self._last < MIN_UPDATE_INTERVAL:
            return False
        self._last = now
        return True


class ThreadJob(QObject):
    """Runs one generator at a time.

    Parameters
    ----------
    owner : QObject
        The job is cancelled when it is destroyed, and deleted when the thread has ended.

    Attributes
    ----------
    at_end : callable or None
        Called before ``finished`` is emitted, once; also if whoever listens is gone by then.

    Signals
    -------
    stepped : object
        An event that the generator yielded.
    returned : object
        Its return value; not after :meth:`cancel`.
    failed : Exception
        The exception that it raised.
    finished
        It has ended in one of these ways, or was cancelled; a new job may start.
    """

    stepped = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, owner: QObject) -> None:
        app = QCoreApplication.instance()
        super().__init__(app)
        self._worker: _Worker | None = None
        self._bar: progress | None = None
        self._is_updating = self._is_left = False
        self.at_end: Callable[[], object] | None = None
        owner.destroyed.connect(self._leave)
        if app is not None:
            app.aboutToQuit.connect(self.cancel)

    @property
    def is_running(self) -> bool:
        """Whether a generator is running."""
        return self._worker is not None

    def start(
        self, title: str, steps: Callable[..., Generator[Any, None, Any]], *args: Any
    ) -> None:
        """Run a generator function in a thread, with a bar in napari's activity dock.

        Parameters
        ----------
        title : str
            Of the bar; empty: no bar.
        steps : generator function
            Yields events with the fields ``done`` and ``total``.
        *args
            Of the generator function.
        """
        if self.is_running:
            raise AssertionError("a job is running; check `running` first")
        self._bar = progress(total=0, desc=title) if title else None
        self._throttle = UpdateThrottle()
        worker = self._worker = _Worker(steps, *args)
        worker.owner = self
        worker.yielded.connect(self._step)
        worker.returned.connect(self._on_returned)
        worker.errored.connect(self._on_errored)
        worker.finished.connect(self._end)
        worker.start()

    def cancel(self, *_: object) -> None:
        """Ask the generator to stop; a step that checks for interruption ends in its midst."""
        if self._worker is not None:
            self._worker.quit()

    def stop(self, in_step: bool = False) -> None:
        """Ask the generator to return its partial result.

        Parameters
        ----------
        in_step : bool, optional
            Do not wait for the end of a step that checks for interruption. Before there is any
            result, this is as :meth:`cancel`.
        """
        if self._worker is not None:
            self._worker.stop_requested, self._worker.stop_in_step = True, in_step

    @Slot()
    def _leave(self) -> None:
        """End without the owner."""
        self._is_left = True
        self.cancel()
        if not self.is_running:
            self.deleteLater()

    def _step(self, event: Any) -> None:
        self.stepped.emit(event)
        if self._bar is not None and not self._is_updating and self._throttle.is_due(event):
            # last: napari's bar processes events, which may bring the next step, or end the job
            bar, self._is_updating = self._bar, True
            bar.total = event.total
            bar.update(event.done - bar.n)
            self._is_updating = False

    def _on_returned(self, result: Any) -> None:
        # a method, as Qt disconnects it with its object: a bound ``emit`` would use what is deleted
        self.returned.emit(result)

    def _on_errored(self, error: Exception) -> None:
        self.failed.emit(error.args[0] if isinstance(error, _WrappedRuntimeError) else error)

    def _end(self, *_: object) -> None:
        if (worker := self._worker) is not None:
            worker.owner = self._worker = None
            _ended_workers.append(worker)
        if self._bar is not None:
            bar, self._bar = self._bar, None
            if self._is_updating:  # it is in use until that returns
                QTimer.singleShot(0, bar.close)
            else:
                bar.close()
        if self.at_end is not None:
            at_end, self.at_end = self.at_end, None
            at_end()
        self.finished.emit()
        if self._is_left:
            self.deleteLater()


def start_in_background(function: Callable[[], object]) -> None:
    """Call a function in a thread that nobody waits for, and that does not outlive the program."""
    threading.Thread(target=function, daemon=True).start()


def load_engine(reserved: int) -> None:
    """Import what a run of the network needs, and limit torch to all but ``reserved`` threads.

    It may take seconds, in which the run can be cancelled. At least one thread is left.

    Raises
    ------
    Interrupted
        If it was; what is being imported is there for the next run.
    """
    loader = ThreadPoolExecutor(1, "imports the engine")
    loading = loader.submit(_import_engine)
    loader.shutdown(wait=False)
    while not wait([loading], IMPORT_POLL).done:
        check_interruption()
    loading.result()
    import torch  # here and below: importing it takes seconds

    torch.set_num_threads(max(1, _default_thread_count() - reserved))
    _was_loaded.set()


def describe_start(usual: str) -> str:
    """Return what is shown until a run of the network begins: why its first one takes longer."""
    return usual if _was_loaded.is_set() else LOADING


def _import_engine() -> None:
    load_torch()
    from ...segmentation import segment  # noqa: F401


@cache
def _default_thread_count() -> int:
    """Return the number of threads that torch uses by default; cached before it is changed."""
    import torch

    return torch.get_num_threads()
