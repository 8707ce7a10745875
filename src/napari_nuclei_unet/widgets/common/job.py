"""Long work in a thread: the only module that knows threads.

A job runs a generator. Its events and its result arrive in the GUI thread; what runs in the
thread never touches Qt, layers or the viewer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import cache
from typing import Any, ClassVar

from napari.utils import progress
from qtpy.QtCore import QCoreApplication, QObject, Signal
from superqt.utils import GeneratorWorker

# Steps that follow each other faster are not all shown; in seconds.
MIN_UPDATE_INTERVAL = 0.1


class _Worker(GeneratorWorker):
    """A generator worker that loses no error and always closes its generator.

    superqt (0.9.0) takes any RuntimeError for a deleted worker and says nothing; torch raises
    it for lack of memory. And ``quit()`` leaves the generator suspended, with its ``finally``
    blocks not run.
    """

    stop_requested = False

    def _next_value(self) -> bool | None:
        """Tell the generator at each step, but not before its first, whether it shall stop."""
        begun, self._begun = getattr(self, "_begun", False), True
        return True if begun and self.stop_requested else None

    def work(self) -> Any:
        try:
            result = super().work()
        finally:
            self._gen.close()
        if isinstance(result, RuntimeError):
            raise _WrappedRuntimeError(result)
        return result


class _WrappedRuntimeError(Exception):
    """Carries a RuntimeError past superqt."""


class UpdateThrottle:
    """Says which steps are shown: drawing the window for each would slow down fast ones."""

    def __init__(self) -> None:
        self._last = -MIN_UPDATE_INTERVAL

    def is_due(self, step: Any) -> bool:
        """Whether the last one shown is long enough ago; the first and last are always shown."""
        now = time.monotonic()
        if 0 < step.done < step.total and now - self._last < MIN_UPDATE_INTERVAL:
            return False
        self._last = now
        return True


class ThreadJob(QObject):
    """Runs one generator at a time.

    Signals
    -------
    stepped : object
        What the generator yielded.
    returned : object
        What it returned; not after :meth:`cancel`.
    failed : Exception
        What it raised.
    finished
        The end, whichever it was; a new job may start.
    """

    _running_jobs: ClassVar[set[ThreadJob]] = set()  # a job outlives its widget until it has ended

    stepped = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    finished = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._worker: _Worker | None = None
        self._bar: progress | None = None
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self.cancel)

    @property
    def is_running(self) -> bool:
        """Whether a generator is at work."""
        return self._worker is not None

    def start(
        self, title: str, steps: Callable[..., Generator[Any, None, Any]], *args: Any
    ) -> None:
        """Run a generator function in a thread, with a bar in napari's activity dock.

        Parameters
        ----------
        title : str
            What the bar is called; empty: no bar.
        steps : generator function
            Yields events with the fields ``done`` and ``total``.
        *args
            Are passed to it.
        """
        if self.is_running:
            raise AssertionError("a job is running; check `running` first")
        ThreadJob._running_jobs.add(self)
        self._bar = progress(total=0, desc=title) if title else None
        self._throttle = UpdateThrottle()
        worker = self._worker = _Worker(steps, *args)
        worker.yielded.connect(self._step)
        worker.returned.connect(self.returned)
        worker.errored.connect(self._on_errored)
        worker.finished.connect(self._end)
        worker.start()

    def cancel(self, *_: object) -> None:
        """Ask the generator to stop; it is closed after the piece it is working on."""
        if self._worker is not None:
            self._worker.quit()

    def stop(self) -> None:
        """Ask the generator to return what is finished, after the piece it is working on."""
        if self._worker is not None:
            self._worker.stop_requested = True

    def _step(self, event: Any) -> None:
        self.stepped.emit(event)
        if self._bar is not None and self._throttle.is_due(event):
            # last: napari's bar lets events pass, and with them perhaps the job's end
            self._bar.total = event.total
            self._bar.update(event.done - self._bar.n)

    def _on_errored(self, error: Exception) -> None:
        self.failed.emit(error.args[0] if isinstance(error, _WrappedRuntimeError) else error)

    def _end(self) -> None:
        self._worker = None
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
        ThreadJob._running_jobs.discard(self)
        self.finished.emit()


def reserve_threads(reserved: int) -> None:
    """Let torch take all processor threads but so many; at least one works."""
    import torch

    torch.set_num_threads(max(1, _default_thread_count() - reserved))


@cache
def _default_thread_count() -> int:
    """As many threads as torch takes by itself, before the number was changed."""
    import torch

    return torch.get_num_threads()
