"""Progress of long work: generators that yield steps, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

_Result = TypeVar("_Result")

# What a run is sent, or told by a true value, to stop early and to return what is finished.
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
        As from ``engine.segment_steps``.
    on_step : callable, optional
        Is given every step. If it returns True, the run stops early, and returns what is finished.

    Returns
    -------
    object
        What the generator returned.
    """
    wish: Stop = None
    while True:
        try:
            step = steps.send(wish)
        except StopIteration as end:
            return end.value
        wish = on_step is not None and on_step(step) is True


def forward_stop(
    steps: Generator[Step, Stop, _Result], transform: Callable[[Step], Step] | None = None
) -> Generator[Step, Stop, _Result]:
    """Pass on that a run shall stop until it does, wherever it was when it was told so.

    With ``transform`` its steps are passed on as that makes them.
    """
    wish: Stop = None
    try:
        while True:
            try:
                step = steps.send(wish)
            except StopIteration as end:
                return end.value
            wish = (yield step if transform is None else transform(step)) or wish
    finally:
        steps.close()
