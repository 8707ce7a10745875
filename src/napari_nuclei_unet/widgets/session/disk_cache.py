"""Predictions that do not fit into memory, in files of a temporary folder."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QCoreApplication, QObject, Signal

from ...progress import Step, Stop
from ..common.job import ThreadJob

if TYPE_CHECKING:
    from .plane_result import PlaneResult


class DiskCache(QObject):
    """Writes the maps of predictions to files, one by one in a thread, and memory-maps these.

    Signals
    -------
    failed : PlaneResult
        It could not be written, for example because the disk is full.
    """

    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # also removed at exit
        self._waiting: deque[PlaneResult] = deque()
        self._writing: PlaneResult | None = None
        self._count = 0
        self._is_outdated = False  # the folder goes as soon as no file is being written
        self._job = ThreadJob(self)
        self._job.returned.connect(self._on_written)
        self._job.finished.connect(self._on_finished)
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self.clear)

    @property
    def folder(self) -> Path | None:
        """The folder of the files, if there are any."""
        return None if self._folder is None else Path(self._folder.name)

    @property
    def is_busy(self) -> bool:
        """Whether a file is being written."""
        return self._job.is_running or bool(self._waiting)

    def is_queued(self, plane_result: PlaneResult) -> bool:
        """Return whether a prediction waits to be written, or is being written."""
        return plane_result is self._writing or plane_result in self._waiting

    def put(self, plane_result: PlaneResult) -> None:
        """Schedule a prediction to be written; its maps are then replaced by those of the file."""
        self._waiting.append(plane_result)
        self._next()

    def clear(self, *_: object) -> None:
        """Remove all files; predictions that were written cannot be used any more."""
        self._waiting.clear()
        self._writing = None
        self._is_outdated = self._job.is_running
        if not self._is_outdated:
            self._remove()

    def _next(self) -> None:
        while self._waiting and not self._job.is_running:
            self._writing = plane_result = self._waiting.popleft()
            self._count += 1
            if (folder := self._create_folder()) is None:
                self._on_written(None)
            else:
                path = os.path.join(folder, f"{self._count}.npy")
                self._job.start("", _write_steps, path, plane_result.prediction.quantized_maps)

    def _create_folder(self) -> str | None:
        """Return the folder, created when first needed; None if that fails."""
        if self._folder is None:
            try:
                self._folder = tempfile.TemporaryDirectory(
                    prefix="napari-nuclei-unet-", ignore_cleanup_errors=True
                )
            except OSError:
                return None
        return self._folder.name

    def _on_written(self, maps: NDArray[Any] | None) -> None:
        plane_result, self._writing = self._writing, None
        if plane_result is None:
            return  # cleared meanwhile
        if maps is None:
            self.failed.emit(plane_result)
        else:
            plane_result.prediction = dataclasses.replace(
                plane_result.prediction, quantized_maps=maps
            )

    def _on_finished(self) -> None:
        self._writing = None
        if self._is_outdated:
            self._is_outdated = False
            self._remove()
        self._next()

    def _remove(self) -> None:
        if self._folder is not None:
            folder, self._folder = self._folder, None
            folder.cleanup()


def _write_steps(path: str, maps: NDArray[Any]) -> Generator[Step, Stop, NDArray[Any] | None]:
    """Write maps in the thread, and memory-map them; return None if that fails."""
    yield Step(0, 1)
    try:
        np.save(path, maps)
        mapped = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        _unlink(path)
        return None
    # the file is not needed once its plane is dropped
    weakref.finalize(mapped, _unlink, path).atexit = False
    return mapped


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
