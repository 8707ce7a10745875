"""Names of temporary files, and the removal of those that programs have left that were killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
import uuid
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

# Machine, process and its start are in the name: by them it is known whether its program lives.
NAME = re.compile(r"\.nuclei-unet-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}(\..*)?")
# Of temporary folders: what is written, and what it will replace.
NEW_FOLDER_NAME, OLD_FOLDER_NAME = "new", "old"
# In seconds: by so much the start of a process may seem to differ.
START_TOLERANCE = 10
# In seconds: what was not changed for so long belongs to no living program of another machine.
FOREIGN_AGE = 24 * 3600


def temporary_path(folder: Path, suffix: str = "") -> Path:
    """Return a hidden path in a folder that does not exist; removed later if this program dies."""
    name = f".nuclei-unet-{_identify_process(os.getpid())}-{uuid.uuid4().hex[:8]}{suffix}"
    return folder / name


def find_final_folder(path: Path) -> Path:
    """Find the folder in which a file or folder lies in the end that may be written aside now."""
    aside = next((folder for folder in path.parents if NAME.fullmatch(folder.name)), path)
    return aside.parent


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of programs that were killed; each folder once in this program."""
    _remove_once(folder.absolute(), os.getpid())


@lru_cache(maxsize=1024)
def _remove_once(folder: Path, _: int) -> None:
    try:
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), match) for entry in entries
                     if (match := NAME.fullmatch(entry.name))]  # fmt: skip
    except OSError:  # whoever writes there will tell
        return
    for path, match in found:
        with suppress(OSError):
            if _is_abandoned(path, match):
                remove_temporary(path)


def remove_temporary(path: Path) -> None:
    """Remove a temporary file or folder; what a folder would have replaced is put back."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    old = path / OLD_FOLDER_NAME
    for one in old.iterdir() if old.is_dir() else ():
        if not (target := path.parent / one.name).exists():
            os.replace(one, target)
    shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(path: Path, match: re.Match[str]) -> bool:
    """Return whether the program that has made a temporary file does not live any more."""
    machine, process, start = match.groups()[:3]
    if machine != _identify_machine():  # processes of other machines, or containers, are not seen
        return time.time() - path.stat().st_mtime > FOREIGN_AGE
    # here and below: takes a moment to load, and most commands write nothing
    import psutil

    try:
        return abs(psutil.Process(int(process)).create_time() - int(start)) > START_TOLERANCE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@lru_cache(maxsize=1)
def _identify_process(process: int) -> str:
    import psutil

    return f"{_identify_machine()}-{process}-{int(psutil.Process(process).create_time())}"


@lru_cache(maxsize=1)
def _identify_machine() -> str:
    """Return what tells apart machines, and containers, whose processes have numbers of their own.

    Of two that seem the same, one would take temporary files of the other for abandoned ones.
    """
    try:
        space = os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        space = ""
    return f"{zlib.crc32(f'{platform.node()} {uuid.getnode()} {space}'.encode()):08x}"
