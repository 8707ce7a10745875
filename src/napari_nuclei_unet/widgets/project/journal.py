"""The journal of unsaved edits of a viewer: written in the background, gone when all is saved."""

from __future__ import annotations

import time
import weakref
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from ...progress import Step, Stop
from ..common.controls import with_properties
from ..common.job import ThreadJob, start_in_background
from ..common.lifetime import call_when_destroyed
from ..common.notify import describe_error, report_user_errors, show_warning
from ..layers.geometry import full_resolution_data
from ..layers.labels_state import LabelsState
from ..layers.metadata_keys import ERRORS_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export.project_files import ProjectContent
    from ...export.unsaved import UnsavedEdits, UnsavedFolder

# Between an edit and its journal, in milliseconds, and how much longer than writing that is at
# least: large labels do not keep a processor busy.
JOURNAL_DELAY_MS, MIN_PAUSE_RATIO = 3000, 10


@dataclass(eq=False)
class WatchedLabels:
    """What is known of the edits of a labels layer.

    Attributes
    ----------
    is_edited : bool
        Whether labels were edited by hand, and not saved since.
    saved_notes : int
        Checksum of the states and texts in the table that were saved.
    """

    is_edited: bool = False
    saved_notes: int = 0


class EditJournal(QObject):
    """Keeps unsaved edits and states of all labels of a viewer on the disk.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Is not kept alive.
    max_bytes : int
        Labels of more bytes are not kept.

    Signals
    -------
    written
        What was edited is on the disk.
    """

    written = Signal()

    def __init__(self, viewer: ViewerModel, max_bytes: int) -> None:
        super().__init__()
        self._viewer, self._max_bytes = weakref.ref(viewer), max_bytes
        self._watched: weakref.WeakKeyDictionary[Labels, WatchedLabels]
        self._watched = weakref.WeakKeyDictionary()
        self._disk = _JournalFiles()
        self._has_warned = self._is_written = False
        self._replaced: list[UnsavedEdits] = []  # by what is being written
        self._began = 0.0
        self._timer = with_properties(QTimer(self), singleShot=True, interval=JOURNAL_DELAY_MS)
        self._timer.timeout.connect(self.write)
        self._job = ThreadJob(self)
        self._job.failed.connect(self._on_failed)
        self._job.returned.connect(self._on_written)
        self._job.finished.connect(self._on_finished)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._watch(layer)
        call_when_destroyed(self, self._disk.close)
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self._disk.close)

    @property
    def has_unsaved_edits(self) -> bool:
        """Whether anything was edited that is not saved."""
        return any(self._is_unsaved(layer) for layer in list(self._watched))

    def take_over(self, edits: UnsavedEdits, layers: list[Labels]) -> None:
        """Keep the labels of edits that were restored; then these are removed."""
        self._disk.superseded.append(edits)
        for layer in layers:
            self._watch(layer)
            self._watched[layer].is_edited = True
        self._timer.start(0)

    def note(self, layers: list[Labels]) -> dict[Labels, WatchedLabels]:
        """Return the present state of layers, for when they are saved."""
        return {layer: WatchedLabels(saved_notes=_checksum_notes(layer)) for layer in layers}

    def mark_saved(self, saved: Mapping[Labels, WatchedLabels]) -> None:
        """Forget the edits of layers: they are saved as they were noted."""
        self._watched.update(saved)
        if not self.has_unsaved_edits:
            self._timer.stop()
            self._disk.discard(self._disk.superseded)
            if not self._job.is_running:  # or _on_finished does it
                self._disk.clear()

    def mark_file_saved(self, layer: Labels, *, has_labels: bool, has_table: bool) -> None:
        """Forget what is in files by now.

        Parameters
        ----------
        layer : napari.layers.Labels
        has_labels, has_table : bool
            What the files have.
        """
        if (saved := self._watched.get(layer)) is None:
            return
        if has_labels:
            saved = replace(saved, is_edited=False)
        if has_table:
            saved = replace(saved, saved_notes=_checksum_notes(layer))
        self.mark_saved({layer: saved})

    def write(self) -> None:
        """Write what is not saved, in the background."""
        viewer = self._viewer()
        if viewer is None:
            return
        if self._job.is_running:
            self._timer.start()
            return
        layers = [layer for layer in list(self._watched) if self._is_unsaved(layer)]
        layers = [layer for layer in layers if layer in viewer.layers and self._is_kept(layer)]
        if not layers:
            self._disk.clear()
            return
        if not all(LabelsState.of(layer).features.queue.is_empty for layer in layers):
            self._timer.start()  # or they would be measured now, while the user waits
            return
        self._began = time.monotonic()
        with report_user_errors(self._warn):
            # formats of files are imported when they are needed: the dock opens faster
            from .describe import describe_labels

            folder = self._disk.folder()
            content = describe_labels(viewer, folder.path, layers).content
            self._replaced = list(self._disk.superseded)
            self._job.start("", _write_steps, folder, content)

    def _is_kept(self, layer: Labels) -> bool:
        """Return whether labels are small enough to be kept; or say that they are not."""
        data = full_resolution_data(layer)
        if isinstance(data, np.ndarray) and data.nbytes <= self._max_bytes:
            return True
        if isinstance(data, np.ndarray):
            self._warn(f"'{layer.name}' is too large: save the project from time to time.")
        return False

    def _on_written(self, _: object) -> None:
        self._disk.discard(self._replaced)
        self._is_written = True

    def _on_failed(self, error: Exception) -> None:
        self._warn(describe_error(error) or str(error))

    def _warn(self, reason: str) -> None:
        """Report once why edits are not kept."""
        if not self._has_warned:
            self._has_warned = True
            show_warning(f"Edits of labels are not kept in case of a crash. {reason}")

    def _on_finished(self) -> None:
        if not self.has_unsaved_edits:  # saved meanwhile
            self._disk.clear()
        if self._is_written:
            self._is_written = False
            self.written.emit()
        pause = 1000 * MIN_PAUSE_RATIO * (time.monotonic() - self._began)
        self._timer.setInterval(max(JOURNAL_DELAY_MS, int(pause)))

    # events of layers

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _on_removed(self, event: Any) -> None:
        if self._watched.pop(event.value, None) is not None:
            self._schedule()

    def _watch(self, layer: Any) -> None:
        if not isinstance(layer, Labels) or ERRORS_KEY in layer.metadata or layer in self._watched:
            return
        LabelsState.of(layer)  # which takes over the table of a file
        layer.events.paint.connect(self._on_paint)
        layer.events.features.connect(self._on_features)
        self._watched[layer] = WatchedLabels(saved_notes=_checksum_notes(layer))

    def _on_paint(self, event: Any) -> None:
        if (watched := self._watched.get(event.source)) is not None:
            watched.is_edited = True
            self._schedule()

    def _on_features(self, event: Any) -> None:
        if event.source in self._watched:
            self._schedule()

    def _schedule(self) -> None:
        load_formats()
        if not self._timer.isActive():
            self._timer.start()

    def _is_unsaved(self, layer: Labels) -> bool:
        watched = self._watched[layer]
        return watched.is_edited or _checksum_notes(layer) not in (0, watched.saved_notes)


