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
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(work, items))
