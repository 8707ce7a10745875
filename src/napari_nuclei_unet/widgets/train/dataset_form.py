"""The training data: pairs of layers, the meaning of unlabelled pixels, and validation areas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from ...errors import UserError
from ...params import TrainParams
from ..common.controls import create_combo_box, with_properties
from ..common.job import ThreadJob
from ..common.layer_combo import reload_choices
from ..common.notify import name_controls
from ..common.params_form import ParamsForm
from ..layers.geometry import full_resolution_data
from ..layers.image_source import check_offline
from ..layers.metadata_keys import VALIDATION_AREAS_KEY, list_layers
from ..layers.navigate import fit_view
from .annotation_count import AnnotationCount, annotation_count_steps
from .isolated_layers import IsolatedLayers
from .layer_pairs import LayerPair, PairArrays
from .pairs import PairList
from .validation_areas import (
    draw_validation_areas,
    find_validation_layer,
    read_finished_areas,
    read_validation_areas,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...training.finetune_data import ValidationAreas

UNLABELLED_IS_BACKGROUND, UNLABELLED_IS_UNKNOWN = (
    "background everywhere",
    "unknown, but for a margin around nuclei",
)
# Settings by which validation areas are chosen.
CHOICE_SETTINGS = ("validation", "validation_nuclei", "seed")
# Delay after the last stroke until labels are counted again, in milliseconds.
RECOUNT_DELAY_MS = 700


@dataclass(frozen=True, eq=False)
class DatasetChoice:
    """What a model is trained on.

    Attributes
    ----------
    pairs : tuple of LayerPair
    unlabelled : str or napari.layers.Shapes
        ``UNLABELLED_IS_BACKGROUND``, ``UNLABELLED_IS_UNKNOWN``, or the layer of finished areas.
    """

    pairs: tuple[LayerPair, ...]
    unlabelled: str | Shapes


class DatasetForm(QObject):
    """Selects the training data; counts its nuclei, and draws its validation areas.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    params_form : ParamsForm
        Holds ``margin`` and the share of validation.
    parent : QWidget
        Counting ends when it is destroyed.

    Signals
    -------
    message : str
        Why training is not possible yet; empty: it is.
    failed : Exception
        From counting.
    changed
        There is another :meth:`value`.
    data_changed : str
        A sentence: the list, or one of its layers, has changed.
    """

    message = Signal(str)
    failed = Signal(object)
    changed = Signal()
    data_changed = Signal(str)

    def __init__(
        self, viewer: ViewerModel, params_form: ParamsForm[TrainParams], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._viewer, self._params_form = viewer, params_form
        self._job = ThreadJob(self)
        self._count_again = False
        self._when_counted: Callable[[], object] | None = None
        self._is_suspended = False
        self._drawn_areas: dict[Any, Any] = {}  # validation areas, as they were chosen
        self.pair_list = PairList(viewer, self)
        self.unlabelled = create_combo_box(
            "unlabelled",
            "all nuclei: pixels without a label are background. some nuclei: only a margin around "
            "each is background, and the rest is ignored. all inside a shapes layer: everything "
            "outside its shapes is ignored.",
            self._unlabelled_choices,
        )
        self._timer = with_properties(QTimer(self), singleShot=True, interval=RECOUNT_DELAY_MS)
        self._isolated = IsolatedLayers(viewer)
        self._watch()

    def _watch(self) -> None:
        self.pair_list.changed.connect(self._on_pairs)
        self.pair_list.chosen.connect(self._on_chosen)
        self.unlabelled.changed.connect(self._on_meaning)
        self._params_form.changed.connect(self._on_setting)
        self._timer.timeout.connect(self._count)
        self._job.returned.connect(self._on_counted)
        self._job.failed.connect(self.failed)
        self._job.finished.connect(self._on_ended)
        self._viewer.layers.events.inserted.connect(self._on_layers)
        self._viewer.layers.events.removed.connect(self._on_layers)

    def fill(self, form: QFormLayout) -> None:
        """Add the controls to a form."""
        self.pair_list.fill(form)
        self._rows, self._margin = form, self._params_form.container("margin")
        form.addRow("I painted", self.unlabelled.native)
        form.addRow(self._margin)
        self._show_margin()

    # values

    def value(self) -> DatasetChoice:
        """Return what is selected."""
        return DatasetChoice(self.pair_list.value(), self.unlabelled.value)

    def set_value(self, value: DatasetChoice) -> None:
        """Select training data."""
        self.unlabelled.value = value.unlabelled
        self.pair_list.set_value(value.pairs)

    @property
    def is_busy(self) -> bool:
        """Whether labels are being counted, or are about to be."""
        return self._timer.isActive() or self._job.is_running

    def params(self) -> TrainParams:
        """Return the values of the form; the margin is 0 unless it applies."""
        params = self._params_form.value()
        return dataclasses.replace(
            params, margin=params.margin if self.unlabelled.value == UNLABELLED_IS_UNKNOWN else 0
        )

    def arrays(self, with_validation: bool = True) -> tuple[PairArrays, ...]:
        """Collect what the thread needs of the layers.

        Raises
        ------
        UserError
            If a layer cannot be used.
        """
        pairs = self.pair_list.value()
        areas = read_validation_areas(self._viewer, pairs) if with_validation else {}
        return tuple(
            self._pair_arrays(pair, areas.get(pair.key, {}) if areas else None) for pair in pairs
        )

    def _pair_arrays(self, pair: LayerPair, areas: ValidationAreas | None) -> PairArrays:
        check_offline(pair.image)
        shapes, finished = self.unlabelled.value, None
        if isinstance(shapes, Shapes):
            finished = read_finished_areas(self._viewer, shapes, pair)
        return PairArrays(
            image=full_resolution_data(pair.image),
            labels=pair.labels_array,
            name=pair.image.name,
            channel_axis=pair.channel_axis,
            channel=pair.channel,
            finished=finished,
            validation_areas=areas,
            brightness=pair.brightness,
        )

    def when_ready(self, then: Callable[[], object]) -> None:
        """Call a function when labels are counted: at once, if nothing has changed."""
        if not self.is_busy:
            then()
            return
        self._when_counted = then
        self._timer.stop()
        self._count()

    def suspend_counting(self) -> None:
        """Stop counting labels during a training, until :meth:`resume_counting`."""
        self._is_suspended = True

    def resume_counting(self) -> None:
        """Resume counting labels, which may have been painted in the meantime."""
        self._is_suspended = False
        self._timer.start()

    # what is shown

    def show_chosen(self) -> None:
        """Show the images that are chosen in the list alone, with their labels; none: as before."""
        shown: list[Any] = []
        for pair in self.pair_list.chosen_pairs():
            areas = find_validation_layer(self._viewer, pair.labels)
            shown += [pair.image, pair.labels, *([] if areas is None else [areas])]
        if not shown:
            self._isolated.restore()
            return
        if isinstance(self.unlabelled.value, Shapes):
            shown.append(self.unlabelled.value)
        self._isolated.show_only(shown)

    def _on_chosen(self) -> None:
        """Show the images that are chosen, and zoom to them, as their sizes may differ."""
        self.show_chosen()
        if images := [pair.image for pair in self.pair_list.chosen_pairs()]:
            fit_view(self._viewer, images)

    def show_all(self) -> None:
        """Show all layers as before one was chosen in the list."""
        self._isolated.restore()

    # changes in the viewer

    def _unlabelled_choices(self, _: Any) -> list[tuple[str, Any]]:
        shapes = list_layers(self._viewer, Shapes, without_key=VALIDATION_AREAS_KEY)
        inside = [(f"all inside '{layer.name}'", layer) for layer in shapes]
        return [
            ("all nuclei", UNLABELLED_IS_BACKGROUND),
            ("some nuclei", UNLABELLED_IS_UNKNOWN),
            *inside,
        ]

    def _on_layers(self, _: Any = None) -> None:
        if reload_choices(self.unlabelled):
            # what was unknown must not become background
            self.unlabelled.value = UNLABELLED_IS_UNKNOWN
            self._on_meaning()

    def _on_meaning(self, _: Any = None) -> None:
        self._show_margin()
        if isinstance(self.unlabelled.value, Shapes):
            self.unlabelled.value.events.data.connect(self._on_painted)
        self._timer.start()
        self.changed.emit()

    def _show_margin(self) -> None:
        self._rows.setRowVisible(self._margin, self.unlabelled.value == UNLABELLED_IS_UNKNOWN)

    def _on_pairs(self) -> None:
        """Count again, and choose validation areas again unless the user has moved them."""
        pairs = self.pair_list.value()
        for pair in pairs:
            for event in ("paint", "labels_update", "data"):
                getattr(pair.labels.events, event).connect(self._on_painted)
            pair.image.events.data.connect(self._on_painted)
            for layer in (pair.image, pair.labels):
                layer.events.name.connect(self._on_renamed)
        self.data_changed.emit("The list was changed.")
        ids = [str(pair.labels.unique_id) for pair in pairs]
        self._clear_validation_areas(lambda layer: layer.metadata[VALIDATION_AREAS_KEY] not in ids)
        self._timer.start()
        self.changed.emit()

    def _on_painted(self, event: Any) -> None:
        pairs = self.pair_list.value()
        if event.source in [layer for pair in pairs for layer in (pair.image, pair.labels)]:
            self.data_changed.emit(f"'{event.source.name}' was changed.")
        self._timer.start()

    def _on_renamed(self, event: Any) -> None:
        self.data_changed.emit(f"A layer is called '{event.source.name}' now.")

    def _on_setting(self, name: str) -> None:
        if name in CHOICE_SETTINGS:
            self._clear_validation_areas(lambda _: True)
        if name in (*CHOICE_SETTINGS, "margin"):
            self._timer.start()

    def _clear_validation_areas(self, gone: Callable[[Any], bool]) -> None:
        for layer in list(self._viewer.layers):
            if VALIDATION_AREAS_KEY in layer.metadata and gone(layer):
                self._viewer.layers.remove(layer)

    # counting labels, in a thread

    def _count(self) -> None:
        """Count nuclei, and choose validation areas."""
        if self._job.is_running:
            self._count_again = True
            return
        if self._is_suspended:
            return
        self._counted_pairs = self.pair_list.value()
        try:
            arrays, params = self.arrays(with_validation=False), self.params()
        except UserError as error:
            self._when_counted = None
            self.message.emit(name_controls(error))
            return
        self._job.start("", annotation_count_steps, arrays, params)

    def _on_counted(self, count: AnnotationCount) -> None:
        pairs = self._counted_pairs
        self.pair_list.show_counts({p.key: n for p, n in zip(pairs, count.nuclei, strict=True)})
        here = [pair for pair in pairs if pair.is_in(self._viewer)]
        drawn = read_validation_areas(self._viewer, here)
        if self._is_suspended:
            return
        self.message.emit(name_controls(count.problem))
        if drawn and drawn != self._drawn_areas:
            return  # the user has moved some
        for pair, areas in zip(pairs, count.validation_areas, strict=True):
            if pair in here:
                draw_validation_areas(self._viewer, pair, areas)
        self._drawn_areas = read_validation_areas(self._viewer, here)

    def _on_ended(self) -> None:
        if self._count_again:
            self._count_again = False
            self._count()
        elif self._when_counted is not None:
            then, self._when_counted = self._when_counted, None
            then()
