"""The user's own models in the window: rename, delete, show, import and export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QInputDialog,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from ...models import library
from ...models.model import list_models, read_card
from ...progress import Step
from ..common.controls import (
    create_button,
    create_combo_box,
    create_row,
    fill_layout,
    with_properties,
)
from ..common.disabled_button import disable
from ..common.job import ThreadJob
from ..common.layer_combo import reload_choices
from ..common.notify import report_user_errors, show_info, show_user_error
from ..common.preferences import get_preference
from ..session.model_registry import (
    MODEL_REGISTRY,
    set_default_model,
    use_model_for_session,
    user_model_folder,
)
from ..session.model_titles import title_file, title_files
from .card_view import CardView
from .curves import TrainingCurves
from .score_table import ScoreTable

PACKAGE_FILTER = "bioimage.io package (*.zip *.yaml)"
NO_MODEL = "You have no model of your own yet: train one, or import one."
MODEL_FILTER = "Model (*.safetensors)"


class ModelLibraryPanel(QWidget):
    """A list of the user's models, with buttons for the chosen one.

    Signals
    -------
    finished
        An import or an export is over, in any way.
    """

    finished = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._job = ThreadJob(self)
        self._job.returned.connect(self._on_done)
        self._job.failed.connect(show_user_error)
        self._job.finished.connect(self.finished)
        self.model = create_combo_box("own_model", "Your own models.", self._models)
        specs = (
            ("rename_model", "Rename …", "Give the model another name.", self.rename),
            ("delete_model", "Delete …", "Delete the model for good.", self.delete),
            (
                "show_card",
                "Card",
                "Show what the model was made from, its scores and its settings.",
                self.show_card,
            ),
            (
                "show_curves",
                "Curves",
                "Show the curves of its training, and its scores.",
                self.show_curves,
            ),
            ("import_model", "Import …", "Add a model from a file.", self.import_model),
            ("export_model", "Export …", "Save the model as a file of its own.", self.export),
            (
                "export_package",
                "bioimage.io …",
                "Save the model as a package that ilastik, Fiji and other programs can run.",
                self.export_package,
            ),
        )
        buttons = [create_button(*spec) for spec in specs]
        self._model_buttons = [one for one in buttons if one.objectName() != "import_model"]
        rows = [create_row(*buttons[start : start + 3]) for start in range(0, len(buttons), 3)]
        fill_layout(QVBoxLayout(self), self.model.native, *rows)
        MODEL_REGISTRY.changed.connect(self._refresh)
        self._refresh()

    def choose(self, path: Path) -> None:
        """Choose a model of the list."""
        if str(path) in self.model.choices:
            self.model.value = str(path)

    def _models(self, _: Any) -> list[tuple[str, str]]:
        paths = list_models(user_model_folder())
        return list(zip(title_files(paths), map(str, paths), strict=True))

    def _refresh(self) -> None:
        reload_choices(self.model)
        for button in self._model_buttons:
            disable(button, NO_MODEL if self.model.value is None else "")

    @property
    def _path(self) -> Path:
        return Path(self.model.value)

    # actions of the buttons

    def rename(self, *_: object) -> None:
        """Ask for a name, and rename the chosen model."""
        name, accepted = QInputDialog.getText(self, "Rename", "Name:", text=self._path.stem)
        if accepted:
            self.rename_to(name)

    def rename_to(self, name: str) -> None:
        """Rename the chosen model."""
        old = self._path
        if (new := _try_action(lambda: library.rename_model(old, name))) is not None:
            was_default = get_preference("model") == str(old)
            was_session_model = MODEL_REGISTRY.session_model == str(old)
            MODEL_REGISTRY.changed.emit()
            self.choose(new)
            if was_default:
                set_default_model(new)
            if was_session_model:
                use_model_for_session(new)

    def delete(self, *_: object) -> None:
        """Ask, and delete the chosen model."""
        box = QMessageBox(self)
        box.setObjectName("delete_asked")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Delete")
        box.setText(f"Delete the model '{title_file(self._path)}'?")
        box.setInformativeText("This cannot be undone.")
        yes = box.addButton("Delete", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        path = self._path

        def answered(_: int) -> None:
            if box.clickedButton() is yes:
                _try_action(lambda: library.delete_model(path))
                MODEL_REGISTRY.changed.emit()

        box.finished.connect(answered)
        box.open()

    def show_card(self, *_: object) -> None:
        """Show the model card."""
        if (card := _try_action(lambda: read_card(self._path))) is not None:
            self._show(CardView(card))

    def show_curves(self, *_: object) -> None:
        """Show curves and scores of the training."""
        if (card := _try_action(lambda: read_card(self._path))) is None:
            return
        content, layout = QWidget(), QVBoxLayout()
        content.setLayout(layout)
        curves, scores = TrainingCurves(), ScoreTable()
        curves.show_history(card.history)
        layout.addWidget(curves)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        if "after" in card.scores:
            scores.show_scores(
                card.scores, "" if card.history else "The curves of its training are not known."
            )
            layout.addWidget(scores)
        self._show(content)

    def _show(self, content: QWidget) -> None:
        dialog = with_properties(QDialog(self), objectName="model_dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(title_file(self._path))
        layout = QVBoxLayout(dialog)
        layout.addWidget(content)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(dialog.reject)
        layout.addWidget(close)
        dialog.resize(520, 560)
        dialog.open()

    def import_model(self, *_: object) -> None:
        """Ask for a file, and add its model."""
        name, _kind = QFileDialog.getOpenFileName(
            self, "Import a model", "", "Models (*.safetensors *.zip *.yaml)"
        )
        if name:
            self.import_model_file(name)

    def import_model_file(self, name: str | Path) -> None:
        """Add the model of a file: one of this plugin, or a bioimage.io package with one."""
        if not self._job.is_running:
            self._job.start(
                f"Import of {Path(name).name}", _import_steps, Path(name), user_model_folder()
            )

    def export(self, *_: object) -> None:
        """Ask for a file, and export the chosen model to it."""
        name = self._ask_path(f"{self._path.stem}{library.MODEL_SUFFIX}", MODEL_FILTER)
        if name:
            path = self._path
            _try_action(lambda: library.copy_from_library(path, Path(name)))

    def export_package(self, *_: object) -> None:
        """Ask for a file, and write the chosen model as a bioimage.io package."""
        name = self._ask_path(f"{self._path.stem}.zip", PACKAGE_FILTER)
        if name:
            self.export_package_to(name)

    def export_package_to(self, name: str | Path) -> None:
        """Write the chosen model as a bioimage.io package, in a thread."""
        if self._job.is_running:
            return
        self._job.start(f"bioimage.io: {self._path.stem}", _export_steps, self._path, Path(name))

    def _on_done(self, path: Path) -> None:
        if path.parent != user_model_folder():
            show_info(f"{path} is written.")
            return
        MODEL_REGISTRY.changed.emit()
        self.choose(path)
        show_info(f"'{title_file(path)}' was added to your models.")

    def _ask_path(self, name: str, kind: str) -> str:
        return QFileDialog.getSaveFileName(self, "Export a model", name, kind)[0]


def _export_steps(model: Path, out: Path) -> Any:
    """Export a model as a bioimage.io package in one step; runs in the thread."""
    # imports torch, which would delay the opening of the dock
    from ...export.bioimageio import export_bioimage

    yield Step(0, 1)
    return export_bioimage(model, out)


def _import_steps(path: Path, to: Path) -> Any:
    """Import a model; runs in the thread, as reading and checking a model loads torch."""
    yield Step(0, 1)
    if path.suffix == library.MODEL_SUFFIX:
        return library.copy_into_library(path, to)
    from ...export.bioimageio import import_bioimage

    return import_bioimage(path, to)


def _try_action(action: Callable[[], Any]) -> Any:
    """Call a function and return its result; show an error of the user, and return None."""
    with report_user_errors():
        return action()
    return None
