"""The dock widget "Train nuclei model"."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QFormLayout, QLineEdit, QVBoxLayout, QWidget

from ...errors import UserError
from ...models.library import RANDOM_WEIGHTS_NAME, check_model_name
from ...params import TrainParams
from ...training.recipes import RECIPES
from ..common.controls import (
    ScrollableForm,
    create_button,
    create_label,
    create_row,
    create_section,
    fill_layout,
    with_properties,
)
from ..common.notify import report_user_errors
from ..common.params_form import ParamsForm
from ..common.preferences import get_preference
from ..session.model_form import ModelForm
from ..session.model_registry import MODEL_REGISTRY, set_default_model, user_model_folder
from .curves import TrainingCurves
from .dataset_form import DatasetForm
from .model_library import ModelLibraryPanel
from .resume import ResumeState, find_interrupted
from .run_panel import RunPanel
from .score_table import ScoreTable
from .task import TrainRequest, TrainTaskOutput

if TYPE_CHECKING:
    from pathlib import Path

    import napari.viewer

TRAIN_SETTINGS = (
    "epochs", "steps", "learning_rate", "batch", "patch", "augment", "frozen", "reference",
    "patience", "validation", "precision", "seed",
)  # fmt: skip
DEFAULT_MARGIN = 8
TRAINING_GOES_ON = "Training goes on with what it started with."


class TrainWidget(ScrollableForm):
    """Fine-tunes a model for the images on view, from nuclei that were corrected or painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._form = ParamsForm(TrainParams)
        self._form.set_value(dataclasses.replace(RECIPES["finetune"], margin=DEFAULT_MARGIN))
        self._dataset_form = DatasetForm(napari_viewer, self._form, self)
        self._build()
        self._watch()
        self._offer_to_resume()

    # layout

    def _build(self) -> None:
        self._run_panel = RunPanel()
        self._curves, self._score_table = TrainingCurves(), ScoreTable()
        self._library = ModelLibraryPanel()
        self.set_parts(
            self._create_banner(),
            self._create_form(),
            create_section("train_settings", "Settings", self._form.container(*TRAIN_SETTINGS)),
            self._run_panel,
            self._curves,
            self._score_table,
            create_section("models", "Models", self._library),
        )

    def _create_form(self) -> QFormLayout:
        top = QFormLayout()
        self._dataset_form.fill(top)
        self._model = ModelForm(allow_random=True)
        self._name = with_properties(QLineEdit("my nuclei"), objectName="model_name")
        self._name.setToolTip("What the new model is called; a name that is taken gets a number.")
        self._model.fill(top)
        top.addRow("New model", self._name)
        return top

    def _create_banner(self) -> QWidget:
        self._interrupted_text = create_label("halted")
        self._banner = with_properties(QWidget(), objectName="resuming")
        buttons = create_row(
            create_button("resume", "Resume", "Go on after the last finished epoch.", self.resume),
            create_button("discard", "Discard", "Forget the interrupted training.", self._discard),
        )
        fill_layout(QVBoxLayout(self._banner), self._interrupted_text, buttons)
        return self._banner

    def _watch(self) -> None:
        self._dataset_form.message.connect(self._run_panel.show_message)
        self._dataset_form.failed.connect(self._run_panel.fail)
        self._dataset_form.changed.connect(self._on_changed)
        self._run_panel.train.clicked.connect(self.start)
        self._run_panel.trained.connect(self._on_trained)
        self._run_panel.epoch.connect(self._on_epoch)
        self._run_panel.ended.connect(self._on_ended)
        self.destroyed.connect(self._run_panel.job.cancel)

    def _on_changed(self, what: str) -> None:
        if self._run_panel.job.is_running:
            self._run_panel.note(f"{what} {TRAINING_GOES_ON}")

    # training

    def start(self, *_: object) -> None:
        """Train, as a click on the button does; does nothing during a training."""
        with report_user_errors(show_warning):
            if not self._dataset_form.pairs:
                raise UserError(
                    "There is nothing to learn from: add an image with its labels (Add all)."
                )
            check_model_name(self._name.text())
            self._dataset_form.when_ready(self._start)  # so that validation areas are seen first

    def _start(self) -> None:
        with report_user_errors(show_warning):
            state = ResumeState.new(check_model_name(self._name.text()))
            self._begin(self._dataset_form.arrays(), self._dataset_form.params(), state)

    def resume(self, *_: object) -> None:
        """Resume the interrupted training."""
        training = find_interrupted()
        if training is None:
            show_warning("There is no training to resume any more.")
            self._offer_to_resume()
            return
        self._begin((), training.params, training.resume_state, resume=True)

    def _begin(
        self,
        arrays: tuple[dict[str, Any], ...],
        params: TrainParams,
        resume_state: ResumeState,
        resume: bool = False,
    ) -> None:
        if self._run_panel.job.is_running:
            return
        model = self._model.model.value
        self._dataset_form.suspend_counting()
        request = TrainRequest(
            arrays,
            "" if model == RANDOM_WEIGHTS_NAME else model,
            params,
            self._model.device.value,
            user_model_folder(),
            get_preference("threads_free"),
            resume_state,
            resume,
        )
        self._banner.setVisible(False)
        self._curves.clear()
        self._score_table.hide()
        self._run_panel.start(request)

    def _on_epoch(self, epoch: Any) -> None:
        self._curves.show_history(epoch.history)
        self._curves.show_picture(epoch.picture)

    def _on_trained(self, output: TrainTaskOutput) -> None:
        result = output.result
        self._score_table.show_scores(result.card.scores, result.verdict)
        self._publish(output.path, better=result.better)
        summary = result.verdict.split(". ")[0]
        message = f"'{output.path.stem}' is saved: {summary}"
        (show_warning if result.worse or result.forgets else show_info)(
            result.verdict if result.worse or result.forgets else message
        )

    def _publish(self, path: Path, better: bool) -> None:
        """Add a new model to all lists; a better one becomes the default."""
        if better:
            set_default_model(path)
        else:
            MODEL_REGISTRY.changed.emit()
        self._library.choose(path)

    # interrupted trainings

    def _on_ended(self) -> None:
        self._run_panel.note("")  # its training has ended
        self._offer_to_resume()
        self._dataset_form.resume_counting()

    def _offer_to_resume(self) -> None:
        training = None if self._run_panel.job.is_running else find_interrupted()
        self._banner.setVisible(training is not None)
        if training is not None:
            self._interrupted_text.setText(
                f"The training of '{training.resume_state.name}', from '{training.parent}', "
                f"was interrupted after epoch {training.done} of {training.params.epochs} "
                f"({training.interrupted_at})."
            )

    def _discard(self, *_: object) -> None:
        if (training := find_interrupted()) is not None:
            training.resume_state.delete()
        self._offer_to_resume()
