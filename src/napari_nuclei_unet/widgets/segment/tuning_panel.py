"""The sliders that recompute the nuclei from the stored network output."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ...params import RETUNED_NAMES, SegmentParams
from ..common.controls import create_button, create_row, fill_layout
from ..common.params_form import ParamsForm
from ..session.model_form import ModelForm


class TuningPanel(QWidget):
    """Sliders, Reset, and Tune all planes.

    Parameters
    ----------
    params_form : ParamsForm
        Has the sliders.
    model_form : ModelForm
        Has the model; its thresholds are shown when it is chosen.

    Signals
    -------
    all_requested
        All planes shall get these values.
    """

    all_requested = Signal()

    def __init__(self, params_form: ParamsForm[SegmentParams], model_form: ModelForm) -> None:
        super().__init__()
        self._params_form, self._model_form = params_form, model_form
        reset = create_button("reset", "Reset", "Back to the values that were tuned for the model.")
        reset.clicked.connect(self.show_thresholds)
        model_form.changed.connect(self.show_thresholds)
        self._all = create_button("tune_all", "", "")
        self._all.clicked.connect(self._on_all)
        self.offer_all(False)
        layout = QVBoxLayout(self)
        fill_layout(layout, params_form.container(*RETUNED_NAMES))
        layout.addWidget(create_row(self._all, reset), alignment=Qt.AlignmentFlag.AlignRight)
        self.show_thresholds()

    def show_thresholds(self, *_: object) -> None:
        """Show the thresholds that were tuned for the chosen model."""
        if (card := self._model_form.card()) is not None:
            # the smallest area depends on the size of nuclei
            own = card.thresholds | {"minimum_area": None, "leave_out_fragments": True}
            self._params_form.set_value(replace(self._params_form.value(), **own))

    def offer_all(self, offered: bool, noun: str = "planes") -> None:
        """Show the button for all planes or volumes, or hide it."""
        self._all.setText(f"Tune all {noun}")
        self._all.setToolTip(f"Use these values in all {noun} that were segmented.")
        self._all.setVisible(offered)

    def _on_all(self, *_: object) -> None:
        self.all_requested.emit()
