"""Progress of long work: generators that yield steps, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

# What a run is sent, or told by a true value, to stop early and to return what is finished.
Wish = bool | None


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
    steps: Generator[Step, Wish, Result], on_step: Callable[[Step], object] | None = None
) -> Result:
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
    wish: Wish = None
    while True:
        try:
            step = steps.send(wish)
        except StopIteration as end:
            return end.value
        wish = on_step is not None and on_step(step) is True


def sticky(
    steps: Generator[Step, Wish, Result], shown: Callable[[Step], Step] | None = None
) -> Generator[Step, Wish, Result]:
    """Pass on that a run shall stop until it does, wherever it was when it was told so.

    With ``shown`` its steps are passed on as that makes them.
    """
    wish: Wish = None
    try:
        while True:
            try:
                step = steps.send(wish)
            except StopIteration as end:
                return end.value
            wish = (yield step if shown is None else shown(step)) or wish
    finally:
        steps.close()
