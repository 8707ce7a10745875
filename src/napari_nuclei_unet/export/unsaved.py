"""Edits that are not saved yet, kept on the disk in case of a crash."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from uuid import uuid4

from ..errors import UserError
from ..io.locks import write_lock
from ..provenance.project import Project, read_project
from ..provenance.project_paths import PROJECT_SUFFIX
from .project_files import ProjectContent, write_project

_PROJECT_NAME = "edits" + PROJECT_SUFFIX


class UnsavedFolder:
    """The folder of one window, which others leave alone as long as the program lives.

    Parameters
    ----------
    parent : Path
        Of the folders of all windows; created when something is written.

    Attributes
    ----------
    path : Path
        Of the project of unsaved edits.
    """

    def __init__(self, parent: Path) -> None:
        self._folder = parent / uuid4().hex
        self.path = self._folder / _PROJECT_NAME
        self._lock = ExitStack()
        self._is_locked = self._is_closed = False
        self._writing = Lock()

    def write(self, content: ProjectContent) -> None:
        """Replace what is kept, unless the folder is closed; may run in a thread.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        try:
            with self._writing:
                if self._is_closed:
                    return
                if not self._is_locked:
                    self._lock.enter_context(write_lock(self._folder))
                    self._is_locked = True
                write_project(self.path, content)
        finally:
            if self._is_closed:  # meanwhile
                self._remove()

    def clear(self) -> None:
        """Remove what is kept: all is saved."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder: the window is closed.

        What is being written is removed at its end: unlocked before, it would look like the edits
        of a crash, and other windows would offer it.
        """
        self._is_closed = True
        if self._writing.acquire(blocking=False):
            self._remove()
            self._writing.release()

    def _remove(self) -> None:
        self.clear()
        self._lock.close()
        self._is_locked = False


@dataclass(frozen=True, eq=False)
class UnsavedEdits:
    """Edits that a program has left behind when it crashed; no other window is offered them.

    Attributes
    ----------
    path : Path
        Of their project.
    project : Project
    """

    path: Path
    project: Project
    _lock: ExitStack

    @property
    def time(self) -> datetime:
        """When they were kept."""
        return datetime.fromisoformat(self.project.time)

    @property
    def bytes(self) -> int:
        """Size of their files."""
        return sum(file.stat().st_size for file in self.path.parent.rglob("*") if file.is_file())

    def discard(self) -> None:
        """Remove them."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        self._lock.close()

    def release(self) -> None:
        """Leave them to other windows."""
        self._lock.close()


def find_unsaved_edits(parent: Path, max_bytes: int) -> list[UnsavedEdits]:
    """Find what crashes have left behind, the latest first; too much of it is removed.

    Parameters
    ----------
    parent : Path
        Of the folders of all windows.
    max_bytes : int
        Of all of them together.
    """
    try:
        _remove_locks(parent)
        folders = [folder for folder in parent.iterdir() if folder.is_dir()]
    except OSError:  # it is not there, or may not be read
        return []
    found = [edits for folder in folders if (edits := _take(folder)) is not None]
    found.sort(key=lambda edits: edits.time.timestamp(), reverse=True)
    kept, size = [], 0
    for edits in found:
        size += edits.bytes
        if size > max_bytes:
            edits.discard()
        else:
            kept.append(edits)
    return kept


def _remove_locks(parent: Path) -> None:
    """Remove the locks of windows that were killed when all of their edits were saved."""
    for file in parent.glob(".*.lock"):
        folder = parent / file.name.removeprefix(".").removesuffix(".lock")
        if not folder.exists():
            with suppress(UserError), write_lock(folder):
                pass


def _take(folder: Path) -> UnsavedEdits | None:
    """Lock a folder that a crash has left behind; None if it is of a window that lives."""
    with ExitStack() as lock:
        try:
            lock.enter_context(write_lock(folder))
        except UserError:
            return None
        try:
            project = read_project(folder / _PROJECT_NAME)
            datetime.fromisoformat(project.time).timestamp()
        except (UserError, OSError, ValueError, OverflowError):
            if not (folder / _PROJECT_NAME).exists():  # it was not written to its end
                shutil.rmtree(folder, ignore_errors=True)
            return None
        return UnsavedEdits(folder / _PROJECT_NAME, project, lock.pop_all())
    return None
