"""The project of a viewer: saved, opened, and what a crash has left behind."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from ...errors import UserError
from ...io.paths import unsaved_folder
from ...progress import Step, Stop
from ..common.controller import Controller, Task
from ..common.key_bindings import unwrap_proxy
from ..common.lifetime import call_when_destroyed, delete_with
from ..common.notify import show_warning
from ..layers.image_file import get_layer_path
from ..layers.labels_state import LabelsState
from ..layers.linked_image import is_same_path
from ..session.session import Session
from .journal import EditJournal

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export.project_files import ProjectContent
    from ...export.unsaved import UnsavedEdits
    from ...provenance.project import Project
    from .open_project import ProjectOpener

NOTHING_TO_SAVE = "There is nothing to save: open an image first."
ALREADY_SAVING = "A project is being saved: wait until that is done."


class SaveProjectTask(Task):
    """Writes a project; labels are those of the click.

    Parameters
    ----------
    projects : Projects
    path : Path
    content : ProjectContent
    """

    begins = "Saving the project …"

    def __init__(self, projects: Projects, path: Path, content: ProjectContent) -> None:
        self.title = f"Saving {path.name}"
        self._projects, self._path, self._content = projects, path, content
        layers = projects.viewer.layers
        self._labels = [layers[name] for name in content.labels]
        self._noted = projects.journal.note(self._labels)
        self._revisions = [LabelsState.of(layer).revision for layer in self._labels]

    def steps(self) -> Generator[Step, Stop, Project]:
        """Write the files, of copies, as the user may paint meanwhile; runs in the thread."""
        # formats of files are imported when they are needed, here and below: the dock opens faster
        from ...export.project_files import write_project

        yield Step(0, 1)
        copies = {
            name: replace(result, labels=np.array(result.labels))
            for name, result in self._content.labels.items()
        }
        return write_project(self._path, replace(self._content, labels=copies))

    def on_result(self, _: Project) -> None:
        """Report what was saved, and what was changed meanwhile."""
        pairs = zip(self._labels, self._revisions, strict=True)
        unchanged = [one for one, revision in pairs if LabelsState.of(one).revision == revision]
        self._projects.journal.mark_saved({layer: self._noted[layer] for layer in unchanged})
        self._projects.path = self._path
        self.message = f"Saved {self._path.name}"
        if len(unchanged) < len(self._labels):
            self.message = f"The labels were changed while {self._path.name} was saved: save again."


class Projects(QObject):
    """Saves and opens projects of a viewer; one for each, as from :meth:`of`.

    Attributes
    ----------
    journal : EditJournal
    saving : Controller
    path : Path or None
        Of the project that was saved or opened last.
    unsaved : list of UnsavedEdits
        What crashes have left behind; the first one is offered.

    Signals
    -------
    message : str
        A sentence for the user.
    finished
        A project was saved, or not.
    unsaved_changed
        Others are offered.
    """

    message = Signal(str)
    finished = Signal()
    unsaved_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._max_bytes = Session.of(viewer).limits.unsaved_bytes
        self.journal = EditJournal(viewer, self._max_bytes)
        self.journal.setParent(self)
        self.saving = Controller(self)
        self.saving.message.connect(self.message)
        self.saving.finished.connect(self.finished)
        self.path: Path | None = None
        self.unsaved: list[UnsavedEdits] = []
        viewer.layers.events.inserted.connect(self._on_inserted)
        call_when_destroyed(self, partial(_release, self.unsaved))
        self._look_for_unsaved()

    @staticmethod
    def of(viewer: ViewerModel) -> Projects:
        """Return the projects of a viewer; new ones, if it has none."""
        viewer = unwrap_proxy(viewer)
        if viewer not in _projects:
            _projects[viewer] = Projects(viewer)
            delete_with(viewer, _projects[viewer])
        return _projects[viewer]

    @property
    def viewer(self) -> ViewerModel:
        """The viewer."""
        viewer = self._viewer()
        assert viewer is not None
        return viewer

    def save(self, path: str | Path) -> None:
        """Save all layers, the view and the settings, in the background.

        Raises
        ------
        UserError
            If there is nothing to save, or a file of this name is no project.
        """
        from ...export.project_files import check_project_path
        from .describe import describe_viewer

        if not self.saving.is_idle:
            raise UserError(ALREADY_SAVING)
        path = check_project_path(path)
        described = describe_viewer(self.viewer, path)
        project = described.content.project
        if not (project.images or project.labels):
            raise UserError(NOTHING_TO_SAVE)
        for notice in described.notices:
            show_warning(notice)
        task = SaveProjectTask(self, path, described.content)
        self.message.emit(task.begins)
        self.saving.start(task)

    def open(self, path: str | Path) -> None:
        """Open a project beside what is in the viewer; what cannot be opened is reported.

        Raises
        ------
        UserError
            If it is no project.
        """
        path = Path(path)
        opened = self._open(path)
        labels = [one for one in opened.layers.values() if isinstance(one, Labels)]
        self.journal.mark_saved(self.journal.note(labels))
        self.path = path
        self.message.emit(f"Opened {path.name}")

    def _open(self, path: Path) -> ProjectOpener:
        from .open_project import ProjectOpener

        opener = ProjectOpener(self.viewer, path)
        opener.open()
        for notice in opener.notices:
            show_warning(notice)
        return opener

    # what a crash has left behind

    def restore(self) -> None:
        """Open the edits that are offered."""
        if self.unsaved:
            edits = self.unsaved.pop(0)
            layers = self._open(edits.path).layers.values()
            labels = [layer for layer in layers if isinstance(layer, Labels)]
            if labels:
                self.journal.take_over(edits, labels)
            else:
                edits.release()
            self.unsaved_changed.emit()

    def discard(self) -> None:
        """Remove the edits that are offered."""
        if self.unsaved:
            self.unsaved.pop(0).discard()
            self.unsaved_changed.emit()

    def _look_for_unsaved(self) -> None:
        """Look for edits that crashes have left behind; those of open images come first."""
        folder = unsaved_folder()
        try:
            if not any(folder.iterdir()):
                return
        except OSError:  # it is not there, or may not be read
            return
        from ...export.unsaved import find_unsaved_edits

        self.unsaved += find_unsaved_edits(folder, self._max_bytes)
        self.unsaved.sort(key=lambda edits: not self._is_image_open(edits))
        self.unsaved_changed.emit()

    def _is_image_open(self, edits: UnsavedEdits) -> bool:
        files = [image.file for image in edits.project.images if image.file is not None]
        paths = [file.find(edits.path.parent) or "" for file in files]
        opened = [get_layer_path(one) for one in self.viewer.layers if isinstance(one, Image)]
        return any(is_same_path(first, second) for first in paths for second in opened)

    def _on_inserted(self, event: object) -> None:
        if isinstance(getattr(event, "value", None), Image):
            self._look_for_unsaved()


def _release(unsaved: list[UnsavedEdits]) -> None:
    while unsaved:
        unsaved.pop().release()


_projects: weakref.WeakKeyDictionary[ViewerModel, Projects] = weakref.WeakKeyDictionary()
