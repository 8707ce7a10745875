"""The dock widget "Many images"."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QBoxLayout, QFormLayout, QWidget

from ...limits import DEFAULT_LIMITS, Limits
from ...progress import Step
from ...provenance.project_paths import PROJECT_SUFFIX
from ..common.controller import Controller, RunState, Task
from ..common.controls import ScrollableForm, create_row, create_section
from ..common.help_button import HelpButton
from ..common.lifetime import adopt
from ..common.notify import describe_error, report_user_errors, show_warning
from ..common.preferences import get_preference
from ..session.session import Session
from ..session.warm_up import start_warm_up
from .folder_form import OutFolder, SourceButtons
from .image_list import ImageList
from .image_lister import ImageLister
from .image_rows import ImageRows, count_status, describe_end, describe_failure
from .question_bar import QuestionBar
from .review_bar import ReviewBar
from .row_model import RowModel
from .rows import ImageRow, RowStatus
from .run_panel import RowCounts, RunControls
from .run_task import FilesListed, ManyRequest, ManyTask, ReplaceAnswer
from .settings_form import SettingsForm
from .summary_panel import SaveTableTask, SummaryPanel
from .update_buffer import UpdateBuffer

if TYPE_CHECKING:
    import napari.viewer

    from ...batch.inputs import InputImage

# The list grows with the dock, other parts do not.
LIST_STRETCH = 100

UNSAVED = (
    "The corrections of the open image are not saved, for the reason below: save them, or remove "
    "the layer, then click Run."
)


class ManyImagesWidget(ScrollableForm):
    """Segments the images of a folder, and shows where each of them stands.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    limits : Limits, optional
        Of the session, if this dock is its first.

    Attributes
    ----------
    list_model : RowModel
        The images as the list shows them.
    settings_form : SettingsForm
    review_bar : ReviewBar
        Opens the images, and collects what is corrected.
    question : QuestionBar
        Visible while the user is asked what becomes of earlier results.
    controller : Controller

    Signals
    -------
    finished
        A run is over, or was paused, or waits for an answer.
    listed
        What was added is in the list, or the dock says why not.
    image_chosen : int
        A row was clicked.
    """

    finished = Signal()
    listed = Signal()
    image_chosen = Signal(int)

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__()
        self._session = Session.of(napari_viewer, limits)
        self._session.join(self)
        self._request: ManyRequest | None = None  # of the last run
        self._task: Task | None = None  # the last one
        self._buffer = UpdateBuffer(self)
        self._end = ""  # what was said of all images when the last run was over
        self._next_task: ManyTask | None = None  # waits until corrections are saved
        self.list_model = RowModel()
        self._rows = ImageRows(self.list_model)
        self._sources, self._out = SourceButtons(), OutFolder()
        adopt(self, self.list_model, self._sources, self._out)
        self._lister = ImageLister(self, self._out.suggest)
        self.controller = Controller(self)
        self.review_bar = ReviewBar(napari_viewer, self.list_model)
        self._build()
        self._connect()
        self._show_state()

    def _build(self) -> None:
        self._list = ImageList(self.list_model)
        self.settings_form = SettingsForm(self._session)
        self._panel, self.question = RunControls(), QuestionBar()
        self.summary_panel = SummaryPanel(self.list_model)
        form = QFormLayout()
        form.addRow("Results in", self._out.row)
        form.addRow("Settings", self.settings_form)
        parts = QWidget()
        parts.setLayout(form)
        form.setContentsMargins(0, 0, 0, 0)
        self.set_parts(
            create_row(self._sources.row, HelpButton("tutorial/many-images")), self._list,
            self._panel, self.question, self.review_bar, parts,
            create_section("summary", "Summary of all images", self.summary_panel),
        )  # fmt: skip
        content = self.widget()
        if content is not None and isinstance(inside := content.layout(), QBoxLayout):
            inside.setStretchFactor(self._list, LIST_STRETCH)  # takes the room that is left

    def _connect(self) -> None:
        self._sources.paths_chosen.connect(self.add_paths)
        self._sources.clear_clicked.connect(self.clear)
        self._list.paths_dropped.connect(self.add_paths)
        self._list.row_chosen.connect(self._on_row)
        self._lister.listed.connect(self._show_listed)
        self._lister.message.connect(self._panel.show_message)
        self._lister.finished.connect(self.listed)
        self.image_chosen.connect(self.review_bar.open_row)
        self.review_bar.row_shown.connect(self._list.show_row)
        self.review_bar.opened.finished.connect(self._start_next)
        self.list_model.rows_changed.connect(self._update_end)
        self.review_bar.add_shortcuts(self)
        self._out.changed.connect(self._on_folder)
        self.settings_form.project_chosen.connect(self._use_project)
        self._panel.run.clicked.connect(self.run)
        self._panel.pause.clicked.connect(self.pause)
        self.question.answered.connect(self._on_answer)
        self.summary_panel.message.connect(self._panel.show_message)
        self.summary_panel.image_clicked.connect(self._on_dot)
        self.summary_panel.save_requested.connect(self._save)
        self.controller.state_changed.connect(self._on_state)
        self.controller.progressed.connect(
            lambda *progress: self._buffer.add("progress", partial(self._panel.step, *progress))
        )
        self.controller.notice.connect(show_warning)
        self.controller.finished.connect(self._on_finished)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 Qt's name
        """Load what the first click needs as soon as the dock is on the screen."""
        super().showEvent(event)
        QTimer.singleShot(0, start_warm_up)

    def enterEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Show the settings as they are now: another dock may have changed them."""
        super().enterEvent(event)
        self.settings_form.refresh()

    # public methods, for scripts and tests

    @property
    def rows(self) -> tuple[ImageRow, ...]:
        """The images, and where each of them stands."""
        return self.list_model.rows()

    @property
    def state(self) -> RunState:
        """What the dock does."""
        return self.controller.state

    @property
    def out_folder(self) -> Path | None:
        """The folder of the results; None: there is no image yet."""
        return self._out.value()

    @out_folder.setter
    def out_folder(self, folder: str | Path) -> None:
        self._out.set_value(Path(folder))

    def add_paths(self, paths: Iterable[str | Path]) -> None:
        """Add images, and the images of folders, soon; a project brings its settings.

        What cannot be added is reported in the dock, and leaves the list as it was.
        """
        given = [Path(path) for path in paths]
        for project in [path for path in given if path.name.endswith(PROJECT_SUFFIX)]:
            given.remove(project)
            self._use_project(project)
        if given and not self._is_busy():
            self._lister.add(given)

    def clear(self) -> None:
        """Empty the list; no file is deleted."""
        if not self._is_busy():
            self._lister.clear()
            self.review_bar.message.emit("")

    def run(self, *_: object) -> None:
        """Segment the images that are not done, as a click on Run does, once all are listed."""
        self._lister.when_idle(self._run)

    def _run(self) -> None:
        if self.state is RunState.IDLE and (folder := self._out.value()) is not None:
            self.question.setVisible(False)
            settings, threads = self.settings_form.value(), get_preference("threads_free")
            self._start(ManyRequest(self._lister.paths, folder, settings, threads), None)

    def pause(self, *_: object) -> None:
        """Finish the images that are under way, and begin no other; a second time, drop them."""
        if self.state is RunState.STOPPING:
            self.controller.cancel()
        else:
            self.controller.stop()

    def _is_busy(self) -> bool:
        """Return whether a run is under way, and say so."""
        if self.state is not RunState.IDLE:
            self._panel.show_message("Images are being segmented: pause the run first.")
            return True
        return False

    def _show_listed(self, rows: list[ImageRow]) -> None:
        self._rows.show_rows(rows)
        self._out.follow(self._lister.paths)
        self.question.setVisible(False)
        self._show_end()
        self._show_state()

    def _on_folder(self) -> None:
        if self.state is RunState.IDLE and self._out.value() != self._lister.folder:
            self.question.setVisible(False)
            self._lister.renew()

    def _use_project(self, path: Path) -> None:
        with report_user_errors(self._panel.show_message):
            self.settings_form.use_project(path)

    def _save(self, task: SaveTableTask) -> None:
        if not self._is_busy():
            self.controller.start(task)

    def _start(self, request: ManyRequest, answer: ReplaceAnswer | None) -> None:
        """Start a run, once what was corrected in the open image is saved: it might replace it."""
        self._request = request
        self._next_task = ManyTask(request, answer, self._on_step)
        if self.review_bar.opened.needs_saving:
            self.review_bar.opened.save()
        else:
            self._start_next()

    def _start_next(self) -> None:
        task, self._next_task = self._next_task, None
        if task is None or self.state is not RunState.IDLE:
            return
        self.settings_form.refresh()  # to what the run uses
        if self.review_bar.opened.needs_saving:
            self._panel.show_message(UNSAVED)
        else:
            self.controller.start(task)

    # events of the run

    def _on_step(self, step: Step) -> None:
        if isinstance(step, FilesListed):
            self._buffer.flush()
            self._rows.show_items(step.items)
            return
        item, summary = getattr(step, "item", None), getattr(step, "row", None)
        if item is None or self._request is None:
            return
        if summary is not None:
            folder = self._request.folder
            self._buffer.add(item, partial(self._rows.set_summary, item, summary, folder))
        elif (is_running := getattr(step, "is_running", None)) is not None:
            self._buffer.add(item, partial(self._show_running, item, is_running))

    def _show_running(self, item: InputImage, is_running: bool) -> None:
        self._rows.set_running(item, is_running)
        if is_running:
            self._list.follow(self._rows.place(item))

    def _on_answer(self, answer: ReplaceAnswer) -> None:
        if self._request is not None and self.state is RunState.IDLE and self._lister.is_idle:
            self._start(self._request, answer)

    def _on_state(self, _: RunState) -> None:
        self._buffer.flush()
        self._task = self.controller.task or self._task
        self._show_state()

    def _show_state(self) -> None:
        rows, task = self.rows, self.controller.task
        done, failed = (count_status(rows, one) for one in (RowStatus.DONE, RowStatus.FAILED))
        counts = RowCounts(done, failed, len(rows))
        self._panel.show_state(self.state, counts, "" if task is None else task.begins)
        is_idle = self.state is RunState.IDLE
        for part in (self._sources.row, self._out.row, self.settings_form):
            part.setEnabled(is_idle)

    def _on_finished(self) -> None:
        task, self._task = self._task, None
        self._rows.end_run()
        if isinstance(task, ManyTask) and task.error is not None:  # its folder may be gone
            self._rows.show_known(task.request.folder)
        self.review_bar.rewrite_summaries()
        self._show_state()
        self._end = self._describe_end(task)
        self._panel.show_message(self._end)
        if isinstance(task, ManyTask) and task.outcome is not None and task.outcome.other:
            self.question.ask(task.outcome)
        self.finished.emit()

    def _describe_end(self, task: Task | None) -> str:
        """Return what the dock says when nothing is at work any more."""
        if task is not None and task.error is not None:
            return describe_error(task.error)
        if isinstance(task, SaveTableTask):
            return task.message
        outcome = task.outcome if isinstance(task, ManyTask) else None
        return describe_end(self.rows, 0 if outcome is None else outcome.kept)

    def _show_end(self) -> None:
        self._end = describe_end(self.rows)
        self._panel.show_message(self._end)

    def _update_end(self) -> None:
        """Count again after corrections, unless something else is said by now."""
        if self.state is RunState.IDLE and self._end and self._panel.message == self._end:
            self._show_end()

    def _on_dot(self, index: int) -> None:
        self._list.show_row(index)
        self._on_row(index)

    def _on_row(self, index: int) -> None:
        row = self.list_model.row(index)
        if row.summary is not None and row.summary.error:
            self._panel.show_message(describe_failure(row))
        elif self.state is RunState.IDLE:
            self._show_end()
        self.image_chosen.emit(index)
