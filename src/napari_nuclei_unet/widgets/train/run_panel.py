"""The panel of a training: buttons, progress and messages."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from ..common.controller import RunState
from ..common.controls import create_button, create_label, create_row, fill_layout, with_properties
from ..common.status_line import StatusLine
from .task import READING_STATUS

# Shown when a state begins; in the others the text is that of a step, or of the form.
STATE_MESSAGES = {
    RunState.RUNNING: READING_STATUS,
    RunState.STOPPING: "Stopping …",
    RunState.CANCELLING: "Cancelling …",
}


class RunPanel(QWidget):
    """Train, Stop and keep, Cancel; a bar and two lines of text.

    Attributes
    ----------
    train, stop, cancel : QPushButton
    """

    def __init__(self) -> None:
        super().__init__()
        self.train = create_button("train", "Train", "Learn from the listed images.")
        self.stop = create_button(
            "stop", "Stop and keep", "End now, and keep the best model so far."
        )
        self.cancel = create_button("cancel_training", "Cancel", "End now; nothing is kept.")
        self._bar = with_properties(QProgressBar(), objectName="training_progress")
        self._text, self._note = StatusLine("training_status"), create_label("training_note")
        buttons = create_row(self.train, self.stop, self.cancel)
        fill_layout(QVBoxLayout(self), buttons, self._bar, self._text, self._note)
        self.show_state(RunState.IDLE)

    def show_state(self, state: RunState) -> None:
        """Show what can be clicked, and what is going on."""
        self.train.setEnabled(state is RunState.IDLE)
        self.stop.setEnabled(state is RunState.RUNNING)
        self.cancel.setEnabled(state in (RunState.RUNNING, RunState.STOPPING))
        self._bar.setVisible(state is not RunState.IDLE)
        if state is RunState.RUNNING:
            self._bar.setRange(0, 0)  # busy, until the first step has a total
        if state in STATE_MESSAGES:
            self.show_message(STATE_MESSAGES[state])

    def show_progress(self, done: int, total: int) -> None:
        """Show how far the training is."""
        self._bar.setRange(0, total)
        self._bar.setValue(done)

    def show_message(self, message: str) -> None:
        """Show the status."""
        self._text.setText(message)

    def show_note(self, message: str) -> None:
        """Show a note that stays until the end of the training; empty: none."""
        self._note.setText(message)
        self._note.setVisible(bool(message))
