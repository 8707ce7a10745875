"""Measuring and saving labels, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.places import plain_name
from napari_nuclei_unet.widgets._behind import (
    Behind,
    Found,
    behind_image,
    measured,
    spacing_of,
    whole,
)
from napari_nuclei_unet.widgets._content import content_of
from napari_nuclei_unet.widgets._ids import Index
from napari_nuclei_unet.widgets._job import Job
from napari_nuclei_unet.widgets._layers import METADATA
from napari_nuclei_unet.widgets._live import predicted
from napari_nuclei_unet.widgets._runner import tell
from napari_nuclei_unet.widgets._table import axis_letter, table_of
from napari_nuclei_unet.widgets._view import hidden_axes, pixels_of, shape_of, world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.export import Result
    from napari_nuclei_unet.prediction import Step, Wish
    from napari_nuclei_unet.widgets._target import Target

# Pixels of labels that are measured in a window; more take minutes, and their table memory.
LARGEST = 300_000_000
# What a file is called that a layer has no name for.
USUAL = "nuclei"
NO_LABELS = "Choose a labels layer first."
TOO_LARGE = "These labels are too large to be measured here: their table is beside their store."
CHANGED = "The labels were changed while they were measured: measure them again."


@dataclass(frozen=True, eq=False)
class _Measured:
    """A plane that was measured, and the checksum of its labels."""

    index: Index
    behind: Behind
    found: Found
    content: int


def measure_steps(
    labels: Any, planes: list[tuple[Index, Behind]]
) -> Generator[Step, Wish, list[_Measured]]:
    """Run in the thread: measure planes of labels."""
    from napari_nuclei_unet.prediction import Step

    made = []
    for done, (index, behind) in enumerate(planes):
        yield Step(done, len(planes))
        plane = np.asarray(labels[index])
        found = measured(behind, plane, whole(behind.shape))
        made.append(_Measured(index, behind, found, content_of(plane)))
    return made


def save_steps(path: str, result: Result) -> Generator[Step, Wish, Path]:
    """Run in the thread: write a file."""
    from napari_nuclei_unet.export import save
    from napari_nuclei_unet.prediction import Step

    yield Step(0, 1)
    return save(path, result)


class Files(QObject):
    """Measures the labels of a target, and saves them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : Target
    parent : QWidget
        Of dialogs.

    Signals
    -------
    said : str
        A sentence for the user.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel, target: Target, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._target, self._parent = viewer, target, parent
        self._layer: Labels | None = None
        self._after: Callable[[], None] | None = None
        self.job, self.saving = Job(), Job()
        self.job.returned.connect(self._on_measured)
        self.job.finished.connect(self._on_finished)
        self.saving.returned.connect(self._on_saved)
        for job in (self.job, self.saving):
            job.failed.connect(self._on_failed)
            self.destroyed.connect(job.cancel)

    # measuring

    def measure(self, *_: object, after: Callable[[], None] | None = None) -> None:
        """Measure all planes of the labels.

        Parameters
        ----------
        after : callable, optional
            Is called when they are measured.
        """
        if self.job.running:
            return
        layer = self._target.labels
        try:
            if layer is None:
                raise UserError(NO_LABELS)
            planes = self._planes(layer)
        except UserError as error:
            self.said.emit(str(error))
            return
        self._layer, self._after = layer, after
        self.said.emit("Measuring …")
        self.job.start(f"Measuring {layer.name}", measure_steps, pixels_of(layer), planes)

    def _planes(self, layer: Labels) -> list[tuple[Index, Behind]]:
        shape, image = pixels_of(layer).shape, self._target.image
        if np.prod(shape, dtype=float) > LARGEST:
            raise UserError(TOO_LARGE)
        axes = plane_axes_of(self._viewer, layer)
        lengths = [1 if axis in axes else length for axis, length in enumerate(shape)]
        made = []
        for place in np.ndindex(*lengths):
            index: Index = tuple(slice(None) if n in axes else at for n, at in enumerate(place))
            kept = None if image is None else predicted(image, index)
            maps = None if kept is None else kept.maps
            made.append((index, behind_image(layer, index, image, maps)))
        return made

    def _on_measured(self, planes: list[_Measured]) -> None:
        layer, after = self._layer, self._after
        if layer is None or layer not in self._viewer.layers:
            return
        data = pixels_of(layer)
        if any(content_of(np.asarray(data[one.index])) != one.content for one in planes):
            self.said.emit(CHANGED)
            return
        table = table_of(layer)
        for one in planes:
            table.take(one.index, one.behind, one.found)
        table.publish()
        count = sum(one.found[0]["label"].size for one in planes)
        self.said.emit(f"{count:,} nuclei measured")
        if after is not None:
            after()

    def _on_finished(self) -> None:
        self._layer = self._after = None

    def _on_failed(self, error: Exception) -> None:
        self.said.emit("")
        tell(error)

    # saving

    def ask(self, *_: object) -> None:
        """Ask for a file, and save; a file that exists is asked about by the dialog."""
        from napari_nuclei_unet.export import FORMATS

        layer = self._target.labels
        if layer is None:
            self.said.emit(NO_LABELS)
            return
        kinds = [f"{title} (*{ending})" for ending, title in FORMATS.items()]
        path, kind = QFileDialog.getSaveFileName(
            self._parent, "Save nuclei", f"{plain_name(layer.name, USUAL)}.csv", ";;".join(kinds)
        )
        if path:
            ending = next(iter(e for e, t in FORMATS.items() if kind.startswith(t)), "")
            named = any(path.lower().endswith(one) for one in FORMATS)
            self.save(path if named else path + ending)

    def save(self, path: str | Path) -> None:
        """Save the labels, or their table; it is measured first where it is not up to date.

        Parameters
        ----------
        path : str or Path
            Its extension says what is written: ``export.FORMATS``.
        """
        layer = self._target.labels
        if layer is None:
            self.said.emit(NO_LABELS)
        elif self._is_measured(layer):
            self._save(layer, str(path))
        else:
            self.measure(after=lambda: self._save(layer, str(path)))

    def _is_measured(self, layer: Labels) -> bool:
        """Whether all planes were measured, in the units that the layer has now."""
        planes = table_of(layer).planes.values()
        shape = pixels_of(layer).shape
        if not planes:
            return False
        axes = plane_axes_of(self._viewer, layer)
        count = int(np.prod([n for axis, n in enumerate(shape) if axis not in axes]))
        spacing = spacing_of(layer, axes)
        return len(planes) == count and all(one.behind.spacing == spacing for one in planes)

    def _save(self, layer: Labels, path: str) -> None:
        if self.saving.running:
            return
        self.said.emit("Saving …")
        self.saving.start(f"Saving {layer.name}", save_steps, path, result_of(self._viewer, layer))

    def _on_saved(self, path: Path) -> None:
        self.said.emit(f"Saved {path.name}")