@cache
def load_formats() -> None:
    """Load what writing a journal needs, in a thread: it takes longer than a user shall wait."""
    start_in_background(_load_formats)


def _load_formats() -> None:
    from ...export import unsaved  # noqa: F401
    from ...provenance.project import Project
    from . import describe  # noqa: F401

    Project(plugin_version="", time="").to_json()  # makes its converter


class _JournalFiles:
    """The files of a journal; they outlive its object of Qt, whose end removes them."""

    def __init__(self) -> None:
        self._folder: UnsavedFolder | None = None
        self.superseded: list[UnsavedEdits] = []  # by what is written next

    def folder(self) -> UnsavedFolder:
        """Return the folder; a new one, if there is none."""
        from ...export.unsaved import UnsavedFolder  # imports pandas
        from ...io.paths import unsaved_folder

        if self._folder is None:
            self._folder = UnsavedFolder(unsaved_folder())
        return self._folder

    def clear(self) -> None:
        """Remove what is written: all is saved."""
        if self._folder is not None:
            self._folder.clear()

    def discard(self, superseded: Iterable[UnsavedEdits]) -> None:
        """Remove what crashes have left behind and is written anew, or saved."""
        for edits in list(superseded):
            if edits in self.superseded:  # it may be saved before it is written
                self.superseded.remove(edits)
                edits.discard()

    def close(self, *_: object) -> None:
        """Remove everything: the window is closed."""
        if self._folder is not None:
            self._folder.close()
        self.discard(self.superseded)


def _checksum_notes(layer: Labels) -> int:
    """Compute a checksum of the texts of a table: states, classes; 0 where there are none."""
    features = layer.features
    notes = features.select_dtypes(exclude="number")
    notes = notes[[name for name in notes if notes[name].dtype != bool]].fillna("").astype(str)
    has_notes = (notes != "").any(axis=1)
    if not has_notes.any():
        return 0
    labels = features["index"] if "index" in features else features.index.to_series()
    rows = zip(
        labels[has_notes], *(notes.loc[has_notes, name] for name in sorted(notes)), strict=True
    )
    return hash(tuple(rows)) or 1


def _write_steps(folder: UnsavedFolder, content: ProjectContent) -> Generator[Step, Stop, None]:
    """Write a journal in the thread, of copies, as the user goes on editing."""
    yield Step(0, 1)
    copies = {
        name: replace(result, labels=np.array(result.labels))
        for name, result in content.labels.items()
    }
    folder.write(replace(content, labels=copies))
