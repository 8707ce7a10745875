"""A few threads, for work of numpy and scipy that lets other threads run; how they wait."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# More gain little, as the memory is shared.
MAX_THREADS = 4
# Threads of OpenMP sleep while they wait for others, after a few microseconds (the second, of
# GNU's). Else each keeps a core busy for milliseconds, which slows down whatever runs beside it
# several times over (docs/decisions/0020-threads.md).
WAIT_POLICY = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
# The user has chosen how they wait where one of these is set.
WAIT_VARIABLES = (*WAIT_POLICY, "KMP_BLOCKTIME")

# Of each thread that is a worker.
_LIMIT = threading.local()

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


def map_in_threads(work: Callable[[_Item], _Value], items: Iterable[_Item]) -> list[_Value]:
    """Return what a function returns for each of the items, in their order."""
    every = list(items)
    n = min(count_threads(), len(every))
    if n < 2:
        return [work(item) for item in every]
    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(work, every))


def count_threads() -> int:
    """Return how many threads one call may use: no more than ``OMP_NUM_THREADS``, which torch has.

    A thread that is one of several workers may use as many as :func:`limit_threads` said.

    Returns
    -------
    int
        At least 1.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(asked) if asked.isdecimal() else MAX_THREADS
    mine = getattr(_LIMIT, "threads", MAX_THREADS)
    return max(1, min(mine, MAX_THREADS, os.cpu_count() or 1, allowed))


def limit_threads(threads: int) -> None:
    """Set how many threads calls of the current thread may use at most."""
    _LIMIT.threads = threads


def choose_wait_policy() -> dict[str, str]:
    """Return the environment of processes whose threads wait without work; none if the user has."""
    return {} if any(name in os.environ for name in WAIT_VARIABLES) else WAIT_POLICY


def set_wait_policy() -> None:
    """Set how threads of this process wait; only before torch is imported, which reads it."""
    if "torch" not in sys.modules:
        os.environ.update(choose_wait_policy())
