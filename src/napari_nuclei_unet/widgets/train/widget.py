"""The dock widget "Train nuclei model"."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFormLayout, QLineEdit, QVBoxLayout, QWidget

from ...errors import UserError
from ...models.library import RANDOM_WEIGHTS_NAME, check_model_name
from ...params import TrainParams
from ...training.recipes import RECIPES
from ..common.controller import Controller, RunState
from ..common.controls import (
    ScrollableForm,
    create_button,
    create_label,
    create_row,
    create_section,
    fill_layout,
    with_properties,
)
from ..common.lifetime import adopt, stop_listening_when_destroyed
from ..common.notify import report_user_errors, show_user_error, show_warning
from ..common.params_form import ParamsForm
from ..common.preferences import get_preference
from ..session.model_form import ModelForm
from ..session.model_registry import user_model_folder
from ..session.model_titles import DEFAULT_MODEL_NAME, title_model
from .curves import TrainingCurves
from .dataset_form import DatasetForm
from .model_library import ModelLibraryPanel
from .resume import ResumeState, find_interrupted
from .run_panel import RunPanel
from .score_table import ScoreTable
from .task import TrainRequest, TrainTask, TrainView
from .use_model_panel import UseModelPanel

if TYPE_CHECKING:
    import napari.viewer

    from .layer_pairs import PairArrays

TRAIN_SETTINGS = (
    "epochs", "steps", "learning_rate", "batch", "patch", "augment", "frozen", "reference",
    "patience", "validation", "validation_nuclei", "precision", "seed",
)  # fmt: skip
DEFAULT_MARGIN = 8
TRAINING_GOES_ON = "The training uses the data as they were at its start."
NOTHING_LISTED = "There is nothing to train on: add an image with its labels (Add all)."


class TrainWidget(ScrollableForm):
    """Fine-tunes a model for the images on view, from nuclei that were corrected or painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.

    Attributes
    ----------
    dataset_form : DatasetForm
        The images and labels that are listed, and what unlabelled pixels mean.
    model_form : ModelForm
        The model to start from.
    params_form : ParamsForm of TrainParams
    name_edit : QLineEdit
        Name of the new model.
    library : ModelLibraryPanel
        The user's models.

    Signals
    -------
    finished
        A training is over, in any way, and everything is shown.
    """

    finished = Signal()

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.params_form = ParamsForm(TrainParams)
        self.params_form.set_value(dataclasses.replace(RECIPES["finetune"], margin=DEFAULT_MARGIN))
        self.dataset_form = DatasetForm(napari_viewer, self.params_form, self)
        self.model_form = ModelForm(allow_random=True)
        adopt(self, self.params_form, self.model_form)
        stop_listening_when_destroyed(self, napari_viewer)
        self.name_edit = with_properties(QLineEdit(DEFAULT_MODEL_NAME), objectName="model_name")
        self.library = ModelLibraryPanel()
        self._controller = Controller(self)
        self._build()
        self._watch()
        self._offer_to_resume()

    # layout

    def _build(self) -> None:
        self._run_panel = RunPanel()
        self._curves, self._score_table = TrainingCurves(), ScoreTable()
        self._use_model = UseModelPanel()
        self.set_parts(
            self._create_banner(),
            self._create_form(),
            create_section(
                "train_settings", "Settings", self.params_form.container(*TRAIN_SETTINGS)
            ),
            self._run_panel,
            self._use_model,  # first: a question must not be out of sight
            self._curves,
            self._score_table,
            create_section("models", "Models", self.library),
        )

    def _create_form(self) -> QFormLayout:
        top = QFormLayout()
        self.dataset_form.fill(top)
        self.name_edit.setToolTip("The name of the new model; if it is taken, a number is added.")
        self.model_form.fill(top)
        top.addRow("New model", self.name_edit)
        return top

    def _create_banner(self) -> QWidget:
        self._interrupted_text = create_label("halted")
        self._banner = with_properties(QWidget(), objectName="resuming")
        buttons = create_row(
            create_button(
                "resume", "Resume", "Continue after the last finished epoch.", self.resume
            ),
            create_button("discard", "Discard", "Delete the interrupted training.", self._discard),
        )
        fill_layout(QVBoxLayout(self._banner), self._interrupted_text, buttons)
        return self._banner

    def _watch(self) -> None:
        panel = self._run_panel
        panel.train.clicked.connect(self.train)
        panel.stop.clicked.connect(self.stop)
        panel.cancel.clicked.connect(self.cancel)
        self.dataset_form.message.connect(panel.show_message)
        self.dataset_form.changed.connect(self._offer_training)
        self.dataset_form.failed.connect(self._on_count_failed)
        self.dataset_form.data_changed.connect(self._on_data_changed)
        self._controller.state_changed.connect(panel.show_state)
        self._controller.progressed.connect(self._on_progressed)
        self._controller.notice.connect(self._on_notice)
        self._controller.finished.connect(self._on_finished)
        self._offer_training()

    def _offer_training(self) -> None:
        """Have a list without images disable Train."""
        self._run_panel.show_problem("" if self.dataset_form.value().pairs else NOTHING_LISTED)

    # what the canvas shows while the dock is on the screen

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 Qt's name
        """Show the images that are chosen in the list alone."""
        super().showEvent(event)
        self.dataset_form.show_chosen()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 Qt's name
        """Show all layers as they were; another tab is in front, or the dock is closed."""
        super().hideEvent(event)
        self.dataset_form.show_all()

    # training

    @property
    def state(self) -> RunState:
        """What the dock does."""
        return self._controller.state

    def train(self, *_: object) -> None:
        """Train, as a click on the button does, once labels are counted; not during a training."""
        if not self._controller.is_idle:
            return
        with report_user_errors(show_warning):
            if not self.dataset_form.value().pairs:
                raise UserError(NOTHING_LISTED)
            check_model_name(self.name_edit.text())
            self.dataset_form.when_ready(self._start)  # so that validation areas are seen first

    def stop(self, *_: object) -> None:
        """End the training, and keep the best model so far."""
        self._controller.stop()

    def cancel(self, *_: object) -> None:
        """End the training, and keep nothing."""
        self._controller.cancel()

    def resume(self, *_: object) -> None:
        """Resume the interrupted training; does nothing during another."""
        if not self._controller.is_idle:
            return
        training = find_interrupted()
        if training is None:
            show_warning("There is no interrupted training any more.")
            self._offer_to_resume()
            return
        self._begin((), training.params, training.resume_state, resume=True)

    def _start(self) -> None:
        with report_user_errors(show_warning):
            state = ResumeState.new(check_model_name(self.name_edit.text()))
            self._begin(self.dataset_form.arrays(), self.dataset_form.params(), state)

    def _begin(
        self,
        arrays: tuple[PairArrays, ...],
        params: TrainParams,
        resume_state: ResumeState,
        resume: bool = False,
    ) -> None:
        if not self._controller.is_idle:
            return
        choice = self.model_form.value()
        self.dataset_form.suspend_counting()
        request = TrainRequest(
            arrays,
            "" if choice.model == RANDOM_WEIGHTS_NAME else choice.model,
            params,
            choice.device,
            user_model_folder(),
            get_preference("threads_free"),
            resume_state,
            resume,
        )
        self._banner.setVisible(False)
        self._curves.clear()
        self._score_table.hide()
        self._use_model.hide()
        self._run_panel.show_note("")
        view = TrainView(
            self._run_panel, self._curves, self._score_table, self.library, self._use_model
        )
        self._controller.start(TrainTask(request, view))

    # events of the controller and the form

    def _on_progressed(self, _done: int, _total: int, text: str) -> None:
        self._run_panel.show_message(text)  # the task itself shows every step in the bar

    def _on_notice(self, notice: str) -> None:
        self._run_panel.show_note(notice)
        show_warning(notice)

    def _on_data_changed(self, what: str) -> None:
        if not self._controller.is_idle:
            self._run_panel.show_note(f"{what} {TRAINING_GOES_ON}")

    def _on_count_failed(self, error: Exception) -> None:
        self._run_panel.show_message("")
        show_user_error(error)

    def _on_finished(self) -> None:
        self._run_panel.show_note("")  # its training has ended
        self._offer_to_resume()
        self.dataset_form.resume_counting()
        self.finished.emit()

    # interrupted trainings

    def _offer_to_resume(self) -> None:
        training = find_interrupted() if self._controller.is_idle else None
        self._banner.setVisible(training is not None)
        if training is not None:
            self._interrupted_text.setText(
                f"The training of '{training.resume_state.name}', from "
                f"'{title_model(training.parent)}', was interrupted after epoch {training.done} of "
                f"{training.params.epochs} ({training.interrupted_at})."
            )

    def _discard(self, *_: object) -> None:
        if (training := find_interrupted()) is not None:
            training.resume_state.delete()
        self._offer_to_resume()
