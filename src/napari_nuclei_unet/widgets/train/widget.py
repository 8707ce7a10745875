"""The dock widget "Train nuclei model"."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models.library import RANDOM, check_name
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.presets import RECIPES
from napari_nuclei_unet.widgets.common.controls import Scrolled, button, row
from napari_nuclei_unet.widgets.common.params_form import ParamsForm
from napari_nuclei_unet.widgets.common.preferences import preference
from napari_nuclei_unet.widgets.session.model_form import ModelChoice
from napari_nuclei_unet.widgets.session.model_registry import SHELF, folder, make_default
from napari_nuclei_unet.widgets.train.curves import Curves
from napari_nuclei_unet.widgets.train.dataset_form import Material
from napari_nuclei_unet.widgets.train.model_library import Library
from napari_nuclei_unet.widgets.train.resume import Draft, interrupted
from napari_nuclei_unet.widgets.train.run_panel import Course
from napari_nuclei_unet.widgets.train.score_table import Outcome
from napari_nuclei_unet.widgets.train.task import Learnt, Training

if TYPE_CHECKING:
    from pathlib import Path

    import napari.viewer

SETTINGS = (
    "epochs", "steps", "learning_rate", "batch", "patch", "augment", "frozen", "reference",
    "patience", "validation", "precision", "seed",
)  # fmt: skip
DEFAULT_MARGIN = 8
GONE_ON = "Training goes on with what it started with."


class TrainWidget(Scrolled):
    """Makes a model that suits the images on view, from nuclei that were corrected or painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._form = ParamsForm(TrainParams)
        self._form.set(dataclasses.replace(RECIPES["finetune"], margin=DEFAULT_MARGIN))
        self._material = Material(napari_viewer, self._form, self)
        self._build()
        self._watch()
        self._offer_to_resume()

    # what is seen

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._course = Course()
        self._curves, self._outcome = Curves(), Outcome()
        self._library = Library()
        settings = self._form.container(*SETTINGS)
        layout.addWidget(self._resuming())
        layout.addLayout(self._top())
        layout.addWidget(self._folded("Settings", "train_settings", settings))
        for one in (self._course, self._curves, self._outcome):
            layout.addWidget(one)
        layout.addWidget(self._folded("Models", "models", self._library))
        layout.addStretch(1)  # or the parts would share what is left
        self.hold(inside)

    def _top(self) -> QFormLayout:
        top = QFormLayout()
        self._material.fill(top)
        self._model = ModelChoice(at_random=True)
        self._name = QLineEdit("my nuclei", objectName="model_name")
        self._name.setToolTip("What the new model is called; a name that is taken gets a number.")
        self._model.fill(top)
        top.addRow("New model", self._name)
        return top

    def _resuming(self) -> QWidget:
        self._halted = QLabel("", objectName="halted")
        self._halted.setWordWrap(True)
        self._resume = button("resume", "Resume", "Go on after the last finished epoch.")
        self._forget = button("discard", "Discard", "Forget the interrupted training.")
        self._banner = QWidget(objectName="resuming")
        layout = QVBoxLayout(self._banner)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._halted)
        layout.addWidget(row(self._resume, self._forget))
        return self._banner

    @staticmethod
    def _folded(title: str, name: str, content: QWidget) -> QCollapsible:
        made = QCollapsible(title)
        made.setObjectName(name)
        made.addWidget(content)
        return made

    def _watch(self) -> None:
        self._material.said.connect(self._course.say)
        self._material.failed.connect(self._course.fail)
        self._material.changed.connect(self._on_changed)
        self._course.train.clicked.connect(self.start)
        self._course.learnt.connect(self._on_learnt)
        self._course.epoch.connect(self._on_epoch)
        self._course.ended.connect(self._on_ended)
        self._resume.clicked.connect(self.resume)
        self._forget.clicked.connect(self._discard)
        self.destroyed.connect(self._course.job.cancel)

    def _on_changed(self, what: str) -> None:
        if self._course.running:
            self._course.note(f"{what} {GONE_ON}")

    # training

    def start(self, *_: object) -> None:
        """Train, as a click on the button does; a training under way goes on undisturbed."""
        try:
            if not self._material.pairs:
                raise UserError(
                    "There is nothing to learn from: add an image with its labels (Add all)."
                )
            check_name(self._name.text())
        except UserError as error:
            show_warning(str(error))
            return
        self._material.when_ready(self._start)  # so that what is held back is seen before it is

    def _start(self) -> None:
        try:
            draft = Draft.new(check_name(self._name.text()))
            self._begin(self._material.arrays(), self._material.params(), draft)
        except UserError as error:
            show_warning(str(error))

    def resume(self, *_: object) -> None:
        """Go on with what was interrupted."""
        halted = interrupted()
        if halted is None:
            show_warning("There is no training to resume any more.")
            self._offer_to_resume()
            return
        self._begin((), halted.params, halted.draft, resume=True)

    def _begin(
        self,
        arrays: tuple[dict[str, Any], ...],
        params: TrainParams,
        draft: Draft,
        resume: bool = False,
    ) -> None:
        if self._course.running:
            return
        model = self._model.model.value
        self._material.sleep()
        wanted = Training(
            arrays,
            "" if model == RANDOM else model,
            params,
            self._model.device.value,
            folder(),
            preference("threads_free"),
            draft,
            resume,
        )
        self._banner.setVisible(False)
        self._curves.clear()
        self._outcome.clear()
        self._course.start(wanted)

    def _on_epoch(self, epoch: Any) -> None:
        self._curves.show_history(epoch.history)
        self._curves.show_picture(epoch.picture)

    def _on_learnt(self, learnt: Learnt) -> None:
        result = learnt.result
        self._outcome.show_scores(result.card.scores, result.verdict)
        self._keep(learnt.path, better=result.better)
        words = result.verdict.split(". ")[0]
        message = f"'{learnt.path.stem}' is saved: {words}"
        (show_warning if result.worse or result.forgets else show_info)(
            result.verdict if result.worse or result.forgets else message
        )

    def _keep(self, path: Path, better: bool) -> None:
        """Offer a new model everywhere; a better one is the default from now on."""
        if better:
            make_default(path)
        else:
            SHELF.changed.emit()
        self._library.choose(path)

    # what was interrupted

    def _on_ended(self) -> None:
        self._course.note("")  # what goes on has ended
        self._offer_to_resume()
        self._material.wake()

    def _offer_to_resume(self) -> None:
        halted = None if self._course.running else interrupted()
        self._banner.setVisible(halted is not None)
        if halted is not None:
            self._halted.setText(
                f"The training of '{halted.draft.name}', from '{halted.parent}', was interrupted "
                f"after epoch {halted.done} of {halted.params.epochs} ({halted.when})."
            )

    def _discard(self, *_: object) -> None:
        if (halted := interrupted()) is not None:
            halted.draft.forget()
        self._offer_to_resume()