def plane_axes_of(viewer: ViewerModel, layer: Labels) -> tuple[int, int]:
    """Give the axes of the planes that were measured, or else are on view."""
    for plane in table_of(layer).planes.values():
        rows, columns = (axis for axis, at in enumerate(plane.index) if isinstance(at, slice))
        return rows, columns
    hidden = hidden_axes(viewer, layer)
    rows, columns = (axis for axis in range(layer.ndim) if axis not in hidden)
    return rows, columns


def result_of(viewer: ViewerModel, layer: Labels) -> Result:
    """Give labels, their table and where they are, with the axes of planes last."""
    from napari_nuclei_unet.export import Result

    axes = plane_axes_of(viewer, layer)
    order = [axis for axis in range(layer.ndim) if axis not in axes] + list(axes)
    data, shape = pixels_of(layer), shape_of(layer)
    moved = order != sorted(order)
    labels = np.asarray(data).transpose(order) if moved else data
    _, linear = world_of(layer)
    letters = {axes[0]: "Y", axes[1]: "X"}
    names = [letters.get(axis) or axis_letter(layer, axis).upper()[:1] for axis in order]
    units = [None if str(layer.units[axis]) == "pixel" else str(layer.units[axis])
             for axis in order]  # fmt: skip
    columns = table_of(layer).columns()
    table = {"label" if name == "index" else name: column for name, column in columns.items()}
    assert len(names) == len(shape)
    return Result(
        labels=labels,
        table=table,
        axes="".join(names),
        spacing=tuple(float(np.linalg.norm(linear[:, axis])) for axis in order),
        units=tuple(units),
        record=dict(layer.metadata.get(METADATA, {})),
        name=plain_name(layer.name, USUAL),
    )
