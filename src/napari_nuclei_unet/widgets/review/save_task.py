"""Saving a labels layer or its table: what is saved, and the work in a thread."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning

from ...arrays.axes import axis_letters
from ...io.paths import sanitize_name
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.checksum import array_crc32
from ..layers.geometry import full_resolution_data, pixel_to_world
from ..layers.labels_record import get_record_entries
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import MAX_MEASURED_PIXELS, measured_plane_axes

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export import Result

# File name for a layer without a usable name.
DEFAULT_FILE_STEM = "nuclei"


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
        else:
            self.message = _changed_message(path)


def _changed_message(path: Path) -> str:
    return f"The labels were changed while {path.name} was saved: save it again."


def build_export_result(viewer: ViewerModel, layer: Labels) -> Result:
    """Collect labels, their table and their geometry, with the axes of planes last."""
    from ...export import Result

    axes = measured_plane_axes(viewer, layer)
    order = [axis for axis in range(layer.ndim) if axis not in axes] + list(axes)
    data = full_resolution_data(layer)
    moved = order != sorted(order)
    labels = np.asarray(data).transpose(order) if moved else data
    _, linear = pixel_to_world(layer)
    letters = axis_letters(layer.axis_labels, axes)
    units = [None if str(layer.units[axis]) == "pixel" else str(layer.units[axis])
             for axis in order]  # fmt: skip
    table = LabelsState.of(layer).features.world_table().rename(columns={"index": "label"})
    return Result(
        labels=labels,
        table=table,
        axes="".join(letters[axis] for axis in order),
        spacing=tuple(float(np.linalg.norm(linear[:, axis])) for axis in order),
        units=tuple(units),
        record=dict(get_record_entries(layer)),
        name=sanitize_name(layer.name, DEFAULT_FILE_STEM),
    )
