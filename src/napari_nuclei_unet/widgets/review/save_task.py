"""Saving a labels layer or its table: what is saved, and the work in a thread."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from ...progress import Step, Stop
from ..common.controller import Task
from ..common.notify import show_warning
from ..layers.checksum import array_crc32
from ..layers.export_result import build_export_result
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import MAX_MEASURED_PIXELS
from ..project.projects import Projects
from .measure_form import MeasureChoice

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export import Result


class SaveTask(Task):
    """Saves labels, or their table, as they were measured.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    path : str
        Its extension selects the format: ``export.FORMATS``.
    choice : MeasureChoice, optional
        What was measured: where that were rings, nuclei in GeoJSON have cells of the same width.
    decimal_comma : bool, optional
        As in ``export.save``.
    """

    begins = "Saving …"

    def __init__(
        self,
        viewer: ViewerModel,
        layer: Labels,
        path: str,
        choice: MeasureChoice | None = None,
        decimal_comma: bool = False,
    ) -> None:
        self.title = f"Saving {layer.name}"
        self._viewer = viewer
        self._state, self._path = LabelsState.of(layer), path
        self._result, self._revision = build_export_result(viewer, layer), self._state.revision
        self._choice, self._decimal_comma = choice or MeasureChoice(), decimal_comma
        self._name = Path(path).name  # in messages

    def steps(self) -> Generator[Step, Stop, bool]:
        """Write the file; runs in the thread, and returns whether the labels stayed the same.

        Their pixels are compared, as scripts that write into an array in memory send no event.
        """
        yield Step(0, 1)
        labels = self._result.labels
        in_memory = isinstance(labels, np.ndarray)
        checksum = array_crc32(labels) if in_memory else 0
        yield from self.write_steps()
        return not in_memory or array_crc32(labels) == checksum

    def write_steps(self) -> Generator[Step, Stop, Any]:
        """Write the file."""
        # formats of files are imported when they are needed: the dock opens faster
        from ...export import OutlineOptions
        from ...export.save import has_table_beside, is_ome_tiff, save_with_table

        has_table = has_table_beside(self._path) or not is_ome_tiff(self._path)
        outlines = OutlineOptions(self._choice.ring or None, self._choice.in_micrometers)
        result = measure_shapes(self._result) if has_table else self._result
        saved = save_with_table(self._path, result, outlines, decimal_comma=self._decimal_comma)
        *first, last = [path.name for path in saved]
        self._name = f"{', '.join(first)} and {last}" if first else last
        yield Step(1, 1)

    def show_error(self, error: Exception) -> None:
        """Show why it has failed: outlines of labels that change while they are drawn break."""
        if self._state.revision != self._revision:
            show_warning(self._changed_message)
        else:
            super().show_error(error)

    def on_result(self, is_unchanged: bool) -> None:
        """Report what was saved, and whether that is still true."""
        if is_unchanged and self._state.revision == self._revision:
            self.message = f"Saved {self._name}"
            self.note_saved()
        else:
            self.message = self._changed_message

    @property
    def _changed_message(self) -> str:
        return f"The labels were changed while {self._name} was saved: save it again."

    def note_saved(self) -> None:
        """Note that labels, or their table, need not be kept in case of a crash any more."""
        from ...export.save import has_table_beside, is_ome_tiff

        has_table = has_table_beside(self._path) or self._path.lower().endswith(".csv")
        self.mark_saved(has_labels=is_ome_tiff(self._path), has_table=has_table)

    def mark_saved(self, *, has_labels: bool, has_table: bool) -> None:
        """Note what is in files by now."""
        journal = Projects.of(self._viewer).journal
        journal.mark_file_saved(self._state.layer, has_labels=has_labels, has_table=has_table)


def measure_shapes(result: Result) -> Result:
    """Return a result with lengths in pixels and micrometers, unless measuring takes minutes."""
    from ...export.result import with_shapes

    is_small = math.prod(result.labels.shape) <= MAX_MEASURED_PIXELS
    return with_shapes(result) if is_small else result
