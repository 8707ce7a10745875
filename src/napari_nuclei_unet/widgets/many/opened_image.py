"""One image of the list in the viewer: opened, alone on the canvas, its corrections saved."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QCoreApplication, QObject, Signal

from ...progress import run
from ..common.controller import Controller, Task
from ..common.key_bindings import unwrap_proxy
from ..common.lifetime import call_when_destroyed
from ..common.notify import describe_error, report_user_errors
from ..layers.image_file import OpenedFile, get_layer_path
from ..layers.labels_display import draw_nuclei
from ..layers.labels_image import LayerData
from ..layers.labels_record import detach_labels, get_record_entries
from ..layers.linked_image import is_same_path
from ..layers.metadata_keys import IMAGE_FILE_KEY, RESULT_FILE_KEY, list_image_layers
from ..session.session import Session
from .canvas_layers import CanvasLayers, ShownLayers
from .read_row import ReadRowTask, RowContent
from .rows import ImageRow, RowStatus
from .save_task import SaveCorrectionsTask, ShownResult

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...batch.corrections import SavedCorrections
    from ...batch.inputs import InputImage
    from .row_model import RowModel


class _OpenResult:
    """The labels that are open; it outlives the dock, and saves them when that is closed."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self.result: ShownResult | None = None

    @property
    def needs_saving(self) -> bool:
        """Whether labels were corrected; those that the user has removed are not saved."""
        result, viewer = self.result, self._viewer()
        if result is None or viewer is None or result.labels not in viewer.layers:
            return False
        return result.needs_saving

    def save(self) -> None:
        """Save what was corrected, now: the dock or the window is closed."""
        viewer = self._viewer()
        if self.needs_saving and self.result is not None and viewer is not None:
            with report_user_errors(show_warning):  # of napari: our lines of status may be gone
                task = SaveCorrectionsTask(viewer, self.result)
                task.on_result(run(task.steps()))


