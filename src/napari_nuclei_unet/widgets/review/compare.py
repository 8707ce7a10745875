"""Two labels layers of one image side by side: counts, scores, and a layer of the errors."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.metrics.error_types import KINDS, Comparison
from napari_nuclei_unet.metrics.matching import THRESHOLDS
from napari_nuclei_unet.widgets.common.controls import button, combo
from napari_nuclei_unet.widgets.common.job import Job
from napari_nuclei_unet.widgets.layers.geometry import pixels_of, shape_of
from napari_nuclei_unet.widgets.layers.keys import ERRORS, METADATA
from napari_nuclei_unet.widgets.review.comparison import (
    CHANGED,
    COLOURS,
    check_pair,
    compare_steps,
    show_errors,
)

if TYPE_CHECKING:
    from magicgui.widgets import ComboBox
    from napari.components import ViewerModel

MEANINGS = {
    "missed": "annotated, and not found",
    "false": "found, and not annotated",
    "split": "one annotated nucleus, found in pieces",
    "merged": "several annotated nuclei, found as one",
}
SCORES = ("mean AP", "F1", "PQ", *(f"AP@{threshold:g}" for threshold in THRESHOLDS))
COLUMNS = 4
TOO_FEW = "Two labels layers of one image are needed: open or paint the other one first."


class Compare(QWidget):
    """Chooses two labels layers, compares them, and shows how they differ.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    said : str
        A sentence for the user.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._taken: tuple[tuple[Labels, Any], ...] = ()  # layers at work, each with its array
        self._compared: tuple[Labels, ...] = ()  # whose scores are shown
        self._chosen: set[str] = set()  # lists in which the user has chosen
        self.job = Job()
        self._build()
        self._start.clicked.connect(self.start)
        for one in (self._result, self._annotation):
            one.changed.connect(lambda _, name=one.name: self._chosen.add(name))
        self.job.returned.connect(self._on_compared)
        self.job.failed.connect(self._on_failed)
        self.job.finished.connect(self._on_finished)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self.renew)
        for layer in viewer.layers:
            layer.events.name.connect(self.renew)
        self.destroyed.connect(self.job.cancel)
        self.renew()

    def _build(self) -> None:
        self._result = combo("compare_result", "The labels that are judged.", self._offered)
        self._annotation = combo(
            "compare_annotation", "The labels that are taken for true.", self._offered
        )
        self._start = button(
            "compare",
            "Compare",
            "Count and show the nuclei of the result that are missed, false, split or merged.",
        )
        self._counts = _text("compare_counts")
        self._legend = _text("compare_legend")
        self._legend.setToolTip(
            "\n".join(f"{kind}: {meaning}" for kind, meaning in MEANINGS.items())
        )
        self._legend.setText(_legend(dict.fromkeys(KINDS)))
        self._scores = _text("compare_scores")
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow("Result", self._result.native)
        layout.addRow("Annotation", self._annotation.native)
        for one in (self._start, self._counts, self._legend, self._scores):
            layout.addRow(one)

    # what the lists offer

    def _offered(self, _: Any) -> list[Labels]:
        labels = [layer for layer in self._viewer.layers if isinstance(layer, Labels)]
        return [layer for layer in labels if ERRORS not in layer.metadata]

    def _on_inserted(self, event: Any) -> None:
        event.value.events.name.connect(self.renew)
        self.renew()

    def renew(self, *_: object) -> None:
        """Offer the labels layers there are; what was not chosen by hand is guessed anew."""
        if any(layer not in self._viewer.layers for layer in self._compared):
            self._clear()
        result = self._renewed(self._result)
        if result is None:
            result = self._set(self._result, self._likely_result())
        if self._renewed(self._annotation) is None:
            self._set(self._annotation, self._likely_annotation(result))

    def judge(self, layer: Labels) -> None:
        """Take a layer for the result, as if it was chosen."""
        self.renew()  # it may be new
        if layer not in self._offered(None) or layer == self._result.value:
            return
        self._set(self._result, layer)
        self._chosen.add(self._result.name)
        if self._annotation.value == layer or self._annotation.name not in self._chosen:
            self._set(self._annotation, self._likely_annotation(layer))

    def _renewed(self, one: ComboBox) -> Labels | None:
        """Offer other choices; the one that was chosen by hand, if it is still there."""
        before = one.value
        with one.changed.blocked():
            one.reset_choices()  # magicgui knows choices by their text, and that may be another
            if before in one.choices:
                one.value = before
        if before is None or before not in one.choices:
            self._chosen.discard(one.name)
        return before if one.name in self._chosen else None

    @staticmethod
    def _set(one: ComboBox, layer: Labels | None) -> Labels | None:
        with one.changed.blocked():
            if layer is not None:
                one.value = layer
        return layer

    def _likely_result(self) -> Labels | None:
        """Give the latest that was segmented, or else the latest of all."""
        offered = self._offered(None)
        made = [layer for layer in offered if METADATA in layer.metadata]
        return (made or offered or [None])[-1]

    def _likely_annotation(self, result: Labels | None) -> Labels | None:
        """Give another of the same shape, best one that was not segmented."""
        others = [layer for layer in self._offered(None) if layer != result]

        def unlikely(layer: Labels) -> tuple[bool, bool]:
            return shape_of(layer) != shape_of(result), METADATA in layer.metadata

        return min(others, key=unlikely, default=result)

    # comparing

    def start(self, *_: object) -> None:
        """Compare, as a click on the button does."""
        if self.job.running:
            return
        result, annotation = self._result.value, self._annotation.value
        try:
            if len(self._offered(None)) < 2:
                raise UserError(TOO_FEW)
            check_pair(self._viewer, result, annotation)
        except UserError as error:
            self.said.emit(str(error))
            return
        self._taken = tuple((layer, pixels_of(layer)) for layer in (annotation, result))
        self._start.setEnabled(False)
        self.said.emit("Comparing …")
        arrays = [array for _, array in self._taken]
        self.job.start(f"Comparing {result.name}", compare_steps, *arrays)

    def _on_compared(self, made: Comparison) -> None:
        (annotation, _), (result, _) = self._taken
        for layer, array in self._taken:
            if layer not in self._viewer.layers:
                self.said.emit(f"'{layer.name}' was removed while it was compared.")
                return
            if pixels_of(layer) is not array:
                self.said.emit(CHANGED)
                return
        show_errors(self._viewer, result, made.errors)
        self._compared = annotation, result
        counts, right = made.counts, int(made.counts.matched[0])
        self._counts.setText(
            f"<b>{escape(result.name)}</b> compared with <b>{escape(annotation.name)}</b>: "
            f"{counts.n_true:,} annotated, {counts.n_predicted:,} found, {right:,} right"
        )
        self._legend.setText(_legend(made.numbers))
        self._scores.setText(_table(counts.scores()))
        self.said.emit(f"{right:,} of {counts.n_true:,} annotated nuclei are right.")

    def _clear(self) -> None:
        self._compared = ()
        self._counts.setText("")
        self._scores.setText("")
        self._legend.setText(_legend(dict.fromkeys(KINDS)))

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            self.said.emit("")
            raise error
        self.said.emit(str(error))

    def _on_finished(self) -> None:
        self._taken = ()
        self._start.setEnabled(True)


def _legend(numbers: dict[str, Any]) -> str:
    """Kinds of errors in their colours, each with its number, where that is known."""
    return " &nbsp; ".join(
        f'<span style="color:{COLOURS[kind]}">■</span> '
        + (kind if number is None else f"{number:,} {kind}")
        for kind, number in numbers.items()
    )


def _table(scores: dict[str, float]) -> str:
    lines = []
    for first in range(0, len(SCORES), COLUMNS):
        names = SCORES[first : first + COLUMNS]
        lines.append("".join(f"<th>{name}</th>" for name in names))
        lines.append("".join(f"<td align='center'>{scores[name]:.3f}</td>" for name in names))
    return "<table cellspacing='4'>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text(name: str) -> QLabel:
    made = QLabel("", objectName=name)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made
