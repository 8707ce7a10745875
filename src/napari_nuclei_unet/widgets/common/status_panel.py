"""Buttons that start and cancel, the progress bar, and the line of status."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from .controller import RunState
from .controls import create_button, create_row, fill_layout, keep_room, with_properties
from .status_line import StatusLine


class StatusPanel(QWidget):
    """Segment, Preview, Cancel; a progress bar while a task runs; a line of text.

    Attributes
    ----------
    segment, preview, cancel : QPushButton
    continue_planes : QPushButton
        Only shown where planes are left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.segment = create_button(
            "segment",
            "Segment",
            "Find the nuclei in the plane shown, or in all planes that are chosen.",
        )
        self.preview = create_button(
            "preview", "Preview", "Find the nuclei in the visible part only, to try the settings."
        )
        self.cancel = create_button(
            "cancel", "Cancel", "Stop the run. Preferences say whether the finished part is kept."
        )
        self.continue_planes = create_button(
            "continue_planes", "Continue", "Segment the remaining planes with the same settings."
        )
        self.continue_planes.setVisible(False)
        self._bar = with_properties(QProgressBar(), objectName="progress")
        keep_room(self._bar)
        self._text = StatusLine("status")
        buttons = create_row(self.segment, self.preview, self.cancel)
        fill_layout(QVBoxLayout(self), buttons, self.continue_planes, self._bar, self._text)
        self.show_state(RunState.IDLE)

    def show_state(self, state: RunState, begins: str = "") -> None:
        """Show what the controller does; ``begins`` until its first step."""
        is_idle = state in (RunState.IDLE, RunState.ASKING)
        for button in (self.segment, self.preview, self.continue_planes):
            button.setEnabled(is_idle)
        self.cancel.setEnabled(not is_idle)
        self._bar.setVisible(not is_idle)
        if state is RunState.RUNNING:
            self._bar.setRange(0, 0)  # busy, until the first step has a total
            self._text.start(begins)
        elif not is_idle:
            self.show_message("Stopping …")

    def step(self, done: int, total: int, message: str) -> None:
        """Show the progress of the task."""
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.show_message(message)

    def show_message(self, message: str) -> None:
        """Show a line of text."""
        self._text.setText(message)
