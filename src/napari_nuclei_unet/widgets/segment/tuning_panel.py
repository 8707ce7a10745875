"""The sliders that recompute the nuclei from the stored network output."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ...params import RETUNED_NAMES, SegmentParams
from ..common.controls import create_button, create_row, fill_layout
from ..common.params_form import ParamsForm


class TuningPanel(QWidget):
    """Sliders, Reset, and Tune all planes.

    Parameters
    ----------
    params_form : ParamsForm
        Has the sliders.

    Signals
    -------
    reset_requested
        The values that were tuned for the model shall be shown.
    all_requested
        All planes shall get these values.
    """

    reset_requested = Signal()
    all_requested = Signal()

    def __init__(self, params_form: ParamsForm[SegmentParams]) -> None:
        super().__init__()
        reset = create_button("reset", "Reset", "Back to the values that were tuned for the model.")
        reset.clicked.connect(self._on_reset)
        self._all = create_button("tune_all", "", "")
        self._all.clicked.connect(self._on_all)
        self.offer_all(False)
        layout = QVBoxLayout(self)
        fill_layout(layout, params_form.container(*RETUNED_NAMES))
        layout.addWidget(create_row(self._all, reset), alignment=Qt.AlignmentFlag.AlignRight)

    def offer_all(self, offered: bool, noun: str = "planes") -> None:
        """Show the button for all planes or volumes, or hide it."""
        self._all.setText(f"Tune all {noun}")
        self._all.setToolTip(f"Use these values in all {noun} that were segmented.")
        self._all.setVisible(offered)

    def _on_reset(self, *_: object) -> None:
        self.reset_requested.emit()

    def _on_all(self, *_: object) -> None:
        self.all_requested.emit()
