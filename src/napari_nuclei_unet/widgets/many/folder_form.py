"""Which images are segmented, and where their results go."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit

from ...io.open import IMAGE_SUFFIXES
from ...io.readers import microscopes
from ..common.controls import create_button, create_row, with_properties

RESULTS_NAME = "nuclei"
_PATTERNS = " ".join(f"*{suffix}" for suffix in (*IMAGE_SUFFIXES, *microscopes.SUFFIXES))
IMAGE_FILTER = f"Images ({_PATTERNS});;All files (*)"


class SourceButtons(QObject):
    """Buttons that choose images; the same as dropping them on the list.

    Signals
    -------
    paths_chosen : list of Path
    clear_clicked
    """

    paths_chosen = Signal(object)
    clear_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.files = create_button(
            "add_files", "Add images …", "Choose one or more image files.", self._choose_files
        )
        self.folder = create_button(
            "add_folder", "Add folder …",
            "Choose a folder: all images directly in it are added, without those in subfolders.",
            self._choose_folder,
        )  # fmt: skip
        self.clear = create_button(
            "clear_images", "Clear", "Empty the list. No file is deleted.",
            lambda *_: self.clear_clicked.emit(),
        )  # fmt: skip
        self.row = create_row(self.files, self.folder, self.clear)

    def _choose_files(self, *_: object) -> None:
        names, _kind = QFileDialog.getOpenFileNames(self.row, "Add images", "", IMAGE_FILTER)
        if names:
            self.paths_chosen.emit([Path(name) for name in names])

    def _choose_folder(self, *_: object) -> None:
        if name := QFileDialog.getExistingDirectory(self.row, "Add a folder of images"):
            self.paths_chosen.emit([Path(name)])


class OutFolder(QObject):
    """The folder of the results: ``nuclei`` beside the first image, or one that was chosen.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.edit = with_properties(QLineEdit(), objectName="out_folder")
        self.edit.setPlaceholderText("a folder 'nuclei' beside the images")
        self.edit.editingFinished.connect(self._on_edited)
        self.browse = create_button(
            "choose_out_folder", "…", "Choose the folder for the results.", self._choose
        )
        self.browse.setMaximumWidth(32)
        self.row = create_row(self.edit, self.browse)
        self._is_chosen = False
        self._folder: Path | None = None

    def value(self) -> Path | None:
        """Return the folder; None: there is no image yet, and none was chosen."""
        return self._folder

    def set_value(self, folder: Path) -> None:
        """Choose a folder; it need not exist."""
        self._is_chosen = True
        self._show(folder)

    def suggest(self, paths: tuple[Path, ...]) -> Path | None:
        """Return a folder beside images, or that which was chosen; without images there is none."""
        if not paths or self._is_chosen:
            return self._folder if paths else None
        first = paths[0].absolute()
        return (first if first.is_dir() else first.parent) / RESULTS_NAME

    def follow(self, paths: tuple[Path, ...]) -> None:
        """Show the suggested folder."""
        folder = self.suggest(paths)
        self._is_chosen = self._is_chosen and bool(paths)
        self._show(folder)

    def _show(self, folder: Path | None) -> None:
        is_other, self._folder = folder != self._folder, folder
        text = "" if folder is None else str(folder)
        with QSignalBlocker(self.edit):
            self.edit.setText(text)
        self.edit.setToolTip(text or "Where labels, tables and the summary are written.")
        if is_other:
            self.changed.emit()

    def _on_edited(self) -> None:
        text = self.edit.text().strip()
        if not text:
            self._show(self._folder)
        elif Path(text) != self._folder:
            self.set_value(Path(text).expanduser().absolute())

    def _choose(self, *_: object) -> None:
        start = "" if self._folder is None else str(self._folder.parent)
        if name := QFileDialog.getExistingDirectory(self.row, "Folder for the results", start):
            self.set_value(Path(name))
