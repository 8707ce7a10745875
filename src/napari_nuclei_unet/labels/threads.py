"""A few threads, for work of numpy and scipy that lets other threads run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# More gain little, as the memory is shared.
MAX_THREADS = 4

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

    Returns
    -------
    int
        At least 1.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(asked) if asked.isdecimal() else MAX_THREADS
    return max(1, min(MAX_THREADS, os.cpu_count() or 1, allowed))
