"""What is learnt from: pairs of layers, what unlabelled pixels mean, and what is held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.widgets.common.controls import combo
from napari_nuclei_unet.widgets.common.job import Job
from napari_nuclei_unet.widgets.common.params_form import ParamsForm
from napari_nuclei_unet.widgets.layers.geometry import pixels_of
from napari_nuclei_unet.widgets.layers.image_source import check_offline
from napari_nuclei_unet.widgets.layers.keys import HELD
from napari_nuclei_unet.widgets.train.pairs import LayerPair, PairList
from napari_nuclei_unet.widgets.train.task import Looked, look_at
from napari_nuclei_unet.widgets.train.validation_areas import draw_held, finished_of, read_held

if TYPE_CHECKING:
    from napari.components import ViewerModel

BACKGROUND, MARGIN = "background everywhere", "unknown, but for a margin around nuclei"
# Labels are looked at again so long after they were last painted, in milliseconds.
PAUSE = 700


class Material(QObject):
    """Keeps the list of pairs counted, and what is held back of them drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    form : ParamsForm
        Has ``margin``, and says how much is held back.
    parent : QWidget
        With it, looking at labels ends.

    Signals
    -------
    said : str
        Why nothing can be learnt yet; empty: it can.
    failed : Exception
        Of a look at the labels.
    changed : str
        A sentence: what was listed, or one of its layers, is not what it was.
    """

    said = Signal(str)
    failed = Signal(object)
    changed = Signal(str)

    def __init__(self, viewer: ViewerModel, form: ParamsForm[TrainParams], parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._form = viewer, form
        self._job = Job()
        self._again = False
        self._then: Callable[[], object] | None = None
        self._asleep = False
        self._drawn: dict[Any, Any] = {}  # what is held back, as it was chosen
        self.list = PairList(viewer)
        self.unlabelled = combo(
            "unlabelled",
            "What unlabelled pixels mean. Only what is known is learnt: leave out what you have "
            "not finished, with a shapes layer around what you have, or with a margin.",
            self._meanings,
        )
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._watch(parent)

    def _watch(self, parent: QWidget) -> None:
        self.list.changed.connect(self._on_pairs)
        self.unlabelled.changed.connect(self._on_meaning)
        self._form.changed.connect(self._on_setting)
        self._timer.timeout.connect(self._look)
        self._job.returned.connect(self._on_looked)
        self._job.failed.connect(self.failed)
        self._job.finished.connect(self._on_ended)
        self._viewer.layers.events.inserted.connect(self._on_layers)
        self._viewer.layers.events.removed.connect(self._on_layers)
        parent.destroyed.connect(self._job.cancel)

    def fill(self, form: QFormLayout) -> None:
        """Put the controls into a form."""
        self.list.fill(form)
        self._rows, self._margin = form, self._form.container("margin")
        form.addRow("Unlabelled is", self.unlabelled.native)
        form.addRow(self._margin)
        self._show_margin()

    # what is asked of it

    @property
    def pairs(self) -> list[LayerPair]:
        """What is listed."""
        return list(self.list.pairs)

    @property
    def busy(self) -> bool:
        """Whether labels are, or are about to be, looked at."""
        return self._timer.isActive() or self._job.running

    def params(self) -> TrainParams:
        """Values of the form; a margin only where it is meant."""
        shown = self._form.get()
        return dataclasses.replace(
            shown, margin=shown.margin if self.unlabelled.value == MARGIN else 0
        )

    def arrays(self, with_held: bool = True) -> tuple[dict[str, Any], ...]:
        """Take what a thread needs of the layers: arguments of ``lessons.Pair``.

        Raises
        ------
        UserError
            If a layer cannot be used.
        """
        shapes, made = self.unlabelled.value, []
        held = read_held(self._viewer, self.list.pairs) if with_held else {}
        for one in self.list.pairs:
            check_offline(one.image)
            finished = None
            if isinstance(shapes, Shapes):
                finished = finished_of(self._viewer, shapes, one)
            made.append(
                {
                    "image": pixels_of(one.image),
                    "labels": one.truth,
                    "name": one.image.name,
                    "channel_axis": one.channel_axis,
                    "channel": one.channel,
                    "finished": finished,
                    "held": held.get(one.key, {}) if held else None,
                }
            )
        return tuple(made)

    def when_ready(self, then: Callable[[], object]) -> None:
        """Do something when labels have been looked at: at once, if nothing has changed."""
        if not self.busy:
            then()
            return
        self._then = then
        self._timer.stop()
        self._look()

    def sleep(self) -> None:
        """Do not look at labels until :meth:`wake`: a training runs."""
        self._asleep = True

    def wake(self) -> None:
        """Look at labels, which may have been painted meanwhile."""
        self._asleep = False
        self._timer.start()

    # what happens elsewhere

    def _meanings(self, _: Any) -> list[tuple[str, Any]]:
        shapes = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Shapes) and HELD not in layer.metadata
        ]
        outside = [(f"unknown outside of '{layer.name}'", layer) for layer in shapes]
        return [(BACKGROUND, BACKGROUND), (MARGIN, MARGIN), *outside]

    def _on_layers(self, _: Any = None) -> None:
        before = self.unlabelled.value
        with self.unlabelled.changed.blocked():
            self.unlabelled.reset_choices()
            if before in self.unlabelled.choices:
                self.unlabelled.value = before
        if self.unlabelled.value != before:
            self.unlabelled.value = MARGIN  # what was unknown does not become background
            self._on_meaning()

    def _on_meaning(self, _: Any = None) -> None:
        self._show_margin()
        if isinstance(self.unlabelled.value, Shapes):
            self.unlabelled.value.events.data.connect(self._on_painted)
        self._timer.start()

    def _show_margin(self) -> None:
        self._rows.setRowVisible(self._margin, self.unlabelled.value == MARGIN)

    def _on_pairs(self) -> None:
        """Count anew, and hold back anew what the user has not moved."""
        for pair in self.list.pairs:
            for happens in ("paint", "labels_update", "data"):
                getattr(pair.labels.events, happens).connect(self._on_painted)
            pair.image.events.data.connect(self._on_painted)
            for layer in (pair.image, pair.labels):
                layer.events.name.connect(self._on_renamed)
        self.changed.emit("The list was changed.")
        here = [str(pair.labels.unique_id) for pair in self.list.pairs]
        self._clear_held(lambda layer: layer.metadata[HELD] not in here)
        self._timer.start()

    def _on_painted(self, event: Any) -> None:
        if event.source in [one for pair in self.pairs for one in (pair.image, pair.labels)]:
            self.changed.emit(f"'{event.source.name}' was changed.")
        self._timer.start()

    def _on_renamed(self, event: Any) -> None:
        self.changed.emit(f"A layer is '{event.source.name}' now.")

    def _on_setting(self, name: str) -> None:
        if name in ("validation", "seed"):
            self._clear_held(lambda _: True)
        if name in ("validation", "seed", "margin"):
            self._timer.start()

    def _clear_held(self, gone: Callable[[Any], bool]) -> None:
        for layer in list(self._viewer.layers):
            if HELD in layer.metadata and gone(layer):
                self._viewer.layers.remove(layer)

    # looking at labels, in a thread

    def _look(self) -> None:
        """Count nuclei, and choose what is held back."""
        if self._job.running:
            self._again = True
            return
        if self._asleep:
            return
        self._looked = self.pairs
        try:
            arrays, params = self.arrays(with_held=False), self.params()
        except UserError as error:
            self._then = None
            self.said.emit(str(error))
            return
        self._job.start("", look_at, arrays, params)

    def _on_looked(self, looked: Looked) -> None:
        pairs = self._looked
        self.list.say_nuclei({p.key: n for p, n in zip(pairs, looked.nuclei, strict=True)})
        here = [pair for pair in pairs if pair.is_in(self._viewer)]
        seen = read_held(self._viewer, here)
        if self._asleep:
            return
        self.said.emit(looked.problem)
        if seen and seen != self._drawn:
            return  # the user has moved some
        for pair, held in zip(pairs, looked.held, strict=True):
            if pair in here:
                draw_held(self._viewer, pair, held)
        self._drawn = read_held(self._viewer, here)

    def _on_ended(self) -> None:
        if self._again:
            self._again = False
            self._look()
        elif self._then is not None:
            then, self._then = self._then, None
            then()
