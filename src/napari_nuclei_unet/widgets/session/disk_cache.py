"""What does not fit into memory is kept in files, in a folder that goes with the widget."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_nuclei_unet.widgets.common.job import ThreadJob

if TYPE_CHECKING:
    from napari_nuclei_unet.widgets.session.plane_result import PlaneResult


@dataclass(frozen=True)
class _SilentStep:
    """Neither seen nor counted: a job without a title shows no bar."""

    done: int = 0
    total: int = 1


class DiskCache(QObject):
    """Writes maps of predictions to files, one after the other in a thread, and maps these.

    Signals
    -------
    failed : Kept
        It could not be written, as when the disk is full.
    """

    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # is removed at exit, too
        self._waiting: deque[PlaneResult] = deque()
        self._writing: PlaneResult | None = None
        self._count = 0
        self._closed = False
        self._job = ThreadJob()
        self._job.returned.connect(self._on_written)
        self._job.finished.connect(self._on_finished)
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self.close)

    @property
    def folder(self) -> Path | None:
        """Where the files are, if there are any."""
        return None if self._folder is None else Path(self._folder.name)

    @property
    def is_busy(self) -> bool:
        """Whether something is being written."""
        return self._job.is_running or bool(self._waiting)

    def is_queued(self, plane_result: PlaneResult) -> bool:
        """Whether a prediction is about to go into a file."""
        return plane_result is self._writing or plane_result in self._waiting

    def put(self, plane_result: PlaneResult) -> None:
        """Write a prediction, soon; from then on its maps are those of the file."""
        if not self._closed:
            self._waiting.append(plane_result)
            self._next()

    def close(self, *_: object) -> None:
        """Remove all files; nothing that was written may be used any more."""
        self._closed = True
        self._waiting.clear()
        self._writing = None
        if not self._job.is_running:
            self._remove()

    def _next(self) -> None:
        while self._waiting and not self._job.is_running:
            self._writing = kept = self._waiting.popleft()
            self._count += 1
            if (folder := self._create_folder()) is None:
                self._on_written(None)
            else:
                path = os.path.join(folder, f"{self._count}.npy")
                self._job.start("", _write_steps, path, kept.prediction.maps)

    def _create_folder(self) -> str | None:
        """Give the folder, which is made when it is needed; None where that is not possible."""
        if self._folder is None:
            try:
                self._folder = tempfile.TemporaryDirectory(
                    prefix="napari-nuclei-unet-", ignore_cleanup_errors=True
                )
            except OSError:
                return None
        return self._folder.name

    def _on_written(self, maps: NDArray[Any] | None) -> None:
        kept, self._writing = self._writing, None
        if kept is None:
            return  # closed meanwhile
        if maps is None:
            self.failed.emit(kept)
        else:
            kept.prediction = dataclasses.replace(kept.prediction, maps=maps)

    def _on_finished(self) -> None:
        self._writing = None
        if self._closed:
            self._remove()
        self._next()

    def _remove(self) -> None:
        if self._folder is not None:
            folder, self._folder = self._folder, None
            folder.cleanup()


def _write_steps(
    path: str, maps: NDArray[Any]
) -> Generator[_SilentStep, None, NDArray[Any] | None]:
    """Run in the thread; None where the file cannot be written."""
    yield _SilentStep()
    try:
        np.save(path, maps)
        made = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        _unlink(path)
        return None
    # no longer needed when its plane is forgotten
    weakref.finalize(made, _unlink, path).atexit = False
    return made


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
