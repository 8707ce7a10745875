"""Progress of long work: generators that yield steps, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

_Result = TypeVar("_Result")

# Sent to a run: a true value stops it early, and it returns what is finished.
Stop = bool | None


class Interrupted(BaseException):
    """A run was cancelled in the midst of a step; like GeneratorExit it is no error."""


class StopRequested(Interrupted):
    """A run shall stop in the midst of a step, and return what is finished, if there is any."""


@dataclass(frozen=True)
class _Requests:
    """What a run may be asked in the midst of a step."""

    is_cancelled: Callable[[], bool]
    is_stopped: Callable[[], bool]


_requests: ContextVar[_Requests | None] = ContextVar("_requests", default=None)


@contextmanager
def interruptible(
    is_cancelled: Callable[[], bool], is_stopped: Callable[[], bool] = bool
) -> Iterator[None]:
    """Make long steps in this thread raise once a function returns True.

    A generator can only be closed, or told to stop, between its steps, and on a slow computer one
    takes seconds.

    Parameters
    ----------
    is_cancelled : callable
    is_stopped : callable, optional
        Whether what is finished is wanted.
    """
    token = _requests.set(_Requests(is_cancelled, is_stopped))
    try:
        yield
    finally:
        _requests.reset(token)


def check_interruption() -> None:
    """Check whether the run was cancelled or stopped; long steps call it often.

    Raises
    ------
    Interrupted
        If it was cancelled.
    StopRequested
        If it was told to stop.
    """
    requests = _requests.get()
    if requests is None:
        return
    if requests.is_cancelled():
        raise Interrupted
    if requests.is_stopped():
        raise StopRequested


@dataclass(frozen=True)
class Step:
    """Progress of a run.

    Attributes
    ----------
    done, total : int
        Pieces of work; ``done`` starts again from 0 when memory ran out and tiles shrink.
    notice : str
        A sentence for the user, mostly empty.
    """

    done: int
    total: int
    notice: str = ""


def run(
    steps: Generator[Step, Stop, _Result], on_step: Callable[[Step], object] | None = None
) -> _Result:
    """Exhaust a generator of steps.

    Parameters
    ----------
    steps : generator
        As from ``segmentation.segment.segment_steps``.
    on_step : callable, optional
        Called with every step. Once it has returned True, the run stops early with what is
        finished.

    Returns
    -------
    object
        What the generator returned.
    """
    stop: Stop = None
    while True:
        try:
            step = steps.send(stop)
        except StopIteration as end:
            return end.value
        stop = (on_step is not None and on_step(step) is True) or stop


def forward_stop(
    steps: Generator[Step, Stop, _Result], transform: Callable[[Step], Step] | None = None
) -> Generator[Step, Stop, _Result]:
    """Forward steps of a run, and a request to stop until the run does.

    With ``transform`` its steps are transformed.
    """
    stop: Stop = None
    try:
        while True:
            try:
                step = steps.send(stop)
            except StopIteration as end:
                return end.value
            stop = (yield step if transform is None else transform(step)) or stop
    finally:
        steps.close()
