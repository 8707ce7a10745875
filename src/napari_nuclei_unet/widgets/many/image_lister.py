"""Images that are added to the list: their files are listed in a thread, as shares may be slow."""

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

if TYPE_CHECKING:
    from ...batch.inputs import InputImage

LISTING_TEXT = "Listing the images …"


class ListTask(Task):
    """Lists the images of files and folders.

    Parameters
    ----------
    paths : tuple of Path

    Attributes
    ----------
    items : list of InputImage or None
        None: they are not known.
    """

    has_parts = False
    begins = LISTING_TEXT

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self.items: list[InputImage] | None = None

    def steps(self) -> Generator[Step, Stop, list[InputImage]]:
        """List images by their names; runs in the thread."""
        yield Step(0, 1)
        return list_inputs(self.paths)

    def on_result(self, items: list[InputImage]) -> None:
        """Keep what the thread has returned."""
        self.items = items

    def show_error(self, error: Exception) -> None:
        """Raise what is a bug; the dock shows the sentence of a UserError whole."""
        if not isinstance(error, UserError):
            raise error


class ImageLister(QObject):
    """Lists images that are added, one addition after the other.

    Parameters
    ----------
    parent : QObject

    Attributes
    ----------
    paths : tuple of Path
        Files and folders that are listed.

    Signals
    -------
    listed : list of InputImage
        All images of the list.
    message : str
        What is being done, or why nothing was added.
    finished
        Nothing is being listed any more.
    """

    listed = Signal(object)
    message = Signal(str)
    finished = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.paths: tuple[Path, ...] = ()
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

    def clear(self) -> None:
        """Empty the list; what is being listed is not added."""
        self._added.clear()
        self._controller.cancel()
        self.paths = ()
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
            self._task = ListTask(paths)
            self.message.emit(self._task.begins)
            self._controller.start(self._task)

    def _on_finished(self) -> None:
        task, self._task = self._task, None
        if task is not None and task.error is not None:
            self.message.emit(describe_error(task.error))
        elif task is not None and task.items is not None:
            self.paths = task.paths
            self.listed.emit(task.items)
        self._go_on()
        if self.is_idle:
            then, self._then = self._then, None
            self.finished.emit()
            if then is not None:
                then()
