"""Run and Pause, one progress bar, and the line of status."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from ..common.controller import RunState
from ..common.controls import create_button, create_row, fill_layout, keep_room, with_properties
from ..common.status_line import StatusLine
from .run_task import PAUSING_TEXT

NO_IMAGES = "Add images, or a folder of them, first."
RUN_TOOLTIP = "Segment all images of the list, and skip those that are done."


@dataclass(frozen=True)
class RowCounts:
    """How many images of the list are done and failed, and how many there are."""

    done: int
    failed: int
    total: int

    @property
    def run_text(self) -> str:
        """What a click on Run does."""
        begun = self.done + self.failed
        if self.failed and begun == self.total:
            return "Run again"
        return "Continue" if 0 < begun < self.total else "Run"


class RunControls(QWidget):
    """Starts, pauses and goes on.

    Attributes
    ----------
    run, pause : QPushButton
        "Run" reads "Continue" where a part is done; "Pause" reads "Stop now" while images that
        are under way are being finished.
    message : str
        The sentence that is shown.
    """

    message = ""

    def __init__(self) -> None:
        super().__init__()
        self.run = create_button("run", "Run", RUN_TOOLTIP)
        self.pause = create_button("pause", "Pause", "")
        self._bar = with_properties(QProgressBar(), objectName="progress")
        keep_room(self._bar)
        self._text = StatusLine("status")
        fill_layout(QVBoxLayout(self), create_row(self.run, self.pause), self._bar, self._text)

    def show_state(self, state: RunState, counts: RowCounts, begins: str = "") -> None:
        """Show what the dock does, and what the buttons would do.

        Parameters
        ----------
        state : RunState
        counts : RowCounts
        begins : str, optional
            Shown until the first step of a run.
        """
        is_idle = state in (RunState.IDLE, RunState.ASKING)
        self.run.setEnabled(is_idle and counts.total > 0)
        self.run.setText(counts.run_text)
        self.run.setToolTip(RUN_TOOLTIP if counts.total else NO_IMAGES)
        self._bar.setVisible(not is_idle or counts.total > 0)
        is_stopping = state is RunState.STOPPING
        self.pause.setText("Stop now" if is_stopping else "Pause")
        self.pause.setToolTip(
            "Drop the images that are under way; they are segmented again next time."
            if is_stopping
            else "Finish the images that are under way, and begin no other. Nothing is running."
            if is_idle
            else "Finish the images that are under way, and begin no other."
        )
        self.pause.setEnabled(state in (RunState.RUNNING, RunState.STOPPING))
        if state is RunState.RUNNING:
            self._bar.setRange(0, 0)  # busy, until the first step has a total
            self.show_message(begins)
        elif is_stopping:
            self.show_message(PAUSING_TEXT)
        elif is_idle:
            self._bar.setRange(0, max(counts.total, 1))
            self._bar.setValue(counts.done)
            self._bar.setFormat(f"{counts.done:,} of {counts.total:,}")

    def step(self, done: int, total: int, message: str) -> None:
        """Show the progress of the run."""
        self._bar.setFormat("%p%")
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.show_message(message)

    def show_message(self, message: str) -> None:
        """Show a sentence, whole."""
        self.message = message
        self._text.setText(message)
