"""Patterns of paths, such as ``day*/**/*.tif``, in folders that links may lead around in."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

# Part of a pattern that stands for any number of folders.
RECURSIVE = "**"


def expand_pattern(pattern: str) -> list[Path]:
    """List what fits a pattern; what is below ``**`` once, however many links lead there.

    Parameters
    ----------
    pattern : str
        As of ``glob.glob`` with ``recursive``, which would go around a loop 40 times, and two
        loops in one folder for ever. Links are followed last, hidden folders never.
    """
    parts = Path(pattern).parts
    if RECURSIVE not in parts:
        return [Path(path) for path in glob.glob(pattern)]
    at = parts.index(RECURSIVE)
    below = [part for part in parts[at + 1 :] if part != RECURSIVE or parts[-1] != RECURSIVE]
    rest = os.path.join("", *below) or "*"
    tops = glob.glob(os.path.join(*parts[:at])) if at else [os.curdir]
    found = (
        path
        for folder in _walk_once(tops)
        for path in expand_pattern(os.path.join(glob.escape(folder), rest))
    )
    return list(dict.fromkeys(found))


def _walk_once(tops: list[str]) -> Iterator[str]:
    """Yield folders, and all folders in them, each once; what cannot be listed has none."""
    folders, links, seen = deque(tops), deque[str](), set[tuple[int, int]]()
    while folders or links:
        folder = (folders or links).popleft()
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        yield folder
        for entry in inside:
            if not entry.name.startswith(".") and _is_folder(entry):
                (links if entry.is_symlink() else folders).append(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False
