"""The dock widget "Train nuclei model"."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QFormLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.library import check_name
from napari_nuclei_unet.params import RECIPES, TrainParams
from napari_nuclei_unet.widgets._course import Course
from napari_nuclei_unet.widgets._curves import Curves
from napari_nuclei_unet.widgets._form import ParamsForm
from napari_nuclei_unet.widgets._held import HELD, draw_held, finished_of, read_held
from napari_nuclei_unet.widgets._job import Job
from napari_nuclei_unet.widgets._layers import pixels_of
from napari_nuclei_unet.widgets._lesson import (
    Learnt,
    Looked,
    Training,
    forget_unfinished,
    look_at,
    unfinished,
)
from napari_nuclei_unet.widgets._library import Library
from napari_nuclei_unet.widgets._model import RANDOM, ModelChoice
from napari_nuclei_unet.widgets._outcome import Outcome
from napari_nuclei_unet.widgets._pairs import LayerPair, PairList
from napari_nuclei_unet.widgets._parts import button, combo, row
from napari_nuclei_unet.widgets._preferences import preference
from napari_nuclei_unet.widgets._shelf import SHELF, folder, make_default

if TYPE_CHECKING:
    import napari.viewer

    from napari_nuclei_unet.lessons import Pair

BACKGROUND, MARGIN = "background everywhere", "unknown, but for a margin around nuclei"
SETTINGS = (
    "epochs", "steps", "learning_rate", "batch", "patch", "augment", "frozen", "reference",
    "patience", "validation", "precision", "seed",
)  # fmt: skip
# Labels are looked at again so long after they were last painted, in milliseconds.
PAUSE = 700
DEFAULT_MARGIN = 8
GONE_ON = "Training goes on with what it started with."


class TrainWidget(QScrollArea):
    """Makes a model that suits the images on view, from nuclei that were corrected or painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._looking = Job()
        self._look_again = self._start_then = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._build()
        self._watch()
        self._form.set(dataclasses.replace(RECIPES["finetune"], margin=DEFAULT_MARGIN))
        self._show_margin()
        self._offer_to_resume()

    # what is seen

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._form = ParamsForm(TrainParams)
        self._course = Course()
        self._curves, self._outcome = Curves(), Outcome()
        layout.addWidget(self._resuming())
        layout.addLayout(self._top())
        layout.addWidget(
            self._folded("Settings", "train_settings", self._form.container(*SETTINGS))
        )
        for one in (self._course, self._curves, self._outcome):
            layout.addWidget(one)
        self._library = Library()
        layout.addWidget(self._folded("Models", "models", self._library))
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)

    def sizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Wide enough for the form, which scrolls up and down only."""
        return QSize(self.widget().sizeHint().width() + 20, 640)

    def _top(self) -> QFormLayout:
        top = QFormLayout()
        self._pairs = PairList(self._viewer)
        self._pairs.fill(top)
        self._unlabelled = combo(
            "unlabelled",
            "What unlabelled pixels mean. Only what is known is learnt: leave out what you have "
            "not finished, with a shapes layer around what you have, or with a margin.",
            self._meanings,
        )
        self._model = ModelChoice(at_random=True)
        self._name = QLineEdit("my nuclei", objectName="model_name")
        self._name.setToolTip("What the new model is called; a name that is taken gets a number.")
        top.addRow("Unlabelled is", self._unlabelled.native)
        self._margin = self._form.container("margin")
        top.addRow(self._margin)
        self._model.fill(top)
        top.addRow("New model", self._name)
        self._top_form = top
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
        self._pairs.changed.connect(self._on_pairs)
        self._form.changed.connect(self._on_setting)
        self._unlabelled.changed.connect(self._on_meaning)
        self._timer.timeout.connect(self._look)
        self._looking.returned.connect(self._on_looked)
        self._looking.failed.connect(self._on_look_failed)
        self._looking.finished.connect(self._on_look_ended)
        self._course.train.clicked.connect(self.start)
        self._course.learnt.connect(self._on_learnt)
        self._course.epoch.connect(self._on_epoch)
        self._course.ended.connect(self._offer_to_resume)
        self._resume.clicked.connect(self.resume)
        self._forget.clicked.connect(self._discard)
        layers = self._viewer.layers
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        self.destroyed.connect(self._looking.cancel)
        self.destroyed.connect(self._course.job.cancel)

    # what is annotated

    def _meanings(self, _: Any) -> list[tuple[str, Any]]:
        shapes = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Shapes) and HELD not in layer.metadata
        ]
        outside = [(f"unknown outside of '{layer.name}'", layer) for layer in shapes]
        return [(BACKGROUND, BACKGROUND), (MARGIN, MARGIN), *outside]

    def _on_layers(self, _: Any = None) -> None:
        before = self._unlabelled.value
        with self._unlabelled.changed.blocked():
            self._unlabelled.reset_choices()
            if before in self._unlabelled.choices:
                self._unlabelled.value = before
        if self._unlabelled.value != before:
            self._on_meaning()

    def _on_meaning(self, _: Any = None) -> None:
        self._show_margin()
        if isinstance(self._unlabelled.value, Shapes):
            self._unlabelled.value.events.set_data.connect(self._on_painted)
        self._timer.start()

    def _show_margin(self) -> None:
        self._top_form.setRowVisible(self._margin, self._unlabelled.value == MARGIN)

    def _on_pairs(self) -> None:
        """Count anew, and hold back anew: what was held back was of other images."""
        for pair in self._pairs.pairs:
            pair.labels.events.set_data.connect(self._on_painted)
            pair.labels.events.paint.connect(self._on_painted)
            pair.image.events.data.connect(self._on_painted)
            for layer in (pair.image, pair.labels):
                layer.events.name.connect(self._on_renamed)
        if self._course.running:
            self._course.note(f"The list was changed. {GONE_ON}")
        self._clear_held()
        self._timer.start()

    def _on_painted(self, event: Any) -> None:
        mine = [one for pair in self._pairs.pairs for one in (pair.image, pair.labels)]
        if self._course.running and event.source in mine:
            self._course.note(f"'{event.source.name}' was changed. {GONE_ON}")
        self._timer.start()

    def _on_renamed(self, event: Any) -> None:
        if self._course.running:
            self._course.note(f"A layer is '{event.source.name}' now. {GONE_ON}")

    def _on_setting(self, name: str) -> None:
        if name in ("validation", "seed"):
            self._clear_held()
        if name in ("validation", "seed", "margin"):
            self._timer.start()

    def _clear_held(self) -> None:
        for layer in list(self._viewer.layers):
            if HELD in layer.metadata:
                self._viewer.layers.remove(layer)

    def _params(self) -> TrainParams:
        margin = self._form.get().margin if self._unlabelled.value == MARGIN else 0
        return dataclasses.replace(self._form.get(), margin=margin)

    def _arrays(self, pairs: list[LayerPair], held: dict[Any, Any]) -> tuple[Pair, ...]:
        """Take the arrays of layers, which the thread may read."""
        from napari_nuclei_unet.lessons import Pair  # torch comes with it

        shapes = self._unlabelled.value
        return tuple(
            Pair(
                pixels_of(one.image),
                one.truth,
                one.image.name,
                one.channel_axis,
                one.channel,
                finished_of(self._viewer, shapes, one) if isinstance(shapes, Shapes) else None,
                held.get(one.key, {}) if held else None,
            )
            for one in pairs
        )

    def _look(self) -> None:
        """Count nuclei in a thread, and choose what is held back."""
        if self._looking.running:
            self._look_again = True
            return
        self._looked = list(self._pairs.pairs)
        if self._course.running:
            return
        try:
            arrays = self._arrays(self._looked, {})
        except UserError as error:
            self._course.say(str(error))
            self._start_then = False
            return
        self._looking.start("", look_at, arrays, self._params())

    def _on_looked(self, looked: Looked) -> None:
        pairs = self._looked
        self._pairs.say_nuclei({p.key: n for p, n in zip(pairs, looked.nuclei, strict=True)})
        self._course.say(looked.problem)
        here = [pair for pair in pairs if pair.is_in(self._viewer)]
        if self._course.running or read_held(self._viewer, here):
            return  # it was drawn before, and perhaps moved by the user
        for pair, held in zip(pairs, looked.held, strict=True):
            if pair in here:
                draw_held(self._viewer, pair, held)

    def _on_look_failed(self, error: Exception) -> None:
        self._course.fail(error)

    def _on_look_ended(self) -> None:
        if self._look_again:
            self._look_again = False
            self._look()
        elif self._start_then:
            self._start_then = False
            self.start()

    # training

    def start(self, *_: object) -> None:
        """Train, as a click on the button does; a training under way goes on undisturbed."""
        if self._looking.running or self._timer.isActive():
            # so that what is held back is seen before it is
            self._start_then = True
            self._timer.stop()
            self._look()
            return
        pairs = list(self._pairs.pairs)
        try:
            if not pairs:
                raise UserError(
                    "There is nothing to learn from: add an image with its labels (Add all)."
                )
            held = read_held(self._viewer, pairs)
            self._begin(self._arrays(pairs, held), self._params(), self._model.model.value)
        except UserError as error:
            show_warning(str(error))

    def resume(self, *_: object) -> None:
        """Go on with what was interrupted."""
        halted = unfinished()
        if halted is None:
            show_warning("There is no training to resume any more.")
            self._offer_to_resume()
            return
        try:
            self._begin((), halted.params, self._model.model.value, resume=True)
        except UserError as error:
            show_warning(str(error))

    def _begin(
        self, arrays: tuple[Pair, ...], params: TrainParams, model: str, resume: bool = False
    ) -> None:
        if self._course.running:
            return
        wanted = Training(
            arrays,
            "" if model == RANDOM else model,
            params,
            self._model.device.value,
            check_name(self._name.text()),
            folder(),
            preference("threads_free"),
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
        self._keep(learnt.path, better=not result.worse)
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

    def _offer_to_resume(self) -> None:
        halted = None if self._course.running else unfinished()
        self._banner.setVisible(halted is not None)
        if halted is not None:
            self._halted.setText(
                f"A training from '{halted.name}' was interrupted after epoch {halted.done} of "
                f"{halted.params.epochs} ({halted.when})."
            )

    def _discard(self, *_: object) -> None:
        forget_unfinished()
        self._offer_to_resume()
