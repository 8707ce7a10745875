"""Buttons and keys that go from image to image, review them, and collect them for training."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ...counts import format_count
from ..common.controller import Controller
from ..common.controls import Panel, create_button, fill_grid, fill_layout
from ..common.dock_button import DockButton
from ..common.key_bindings import KeyBindings
from ..common.lifetime import call_when_destroyed, stop_listening_when_destroyed
from ..common.notify import describe_error, report_user_errors
from ..common.status_line import StatusLine
from ..layers.geometry import plane_on_view
from ..session.session import Session
from .doubtful import PlanReviewTask
from .opened_image import OpenedRow
from .rows import RowStatus

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from .row_model import RowModel

PREVIOUS_KEY, NEXT_KEY = "PageUp", "PageDown"
NOTHING_DOUBTFUL = "No doubtful nucleus is left in these images."
EMPTY_LIST, FIRST_IMAGE, LAST_IMAGE = (
    "The list has no image.", "This is the first image.", "This is the last image.",
)  # fmt: skip
NO_RESULT = "Click on an image that is done: only nuclei that were found can be corrected."
NOTHING_TO_REVIEW = "No image is done yet."
HINTS = {
    "previous_image": "Open the image before this one in the list. Corrections are saved.",
    "next_image": "Open the image after this one in the list. Corrections are saved.",
    "review_doubtful": "Go over the doubtful nuclei of all images, with the keys of Review nuclei: "
    "images with most of them first. Doubtful is the tenth of all nuclei of which the network is "
    "least certain.",
    "add_to_training": "Collect the planes of this image that you have corrected, or else the one "
    "on view, for Train nuclei model.",
    "train": "Open Train nuclei model, which has what was collected in its list.",
    "close_image": "Close this image, and show your other layers as they were.",
}


class ReviewBar(Panel):
    """Opens the images of a list one by one, and reviews and collects them.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    row_model : RowModel

    Attributes
    ----------
    opened : OpenedRow
        The image that is shown.

    Signals
    -------
    row_shown : int
        A row is shown; -1: none is any more.
    finished
        Nothing is opened, saved or looked for any more.
    """

    row_shown = Signal(int)
    finished = Signal()

    def __init__(self, viewer: ViewerModel, row_model: RowModel) -> None:
        super().__init__()
        self._viewer, self._rows = viewer, row_model
        session = Session.of(viewer)
        self._tour, self._corrected_pairs = session.review_tour, session.corrected_pairs
        self._to_review: list[int] = []  # rows, the next one first
        self._review_count, self._max_confidence = 0, 0.0
        self._waits_for_plan, self._last_words = False, ""
        self.opened = OpenedRow(viewer, row_model, self)
        self._planning = Controller(self)
        self._plan_task: PlanReviewTask | None = None
        self._own_dock = DockButton(viewer, "Many images", "", "")
        self._review_dock = DockButton(viewer, "Review nuclei", "", "")
        self._train_dock = DockButton(viewer, "Train nuclei model", "Train …", HINTS["train"])
        self._build()
        self._watch()

    def _build(self) -> None:
        specs = (
            ("previous_image", "Previous (PgUp)", self.previous),
            ("next_image", "Next (PgDn)", self.next),
            ("review_doubtful", "Review doubtful", self.review_doubtful),
            ("add_to_training", "Add to training", self.add_to_training),
            ("close_image", "Close image", self.close_row),
        )
        self._buttons: dict[str, QPushButton] = {
            name: create_button(name, text, HINTS[name], act) for name, text, act in specs
        }
        buttons = QWidget()
        fill_grid(buttons, (*self._buttons.values(), self._train_dock))
        for opener in (self._own_dock, self._review_dock):  # are never seen
            opener.setParent(self)
            opener.hide()
        line = StatusLine("many_review_status")
        self.message.connect(line.setText)
        fill_layout(QVBoxLayout(self), buttons, line)
        actions = {PREVIOUS_KEY: self.previous, NEXT_KEY: self.next}
        keys = KeyBindings({key: _weakly(act) for key, act in actions.items()})
        keys.bind(self._viewer)  # whichever layer is selected
        call_when_destroyed(self, partial(keys.bind, None))
        stop_listening_when_destroyed(self, self._viewer)

    def _watch(self) -> None:
        self.opened.message.connect(self.message)
        self.opened.shown.connect(self._on_shown)
        self.opened.finished.connect(self._on_finished)
        self._planning.message.connect(self.message)
        self._planning.progressed.connect(lambda _done, _total, text: self.message.emit(text))
        self._planning.failed.connect(lambda error: self.message.emit(describe_error(error)))
        self._planning.finished.connect(self._on_planned)
        self._tour.ended.connect(self._on_reviewed)
        self._rows.rows_changed.connect(self._show_state)
        self._show_state()

    def add_shortcuts(self, dock: QWidget) -> None:
        """Bind the keys for while a dock has the focus; on the canvas they are bound already."""
        for key, act in ((PREVIOUS_KEY, self.previous), (NEXT_KEY, self.next)):
            shortcut = QShortcut(QKeySequence(key), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is opened, saved or looked for."""
        return self.opened.is_idle and self._planning.is_idle

    # from image to image

    def open_row(self, index: int) -> None:
        """Open an image of the list, alone on the canvas; a review of all images ends."""
        self._stop_tour()
        self.opened.open(index)

    def next(self, *_: object) -> None:
        """Open the image after this one; without one, the first."""
        self._step(1, LAST_IMAGE)

    def previous(self, *_: object) -> None:
        """Open the image before this one."""
        self._step(-1, FIRST_IMAGE)

    def _step(self, step: int, at_end: str) -> None:
        count, index = self._rows.rowCount(), self.opened.destination
        target = 0 if index is None else index + step
        if 0 <= target < count:
            self.open_row(target)
        else:
            self.message.emit(at_end if count else EMPTY_LIST)

    def close_row(self, *_: object) -> None:
        """Close the image, and show the layers of the user as they were."""
        self._stop_tour()
        self.opened.close()

    # review of all images

    def review_doubtful(self, *_: object) -> None:
        """Review the doubtful nuclei of all images, images with most of them first."""
        self._stop_tour()
        self._waits_for_plan = True
        self.opened.save()  # or what was reviewed in the image that is open would come again

    def _plan(self) -> None:
        self._waits_for_plan = False
        self._plan_task = PlanReviewTask(self._rows.rows())
        self._planning.start(self._plan_task)

    def _on_planned(self) -> None:
        task, self._plan_task = self._plan_task, None
        if task is not None and task.plan is not None:
            self._to_review = list(task.plan.indices)
            self._review_count = len(self._to_review)
            self._max_confidence = task.plan.max_confidence
            self._review_next()
        else:
            self._on_finished()

    def _review_next(self) -> None:
        """Open the next image that has doubtful nuclei."""
        if self._to_review:
            self.opened.open(self._to_review[0])
            return
        self._last_words = (
            f"The doubtful nuclei of {format_count(self._review_count, 'image')} are reviewed."
            if self._review_count
            else NOTHING_DOUBTFUL
        )
        self._review_count = 0
        self.opened.save()

    def _begin_tour(self, index: int) -> None:
        if not self._to_review or self._to_review[0] != index:
            return
        del self._to_review[0]
        if self.opened.result is None:  # it was deleted meanwhile
            self._review_next()
            return
        number = self._review_count - len(self._to_review)
        title = f"Image {number} of {self._review_count}"
        self.message.emit(f"{title} with doubtful nuclei: Y accepts, N skips.")
        if hasattr(self._viewer, "window"):
            self._review_dock.open_dock()
        self._tour.begin(self.opened.result.labels, self._max_confidence, title)

    def _on_reviewed(self, labels: Labels) -> None:
        result = self.opened.result
        if self._review_count and result is not None and result.labels is labels:
            self._review_next()

    def _stop_tour(self) -> None:
        self._to_review.clear()
        self._review_count, self._waits_for_plan = 0, False
        self._tour.stop()

    # training

    def add_to_training(self, *_: object) -> None:
        """Collect what was corrected in this image for the dock "Train nuclei model"."""
        result = self.opened.result
        image = self.opened.segmented_image
        if result is None or image is None:
            self.message.emit(NO_RESULT)
            return
        labels, planes = result.labels, result.corrected_planes
        if not planes:
            lead = plane_on_view(self._viewer, labels)[:-2]
            planes = [tuple(0 if isinstance(at, slice) else at for at in lead)]
        row = result.content.row
        self._corrected_pairs.add(row.item.title, image, labels, planes)
        count = len(self._corrected_pairs.value())
        self.message.emit(
            f"{row.short_title} is collected for training, {format_count(count, 'image')} so far: "
            "click Train when you have corrected enough."
        )

    # what is shown

    def rewrite_summaries(self) -> None:
        """Write corrected rows into the summaries again: a run writes what it has found."""
        from ...batch.corrections import update_summary  # imports pandas
        from ...batch.summary import SUMMARY_FILE_NAME

        for row in self._rows.rows() if self.opened.saved_items else ():
            results, summary = row.results, row.summary
            if row.item in self.opened.saved_items and results is not None and summary is not None:
                labels = results.known_labels
                with report_user_errors(self.message.emit):
                    update_summary(labels.parent / SUMMARY_FILE_NAME, labels, summary)

    def _on_shown(self, index: int) -> None:
        self.row_shown.emit(index)
        self._show_state()
        self._begin_tour(index)

    def _on_finished(self) -> None:
        self._show_state()
        if not self.is_idle:
            return
        if self._waits_for_plan:
            self._plan()
            return
        if self._last_words:
            if hasattr(self._viewer, "window"):
                self._own_dock.open_dock()  # it is behind that of the review
            self.message.emit(self._last_words)
            self._last_words = ""
        self.finished.emit()

    def _show_state(self) -> None:
        """Enable the buttons that can do something; the others say why they cannot."""
        count, index = self._rows.rowCount(), self.opened.index
        is_done = any(self._rows.row(number).status is RowStatus.DONE for number in range(count))
        reasons = {
            "previous_image": "" if index else FIRST_IMAGE,
            "next_image": EMPTY_LIST if not count else LAST_IMAGE if index == count - 1 else "",
            "review_doubtful": "" if is_done else NOTHING_TO_REVIEW,
            "add_to_training": "" if self.opened.result is not None else NO_RESULT,
            "close_image": "" if self.opened.images else "No image of the list is open.",
        }
        for name, reason in reasons.items():
            self._buttons[name].setEnabled(not reason)
            self._buttons[name].setToolTip(reason or HINTS[name])


def _weakly(method: Callable[[], object]) -> Callable[[], object]:
    """Return a function that calls a method, and does not keep its object alive."""
    found = weakref.WeakMethod(method)

    def call() -> object:
        bound = found()
        return None if bound is None else bound()

    return call
