"""Progress of long work: generators that yield steps, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

_Result = TypeVar("_Result")

# Sent to a run: a true value stops it early, and it returns what is finished.
Stop = bool | None


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
