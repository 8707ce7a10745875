"""Measuring and saving of the labels that are reviewed: what a click starts, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from ...errors import UserError
from ...io.paths import sanitize_name
from ..common.controller import Controller, Task
from ..common.notify import describe_error, report_user_errors
from ..layers.export_result import DEFAULT_FILE_STEM
from ..layers.file_scale import find_local_file
from ..layers.measured_planes import is_too_large
from ..layers.metadata_keys import LABELS_LAYER_ENDING
from ..layers.tracks_layer import find_tracks_layer
from .cells_task import CellsTask
from .into_image import SaveIntoImageTask, find_image_group
from .measure_form import MeasureChoice, MeasureForm
from .measure_task import MeasureTask
from .save_task import SaveTask
from .target_form import LABELS_NEEDED, ReviewTarget, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A longer end of a name after a dot is no suffix, as in "3.control_cells".
MAX_SUFFIX_LENGTH = 7
# A file type of the dialog beside those of ``export.FORMATS``.
DECIMAL_COMMA_TITLE = "Table for spreadsheets with decimal comma (CSV)"
TRACKS_TITLE = "Tracks (GEFF)"
SAVING_ANOTHER_FILE = "Another file is being saved: save again when that is done."


@dataclass(frozen=True, eq=False)
class SaveRequest:
    """Labels that are saved as soon as they are measured.

    Attributes
    ----------
    target : ReviewTarget
        The labels, and their image.
    choice : MeasureChoice
    create_task : callable
        Returns what saves them.
    """

    target: ReviewTarget
    choice: MeasureChoice
    create_task: Callable[[], SaveTask]


class LabelsExporter(QObject):
    """Measures the labels of a target, and saves them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
    measure_form : MeasureForm
    parent : QWidget
        Parent of dialogs.

    Attributes
    ----------
    measuring, saving : Controller
        Labels may be measured while others are saved.

    Signals
    -------
    message : str
        A sentence for the user.
    finished
        A measuring or saving is over, and what follows it has begun.
    """

    message = Signal(str)
    finished = Signal()

    def __init__(
        self, viewer: ViewerModel, target: TargetForm, measure_form: MeasureForm, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._viewer, self._target, self._parent = viewer, target, parent
        self._measure_form = measure_form
        self._measure_task: MeasureTask | None = None
        self._request: SaveRequest | None = None  # waits until labels are measured
        self.measuring, self.saving = Controller(self), Controller(self)
        for controller in (self.measuring, self.saving):
            controller.message.connect(self.message)
            controller.failed.connect(self._on_failed)
        self.measuring.finished.connect(self._on_measured)
        self.saving.finished.connect(self.finished)

    # measuring

    def measure(self, *_: object) -> None:
        """Measure all planes of the labels; does nothing while some are measured."""
        self._measure(self._target.value(), self._measure_form.value(), None)

    def _measure(
        self, target: ReviewTarget, choice: MeasureChoice, request: SaveRequest | None
    ) -> None:
        """Measure, and then save what is requested; what is being measured is awaited."""
        if not self.measuring.is_idle:
            self._request = request or self._request
            return
        with report_user_errors(self.message.emit):
            if target.labels is None:
                raise UserError(LABELS_NEEDED)
            self._measure_task = MeasureTask(self._viewer, target.labels, target.image, choice)
            self._request = request
            self._start(self.measuring, self._measure_task)

    def _on_measured(self) -> None:
        task, self._measure_task = self._measure_task, None
        request, self._request = self._request, None
        if request is not None:
            # cells were added, or others measured, when it was requested
            if task is None or task.layer != request.target.labels:
                self._measure(request.target, request.choice, request)
            elif task.is_measured:
                self._save(request.create_task)
        self.finished.emit()

    def add_cells(self, *_: object) -> None:
        """Add a layer of the nuclei with their rings; does nothing while labels are measured."""
        labels = self._target.value().labels
        if not self.measuring.is_idle:
            return
        with report_user_errors(self.message.emit):
            if labels is None:
                raise UserError(LABELS_NEEDED)
            distances = self._measure_form.value().distances(self._viewer, labels)
            self._start(self.measuring, CellsTask(self._viewer, labels, distances))

    def cancel(self) -> None:
        """Stop measuring; the table stays as it is, and a file that waits is not saved."""
        self._request = None
        self.measuring.cancel()

    def _start(self, controller: Controller, task: Task) -> None:
        self.message.emit(task.begins)
        controller.start(task)

    def _on_failed(self, error: Exception) -> None:
        self.message.emit(describe_error(error))

    # saving

    def ask(self, *_: object) -> None:
        """Ask for a file, and save; the dialog asks before it replaces a file."""
        # formats of files are imported when they are needed: the dock opens faster
        from ...export import FORMATS

        reviewed = self._target.value()
        layer, file = reviewed.labels, find_local_file(reviewed.image)
        if layer is None:
            self.message.emit(LABELS_NEEDED)
            return
        name = suggest_file_name(layer.name)
        titles = [*FORMATS.items(), (".csv", DECIMAL_COMMA_TITLE)]
        if find_tracks_layer(self._viewer, layer) is not None:
            titles.append((".geff", TRACKS_TITLE))
        kinds = [f"{title} (*{suffix})" for suffix, title in titles]
        path, kind = QFileDialog.getSaveFileName(
            self._parent,
            "Save nuclei",
            name if file is None else str(file.with_name(name)),
            ";;".join(kinds),
        )
        if not path:
            return
        suffix = next((suffix for suffix, title in titles if kind.startswith(title)), "")
        target = add_suffix(path, suffix)
        is_comma = kind.startswith(DECIMAL_COMMA_TITLE)
        if all(one == path or self._may_write(one) for one in _list_written(target)):
            self.save(target, decimal_comma=is_comma)

    def _may_write(self, path: str) -> bool:
        """Ask whether to replace a file that the dialog did not check, if it exists."""
        if not Path(path).exists():
            return True
        button = QMessageBox.question(
            self._parent, "Save nuclei", f"{Path(path).name} exists. Replace it?"
        )
        return button == QMessageBox.StandardButton.Yes

    def save(self, path: str | Path, decimal_comma: bool = False) -> None:
        """Save the labels, or their table, once they are measured as they are now.

        Parameters
        ----------
        path : str or Path
            Its extension selects the format: ``export.FORMATS``.
        decimal_comma : bool, optional
            As in ``export.save``.
        """
        target, choice = self._target.value(), self._measure_form.value()
        if target.labels is None:
            self.message.emit(LABELS_NEEDED)
            return
        self._save_measured(
            target, partial(SaveTask, self._viewer, target.labels, str(path), choice, decimal_comma)
        )

    def save_into_image(self, name: str, overwrite: bool = False) -> None:
        """Save the labels into the OME-Zarr of their image, once they are measured.

        Parameters
        ----------
        name : str
            Of the labels in the image.
        overwrite : bool, optional
            Replace labels of this name.
        """
        from ...io.image_labels import check_name

        target = self._target.value()
        with report_user_errors(self.message.emit):
            image = find_image_group(target)
            check_name(image, name, overwrite)
            assert target.labels is not None  # or there is no image
            task = partial(SaveIntoImageTask, self._viewer, target.labels, image, name, overwrite)
            self._save_measured(target, task)

    def _save_measured(self, target: ReviewTarget, create_task: Callable[[], SaveTask]) -> None:
        """Save, once the labels are measured as they are now."""
        if target.labels is not None and is_too_large(target.labels):
            self._save(create_task)  # their table was made with them
        else:
            choice = self._measure_form.value()
            self._measure(target, choice, SaveRequest(target, choice, create_task))

    def _save(self, create_task: Callable[[], SaveTask]) -> None:
        if not self.saving.is_idle:
            self.message.emit(SAVING_ANOTHER_FILE)
            return
        with report_user_errors(self.message.emit):
            self._start(self.saving, create_task())


def suggest_file_name(layer_name: str) -> str:
    """Return a file name for labels, by which they come back with their table."""
    from ...io.labels import LABELS_SUFFIX

    stem = layer_name.removesuffix(LABELS_LAYER_ENDING).removesuffix(".ome")  # of cells.ome.tif
    return sanitize_name(stem, DEFAULT_FILE_STEM) + LABELS_SUFFIX


def _list_written(path: str) -> list[str]:
    """Return the paths of all files that saving to one writes."""
    from ...export.read import result_table_path
    from ...export.save import has_table_beside

    try:
        return [path, *([str(result_table_path(Path(path)))] if has_table_beside(path) else [])]
    except UserError:  # a bad name: saving says why
        return [path]


def add_suffix(path: str, suffix: str) -> str:
    """Append the chosen suffix to a path that has none.

    Of one that has another, such as .xlsx, saving says which there are.
    """
    given = Path(path).suffix[1:]
    return path if given.isalpha() and len(given) <= MAX_SUFFIX_LENGTH else path + suffix
