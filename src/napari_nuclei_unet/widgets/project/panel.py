"""Buttons that save and open projects, and the offer to restore unsaved edits."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMessageBox, QVBoxLayout

from ...io.lazy_images import image_stem
from ...provenance.project_paths import PROJECT_SUFFIX, with_project_suffix
from ..common.controls import Panel, create_button, create_label, create_row, fill_layout
from ..common.notify import report_user_errors
from ..layers.image_file import get_layer_path
from .projects import Projects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from ...export.unsaved import UnsavedEdits

FILE_FILTER = f"Nuclei project (*{PROJECT_SUFFIX})"


class ProjectPanel(Panel):
    """Saves and opens projects.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._projects = Projects.of(viewer)
        self._projects.message.connect(self.message)
        save = create_button(
            "save_project",
            "Save project …",
            "Save all layers with tables, review and settings, to go on another day.",
            lambda *_: ask_to_save(self._projects, self),
        )
        open_ = create_button(
            "open_project",
            "Open project …",
            "Open images, labels, tables, review and settings as they were saved.",
            lambda *_: ask_to_open(self._projects, self),
        )
        fill_layout(QHBoxLayout(self), open_, save)


class RestoreBar(Panel):
    """Offers edits that a crash has left behind; hidden where there are none.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._projects = Projects.of(viewer)
        self._text = create_label("unsaved_edits")
        restore = create_button(
            "restore_edits", "Restore", "Open these labels, with their states.", self._restore
        )
        discard = create_button(
            "discard_edits", "Discard", "Remove these edits for good.", self._discard
        )
        fill_layout(QVBoxLayout(self), self._text, create_row(restore, discard))
        self._projects.unsaved_changed.connect(self._show)
        self._show()

    def _restore(self, *_: object) -> None:
        with report_user_errors():
            self._projects.restore()

    def _discard(self, *_: object) -> None:
        self._projects.discard()

    def _show(self) -> None:
        unsaved = self._projects.unsaved
        self.setVisible(bool(unsaved))
        self._text.setText(describe_unsaved(unsaved[0]) if unsaved else "")


def describe_unsaved(edits: UnsavedEdits) -> str:
    """Return a sentence such as "Edits of 12:31 in 'cells nuclei' were not saved."."""
    time = edits.time.astimezone()
    day = "" if time.date() == datetime.now().date() else f"{time:%d %b} "
    names = ", ".join(f"'{labels.name}'" for labels in edits.project.labels)
    return f"Edits of {day}{time:%H:%M} in {names} were not saved."


def ask_to_save(projects: Projects, parent: QWidget | None) -> None:
    """Ask for a file, and save the project; the dialog asks before it replaces a file."""
    path, _ = QFileDialog.getSaveFileName(
        parent, "Save nuclei project", str(projects.path or _default_path(projects)), FILE_FILTER
    )
    if not path:
        return
    with report_user_errors():
        target = with_project_suffix(path)
        if str(target) == path or not target.exists() or _confirm_replace(target, parent):
            projects.save(target)


def _confirm_replace(path: Path, parent: QWidget | None) -> bool:
    """Ask whether to replace a file that the dialog did not check."""
    button = QMessageBox.question(parent, "Save nuclei project", f"{path.name} exists. Replace it?")
    return button == QMessageBox.StandardButton.Yes


def ask_to_open(projects: Projects, parent: QWidget | None) -> None:
    """Ask for a project file, and open it."""
    folder = "" if projects.path is None else str(projects.path.parent)
    path, _ = QFileDialog.getOpenFileName(parent, "Open nuclei project", folder, FILE_FILTER)
    if path:
        with report_user_errors():
            projects.open(path)


def _default_path(projects: Projects) -> Path:
    """Return a name beside the first image that is in a file."""
    paths = [get_layer_path(layer) for layer in projects.viewer.layers]
    path = next((Path(path) for path in paths if path and "://" not in path), Path("nuclei"))
    return path.with_name(image_stem(path) + PROJECT_SUFFIX)
