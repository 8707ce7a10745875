"""Measuring and saving of the labels that are reviewed: what a click starts, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from ...errors import UserError
from ...io.paths import sanitize_name
from ..common.controller import Controller, Task
from ..common.notify import describe_error, report_user_errors
from ..layers.export_result import DEFAULT_FILE_STEM
from .measure_task import MeasureTask, is_too_large
from .save_task import SaveTask
from .target_form import LABELS_NEEDED, ReviewTarget, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A longer end of a name after a dot is no suffix, as in "3.control_cells".
MAX_SUFFIX_LENGTH = 7
SAVING_ANOTHER_FILE = "Another file is being saved: save again when that is done."


@dataclass(frozen=True, eq=False)
class SaveRequest:
    """Labels that are saved as soon as they are measured.

    Attributes
    ----------
    target : ReviewTarget
        The labels, and the image from which they are measured.
    path : str
    """

    target: ReviewTarget
    path: str


class LabelsExporter(QObject):
    """Measures the labels of a target, and saves them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
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

    def __init__(self, viewer: ViewerModel, target: TargetForm, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._target, self._parent = viewer, target, parent
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
        self._measure(self._target.value(), None)

    def _measure(self, target: ReviewTarget, request: SaveRequest | None) -> None:
        """Measure, and then save what is requested; what is being measured is awaited."""
        if not self.measuring.is_idle:
            self._request = request or self._request
            return
        with report_user_errors(self.message.emit):
            if target.labels is None:
                raise UserError(LABELS_NEEDED)
            self._measure_task = MeasureTask(self._viewer, target.labels, target.image)
            self._request = request
            self._start(self.measuring, self._measure_task)

    def _on_measured(self) -> None:
        task, self._measure_task = self._measure_task, None
        request, self._request = self._request, None
        if request is not None and task is not None:
            if task.layer != request.target.labels:  # others were measured when it was requested
                self._measure(request.target, request)
            elif task.is_measured:
                self._save(task.layer, request.path)
        self.finished.emit()

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

        layer = self._target.value().labels
        if layer is None:
            self.message.emit(LABELS_NEEDED)
            return
        kinds = [f"{title} (*{suffix})" for suffix, title in FORMATS.items()]
        path, kind = QFileDialog.getSaveFileName(
            self._parent,
            "Save nuclei",
            f"{sanitize_name(layer.name, DEFAULT_FILE_STEM)}.csv",
            ";;".join(kinds),
        )
        if not path:
            return
        suffix = next((suffix for suffix, title in FORMATS.items() if kind.startswith(title)), "")
        target = add_suffix(path, suffix)
        if target == path or not Path(target).exists() or self._confirm_replace(target):
            self.save(target)

    def _confirm_replace(self, path: str) -> bool:
        """Ask whether to replace a file that the dialog did not check."""
        button = QMessageBox.question(
            self._parent, "Save nuclei", f"{Path(path).name} exists. Replace it?"
        )
        return button == QMessageBox.StandardButton.Yes

    def save(self, path: str | Path) -> None:
        """Save the labels, or their table, once they are measured as they are now.

        Parameters
        ----------
        path : str or Path
            Its extension selects the format: ``export.FORMATS``.
        """
        target = self._target.value()
        if target.labels is None:
            self.message.emit(LABELS_NEEDED)
        elif is_too_large(target.labels):
            self._save(target.labels, str(path))  # their table was made with them
        else:
            self._measure(target, SaveRequest(target, str(path)))

    def _save(self, layer: Labels, path: str) -> None:
        if not self.saving.is_idle:
            self.message.emit(SAVING_ANOTHER_FILE)
            return
        with report_user_errors(self.message.emit):
            self._start(self.saving, SaveTask(self._viewer, layer, path))


def add_suffix(path: str, suffix: str) -> str:
    """Append the chosen suffix to a path that has none.

    Of one that has another, such as .xlsx, saving says which there are.
    """
    given = Path(path).suffix[1:]
    return path if given.isalpha() and len(given) <= MAX_SUFFIX_LENGTH else path + suffix
