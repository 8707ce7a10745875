"""Images that are added to the list: they and their results are looked for in a thread.

Shares may be slow, and thousands of rows take a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from ...batch.inputs import list_inputs
from ...errors import UserError
from ...progress import Step, Stop
from ..common.controller import Controller, Task
from ..common.notify import describe_error
from .image_rows import list_known_rows

if TYPE_CHECKING:
    from .rows import ImageRow

LISTING_TEXT = "Listing the images …"


class ListTask(Task):
    """Lists the images of files and folders, and what earlier runs have left of them.

    Parameters
    ----------
    paths : tuple of Path
    folder : Path or None
        Of the results; None: there are none.

    Attributes
    ----------
    rows : list of ImageRow or None
        None: they are not known.
    """

    has_parts = False
    begins = LISTING_TEXT

    def __init__(self, paths: tuple[Path, ...], folder: Path | None) -> None:
        self.paths, self.folder = paths, folder
        self.rows: list[ImageRow] | None = None

    def steps(self) -> Generator[Step, Stop, list[ImageRow]]:
        """List images and results by their names; runs in the thread."""
        yield Step(0, 1)
        return list_known_rows(list_inputs(self.paths), self.folder)

    def on_result(self, rows: list[ImageRow]) -> None:
        """Keep what the thread has returned."""
        self.rows = rows

    def show_error(self, error: Exception) -> None:
        """Raise what is a bug; the dock shows the sentence of a UserError whole."""
        if not isinstance(error, UserError):
            raise error


class ImageLister(QObject):
    """Lists images that are added, one addition after the other.

    Parameters
    ----------
    parent : QObject
    suggest_folder : callable
        Returns the folder of the results of files and folders.

    Attributes
    ----------
    paths : tuple of Path
        Files and folders that are listed.
    folder : Path or None
        Of the results that were looked for.

    Signals
    -------
    listed : list of ImageRow
        All images of the list.
    message : str
        What is being done, or why nothing was added.
    finished
        Nothing is being listed any more.
    """

    listed = Signal(object)
    message = Signal(str)
    finished = Signal()

    def __init__(
        self, parent: QObject, suggest_folder: Callable[[tuple[Path, ...]], Path | None]
    ) -> None:
        super().__init__(parent)
        self._suggest_folder = suggest_folder
        self.paths: tuple[Path, ...] = ()
        self.folder: Path | None = None
        self._added: deque[tuple[Path, ...]] = deque()
        self._task: ListTask | None = None
        self._then: Callable[[], object] | None = None
        self._controller = Controller(self)
        self._controller.finished.connect(self._on_finished)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being listed."""
        return self._task is None and not self._added

    def add(self, paths: Iterable[Path]) -> None:
        """List files and folders, soon."""
        self._added.append(tuple(paths))
        self._go_on()

    def renew(self) -> None:
        """Look for the results of all images again, soon: their folder is another."""
        if self.paths or not self.is_idle:
            self.add(())

    def clear(self) -> None:
        """Empty the list; what is being listed is not added."""
        self._added.clear()
        self._controller.cancel()
        self.paths, self.folder = (), None
        self.listed.emit([])

    def when_idle(self, then: Callable[[], object]) -> None:
        """Call a function when all that was added is listed; at once, if it is."""
        if self.is_idle:
            then()
        else:
            self._then = then

    def _go_on(self) -> None:
        if self._task is None and self._added:
            paths = tuple(dict.fromkeys((*self.paths, *self._added.popleft())))
            self._task = ListTask(paths, self._suggest_folder(paths))
            self.message.emit(self._task.begins)
            self._controller.start(self._task)

    def _on_finished(self) -> None:
        task, self._task = self._task, None
        if task is not None and task.error is not None:
            self.message.emit(describe_error(task.error))
        elif task is not None and task.rows is not None:
            self.paths, self.folder = task.paths, task.folder
            self.listed.emit(task.rows)
        self._go_on()
        if self.is_idle:
            then, self._then = self._then, None
            self.finished.emit()
            if then is not None:
                then()