class OpenedRow(QObject):
    """Opens rows of the list, one at a time, and saves what was corrected in them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    rows : RowModel
    parent : QObject

    Attributes
    ----------
    index : int or None
        Of the row that is shown; None: none is.
    saved_items : set of InputImage
        Images whose corrections were saved.

    Signals
    -------
    shown : int
        A row is shown; -1: none is any more.
    message : str
        A sentence for the user; empty: nothing is at work.
    finished
        Nothing is opened or saved any more.
    """

    shown = Signal(int)
    message = Signal(str)
    finished = Signal()

    def __init__(self, viewer: ViewerModel, rows: RowModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._rows = unwrap_proxy(viewer), rows  # or its layers are proxies, too
        Session.of(viewer)  # which links labels to their image
        self.index: int | None = None
        self._open = _OpenResult(self._viewer)
        self.saved_items: set[InputImage] = set()
        self._row: ImageRow | None = None  # as it is shown
        self._canvas = CanvasLayers(self._viewer)
        self._wanted: int | None = None
        self._is_closing = False
        self._task: Task | None = None
        self._content: RowContent | None = None  # was read, and waits to be shown
        self._controller = Controller(self)
        self._controller.failed.connect(self._on_failed)
        self._controller.finished.connect(self._on_finished)
        rows.rows_changed.connect(self._on_rows)
        call_when_destroyed(self, self._open.save)
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self._on_quit)

    @property
    def result(self) -> ShownResult | None:
        """The labels of the row that is shown; None: it has none."""
        return self._open.result

    @property
    def is_idle(self) -> bool:
        """Whether nothing is opened or saved."""
        return self._controller.is_idle

    @property
    def needs_saving(self) -> bool:
        """Whether the labels that are open have corrections that are in no file."""
        return self._open.needs_saving

    @property
    def images(self) -> tuple[Image, ...]:
        """The image that is shown; a layer for each channel."""
        return self._canvas.shown.images

    @property
    def segmented_image(self) -> Image | None:
        """The image of the labels that are shown."""
        if self.result is None:
            return None
        key = get_record_entries(self.result.labels).get("image")
        return next((one for one in self.images if str(one.unique_id) == key), None)

    @property
    def destination(self) -> int | None:
        """The row that is being opened, or else is shown."""
        return self.index if self._wanted is None else self._wanted

    def open(self, index: int) -> None:
        """Open a row, once what was corrected in the one before is saved."""
        self._wanted, self._is_closing = index, False
        self._begin()

    def close(self) -> None:
        """Close the row, once it is saved; the layers of the user are as they were before."""
        self._wanted, self._content, self._is_closing = None, None, True
        self._begin()

    def save(self) -> None:
        """Save what was corrected in the row that is shown; it stays open."""
        if self.is_idle and self._open.needs_saving:
            self._start_saving()
        elif self.is_idle:
            self.finished.emit()

    # step by step: read what is wanted, save what was corrected, show what was read

    def _begin(self) -> None:
        if self.is_idle:
            self._go_on()
        elif isinstance(self._task, ReadRowTask):
            self._controller.cancel()  # another one is wanted; what is being saved is awaited

    def _go_on(self) -> None:
        if self._content is not None and self._content.index != self._wanted:
            self._content = None
        if self._wanted is not None and self._wanted == self.index and self._is_present:
            self._wanted = self._content = None
            self._canvas.show(self._canvas.shown)  # others may have been shown with it
            self.shown.emit(self.index)
        if self._wanted is not None and self._content is None:
            if self._wanted < self._rows.rowCount():
                self._start(ReadRowTask(self._wanted, self._rows.row(self._wanted)))
                return
            self._wanted = None  # there are other images by now
        is_leaving = self._content is not None or self._is_closing
        if is_leaving and self._open.needs_saving:
            self._start_saving()
            return
        content, self._content, self._wanted = self._content, None, None
        if content is not None:
            self._show(content)
        elif self._is_closing:
            self._close()
        self.finished.emit()

    @property
    def _is_present(self) -> bool:
        """Whether the row is shown as it is in its files, with all its layers."""
        layers = self._canvas.shown.everything
        is_whole = all(layer in self._viewer.layers for layer in layers)
        return bool(layers) and is_whole and not (self._row and self._is_outdated(self._row))

    def _start_saving(self) -> None:
        assert self.result is not None  # or nothing needs saving
        with report_user_errors(self._stay):
            self._start(SaveCorrectionsTask(self._viewer, self.result))
        if self.is_idle:  # they cannot be saved
            self.finished.emit()

    def _start(self, task: Task) -> None:
        self._task = task
        self.message.emit(task.begins)
        self._controller.start(task)

    def _on_finished(self) -> None:
        task, self._task = self._task, None
        if isinstance(task, ReadRowTask):
            self._content = task.content
            self.message.emit(" ".join(task.content.notices) if task.content else "")
        elif isinstance(task, SaveCorrectionsTask) and task.saved is not None:
            self._update_row(task.saved)
            self.message.emit(task.message)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        self._stay(describe_error(error))

    def _stay(self, reason: str) -> None:
        """Stay at the row that is shown: what could not be saved stays open."""
        self._wanted, self._content, self._is_closing, self._task = None, None, False, None
        self.message.emit(reason)

    def _update_row(self, saved: SavedCorrections) -> None:
        """Show in the list what was saved."""
        if self.index is not None and self._row is not None:
            row = replace(self._rows.row(self.index), summary=saved.row)
            self.saved_items.add(row.item)
            self._row = row  # or the list's signal would open it again
            self._rows.set_row(self.index, row)

    def _on_quit(self) -> None:
        self._open.save()

    # layers

    def _show(self, content: RowContent) -> None:
        """Show a row, alone on the canvas."""
        images, opened = self._find_images(content), []
        if not images:
            images = opened = [self._add(data) for data in content.image]
        own = [layer for layer in images if layer in (*opened, *self._canvas.shown.own)]
        labels = self._find_labels(content)
        if labels is None and content.labels is not None:
            labels = self._add(content.labels)
            draw_nuclei(labels)
            own += [labels, *(self._add(data) for data in content.tracks)]
            if get_record_entries(labels):
                detach_labels(labels)  # a run of another dock makes labels of its own
        self.index, self._row = content.index, content.row
        self._open.result = None if labels is None else ShownResult(labels, content)
        self._canvas.show(ShownLayers(tuple(images), labels, tuple(own)))
        if labels is not None and labels in own and content.labels is not None:
            labels.name = content.labels[1]["name"]  # that of earlier ones is free by now
        self.shown.emit(content.index)

    def _add(self, data: LayerData) -> Layer:
        layer = Layer.create(*data)
        self._viewer.add_layer(layer)
        return layer

    def _find_images(self, content: RowContent) -> list[Image]:
        """Find the image among those that are open already."""
        files = [data[1]["metadata"][IMAGE_FILE_KEY].path for data in content.image]
        paths = {str(content.row.item.path), *files}
        return [
            image for image in list_image_layers(self._viewer)
            if _scene_of(image) == (content.row.item.scene or 0)
            and any(is_same_path(get_layer_path(image), path) for path in paths)
        ]  # fmt: skip

    def _find_labels(self, content: RowContent) -> Labels | None:
        """Find labels of the result that the user has opened, or that another list has left."""
        results = content.row.results
        if content.labels is None or results is None:
            return None
        path = str(results.known_labels)
        content.labels[1]["metadata"][RESULT_FILE_KEY] = path
        for layer in self._viewer.layers:
            is_result = is_same_path(
                str(layer.metadata.get(RESULT_FILE_KEY) or layer.source.path or ""), path
            )
            is_stale = layer in self._canvas.shown.own
            if isinstance(layer, Labels) and is_result and not is_stale:
                return layer
        return None

    def _close(self) -> None:
        self._is_closing = False
        self.index = self._row = self._open.result = None
        self._canvas.close()
        self.shown.emit(-1)

    # the list

    def _on_rows(self) -> None:
        """Open a row again that was segmented meanwhile; forget one that is not listed any more."""
        if self.index is None or self._row is None:
            return
        row = self._rows.row(self.index) if self.index < self._rows.rowCount() else None
        if row is None or row.item != self._row.item:
            items = [row.item for row in self._rows.rows()]
            is_listed = self._row.item in items
            self.index = items.index(self._row.item) if is_listed else None
            self._row = None if self.index is None else self._rows.row(self.index)
            # the layers of one that is gone stay until another one is opened
            self.shown.emit(-1 if self.index is None else self.index)
        elif row is not self._row:
            self._row = row
            if self.is_idle and self._is_outdated(row) and not self._open.needs_saving:
                self.open(self.index)

    def _is_outdated(self, row: ImageRow) -> bool:
        """Return whether there is another result than the one that is shown."""
        from ...batch.inputs import stamp_files  # imports pandas

        if row.status is not RowStatus.DONE or row.results is None:
            return False
        try:
            stamp = stamp_files(row.results.known_labels)
        except OSError:
            return False
        return self.result is None or self.result.stamp != stamp


def _scene_of(image: Image) -> int:
    """Return the number of the image in its file; of other readers it is the first."""
    opened = image.metadata.get(IMAGE_FILE_KEY)
    return (opened.scene or 0) if isinstance(opened, OpenedFile) else 0
