"""The panel that compares two labels layers of one image: counts, scores, a layer of errors."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QLabel

from ...errors import UserError
from ...metrics.error_types import ERROR_KINDS, Comparison
from ...metrics.matching import IOU_THRESHOLDS
from ..common.controller import Controller, RunState
from ..common.controls import Panel, create_button, create_combo_box, create_label
from ..common.layer_combo import reload_choices
from ..common.notify import describe_error, report_user_errors
from ..layers.geometry import layer_shape
from ..layers.labels_record import is_attached
from ..layers.metadata_keys import METADATA_KEY, list_nuclei
from ..layers.volumes import is_volume
from .compare_task import ERROR_COLORS, ComparedLayers, CompareTask
from .greyed_result import GreyedResult

if TYPE_CHECKING:
    from magicgui.widgets import ComboBox
    from napari.components import ViewerModel

ERROR_KIND_MEANINGS = {
    "missed": "annotated, and not found",
    "false": "found, and not annotated",
    "split": "one annotated nucleus, found in pieces",
    "merged": "several annotated nuclei, found as one",
}
COMPARED_SCORES = ("mean AP", "F1", "PQ", *(f"AP@{threshold:g}" for threshold in IOU_THRESHOLDS))
SCORES_PER_ROW = 4
TWO_LABELS_NEEDED = "Two labels layers of one image are needed: open or paint the other one first."


class ComparePanel(Panel):
    """Compares two labels layers, and shows how they differ.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Attributes
    ----------
    controller : Controller
        Runs the comparison.

    Signals
    -------
    changed
        There is another :meth:`value`.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._scored_layers: tuple[Labels, ...] = ()  # whose scores are shown
        self._user_chosen: set[str] = set()  # lists in which the user has chosen
        self._preferred: Labels | None = None  # as the result
        self.controller = Controller(self)
        self._greyed = GreyedResult(viewer, self)
        self._build()
        self._value = self.value()
        for combo in (self._result, self._annotation):
            combo.changed.connect(lambda _, name=combo.name: self._on_chosen(name))
        self.controller.state_changed.connect(self._on_state)
        self.controller.message.connect(self.message)
        self.controller.failed.connect(self._on_failed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self.refresh_choices)
        for layer in viewer.layers:
            layer.events.name.connect(self.refresh_choices)
        self.refresh_choices()

    def _build(self) -> None:
        self._result = create_combo_box(
            "compare_result", "The labels that are judged.", self._labels_layers
        )
        self._annotation = create_combo_box(
            "compare_annotation", "The labels that are taken for true.", self._labels_layers
        )
        self._start = create_button(
            "compare",
            "Compare",
            "Count and show the nuclei of the result that are missed, false, split or merged.",
            self.compare,
        )
        self._counts = _text_label("compare_counts")
        self._legend = _text_label("compare_legend")
        self._legend.setToolTip(
            "\n".join(f"{kind}: {meaning}" for kind, meaning in ERROR_KIND_MEANINGS.items())
        )
        self._legend.setText(_legend(dict.fromkeys(ERROR_KINDS)))
        self._scores = _text_label("compare_scores")
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow("Result", self._result.native)
        layout.addRow("Annotation", self._annotation.native)
        for widget in (self._start, self._counts, self._legend, self._scores):
            layout.addRow(widget)

    # choices of the lists

    def value(self) -> ComparedLayers:
        """Return what is chosen."""
        return ComparedLayers(self._result.value, self._annotation.value)

    def set_value(self, value: ComparedLayers) -> None:
        """Choose layers, as the user does."""
        self._result.value, self._annotation.value = value.result, value.annotation

    def _on_chosen(self, name: str) -> None:
        self._user_chosen.add(name)
        self._check_changed()

    def _check_changed(self) -> None:
        if (value := self.value()) != self._value:
            self._value = value
            self.changed.emit()

    def _labels_layers(self, _: Any) -> list[Labels]:
        return list_nuclei(self._viewer)

    def _on_inserted(self, event: Any) -> None:
        event.value.events.name.connect(self.refresh_choices)
        self.refresh_choices()

    def refresh_choices(self, *_: object) -> None:
        """Update the labels layers offered; guess again what was not chosen by hand."""
        if any(layer not in self._viewer.layers for layer in self._scored_layers):
            self._clear()
        if self._preferred not in self._viewer.layers:
            self._preferred = None
        result = self._refreshed_choice(self._result)
        annotation = self._refreshed_choice(self._annotation)
        if result is None:
            result = self._set(self._result, self._guess_result(annotation))
        if annotation is None:
            self._set(self._annotation, self._guess_annotation(result))
        self._check_changed()

    def prefer_result(self, layer: Labels) -> None:
        """Guess that a layer is the result, or the annotation if only others were segmented."""
        self._preferred = layer
        self.refresh_choices()  # it may be new

    def _refreshed_choice(self, combo: ComboBox) -> Labels | None:
        """Reload the choices; return the one chosen by hand, if it is still there."""
        before = combo.value
        reload_choices(combo)
        if before is None or before not in combo.choices:
            self._user_chosen.discard(combo.name)
        return before if combo.name in self._user_chosen else None

    @staticmethod
    def _set(combo: ComboBox, layer: Labels | None) -> Labels | None:
        with combo.changed.blocked():
            if layer is not None:
                combo.value = layer
        return layer

    def _guess_result(self, annotation: Labels | None) -> Labels | None:
        """Return the preferred or latest that was segmented, or else of all, but the annotation.

        Where all have a record, as labels that were saved and loaded do, those that were made here
        are the result.
        """
        layers = self._labels_layers(None)
        offered = [layer for layer in layers if layer != annotation] or layers
        ranks = {_result_rank(layer) for layer in offered}
        likely = max(ranks, default=0)
        least = min(likely, 1) if 0 in ranks or annotation is not None else likely
        guesses = [layer for layer in offered if _result_rank(layer) >= least]
        if self._preferred in guesses:
            return self._preferred
        guesses = [layer for layer in guesses if layer.visible] or guesses
        return max(reversed(guesses), key=_result_rank, default=None)  # the latest

    def _guess_annotation(self, result: Labels | None) -> Labels | None:
        """Return another of the same shape, preferably not segmented, or preferred as a result."""
        others = [layer for layer in self._labels_layers(None) if layer != result]

        def rank(layer: Labels) -> tuple[bool, int, bool, bool]:
            other_shape = layer_shape(layer) != layer_shape(result)
            is_other = layer != self._preferred
            return other_shape, _result_rank(layer), not layer.visible, is_other

        return min(others, key=rank, default=result)

    # comparing

    def compare(self, *_: object) -> None:
        """Compare, as a click on the button does; does nothing during another comparison."""
        if not self.controller.is_idle:
            return
        result, annotation = self._result.value, self._annotation.value
        with report_user_errors(self.message.emit):
            if len(self._labels_layers(None)) < 2:
                raise UserError(TWO_LABELS_NEEDED)
            show = partial(self._show, result, annotation)
            task = CompareTask(self._viewer, result, annotation, show)
            self.message.emit(task.begins)
            self.controller.start(task)

    def _show(
        self, result: Labels, annotation: Labels, comparison: Comparison, errors: Labels
    ) -> None:
        self._greyed.follow(result, errors)
        self._scored_layers = annotation, result
        counts, n_right = comparison.counts, int(comparison.counts.matched[0])
        objects = " nuclei in all their slices" if is_volume(result) else ""
        self._counts.setText(
            f"<b>{escape(result.name)}</b> compared with <b>{escape(annotation.name)}</b>: "
            f"{counts.n_true:,}{objects} annotated, {counts.n_predicted:,} found, {n_right:,} right"
        )
        self._legend.setText(_legend(comparison.numbers))
        self._scores.setText(_scores_table(counts.scores()))

    def _clear(self) -> None:
        self._scored_layers = ()
        self._counts.setText("")
        self._scores.setText("")
        self._legend.setText(_legend(dict.fromkeys(ERROR_KINDS)))

    def _on_failed(self, error: Exception) -> None:
        self.message.emit(describe_error(error))

    def _on_state(self, _: RunState) -> None:
        self._start.setEnabled(self.controller.is_idle)


def _result_rank(layer: Labels) -> int:
    """Return 2 for labels that were segmented here, 1 for loaded or copied results, else 0."""
    return is_attached(layer) + (METADATA_KEY in layer.metadata)


def _legend(numbers: dict[str, Any]) -> str:
    """Format the kinds of errors in their colours, each with its number, where known."""
    return " &nbsp; ".join(
        f'<span style="color:{ERROR_COLORS[kind]}">■</span> '
        + (kind if number is None else f"{number:,} {kind}")
        for kind, number in numbers.items()
    )


def _scores_table(scores: dict[str, float]) -> str:
    lines = []
    for first in range(0, len(COMPARED_SCORES), SCORES_PER_ROW):
        names = COMPARED_SCORES[first : first + SCORES_PER_ROW]
        lines.append("".join(f"<th>{name}</th>" for name in names))
        lines.append("".join(f"<td align='center'>{scores[name]:.3f}</td>" for name in names))
    return "<table cellspacing='4'>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text_label(name: str) -> QLabel:
    label = create_label(name)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
