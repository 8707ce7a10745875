"""Saving a labels layer or its table: what is saved, and the work in a thread."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning

from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.checksum import array_crc32
from ..layers.export_result import build_export_result
from ..layers.labels_state import LabelsState
from ..project.projects import Projects
from .measure_task import MAX_MEASURED_PIXELS

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export import Result


def save_steps(path: str, result: Result) -> Generator[Step, Stop, tuple[Path, bool]]:
    """Write a file; runs in the thread, and returns whether the labels stayed the same.

    Their pixels are compared, as scripts that write into an array in memory send no event.
    """
    # formats of files are imported when they are needed: the dock opens faster
    from ...export import save
    from ...export.result import with_shapes
    from ...export.save import is_ome_tiff

    yield Step(0, 1)
    in_memory = isinstance(result.labels, np.ndarray)
    checksum = array_crc32(result.labels) if in_memory else 0
    if not is_ome_tiff(path) and math.prod(result.labels.shape) <= MAX_MEASURED_PIXELS:
        result = with_shapes(result)
    saved = save(path, result)
    return saved, not in_memory or array_crc32(result.labels) == checksum


class SaveTask(Task):
    """Saves labels, or their table, as they were measured.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    path : str
        Its extension selects the format: ``export.FORMATS``.
    """

    begins = "Saving …"

    def __init__(self, viewer: ViewerModel, layer: Labels, path: str) -> None:
        self.title = f"Saving {layer.name}"
        self._viewer = viewer
        self._state, self._path = LabelsState.of(layer), path
        self._result, self._revision = build_export_result(viewer, layer), self._state.revision

    def steps(self) -> Generator[Step, Stop, tuple[Path, bool]]:
        """Write the file; runs in the thread."""
        return (yield from save_steps(self._path, self._result))

    def show_error(self, error: Exception) -> None:
        """Show why it has failed: outlines of labels that change while they are drawn break."""
        if self._state.revision != self._revision:
            show_warning(_changed_message(Path(self._path)))
        else:
            super().show_error(error)

    def on_result(self, saved: tuple[Path, bool]) -> None:
        """Report what was saved, and whether that is still true."""
        path, is_unchanged = saved
        if is_unchanged and self._state.revision == self._revision:
            self.message = f"Saved {path.name}"
            self._note_saved(path)
        else:
            self.message = _changed_message(path)

    def _note_saved(self, path: Path) -> None:
        """Note that labels, or their table, need not be kept in case of a crash any more."""
        from ...export.save import is_ome_tiff

        has_labels = is_ome_tiff(path)
        if has_labels or path.suffix.lower() == ".csv":
            Projects.of(self._viewer).journal.mark_file_saved(self._state.layer, has_labels)


def _changed_message(path: Path) -> str:
    return f"The labels were changed while {path.name} was saved: save it again."
