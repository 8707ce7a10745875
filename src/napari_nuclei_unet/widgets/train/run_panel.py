"""The panel that runs a training: buttons, progress and messages."""

from __future__ import annotations

import time
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from ...progress import Step
from ..common.controls import create_button, create_label, create_row, fill_layout, with_properties
from ..common.job import ThreadJob
from ..common.notify import name_controls, show_user_error
from .task import TrainRequest, train_task_steps


class RunPanel(QWidget):
    """Train, Stop and keep, Cancel; a bar and a line of text.

    Signals
    -------
    epoch : Epoch
        An epoch has ended.
    trained : TrainTaskOutput
        There is a new model.
    ended
        The training has ended.
    """

    epoch = Signal(object)
    trained = Signal(object)
    ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.job = ThreadJob()
        self._last: Any = None  # epoch
        self.train = create_button("train", "Train", "Learn from the listed images.")
        self._stop = create_button(
            "stop", "Stop and keep", "End now, and keep the best model so far.", self._on_stop
        )
        self._cancel = create_button("cancel_training", "Cancel", "End now; nothing is kept.")
        self._cancel.clicked.connect(self._on_cancel)
        self._bar = with_properties(QProgressBar(), objectName="training_progress")
        self._text, self._note = create_label("training_status"), create_label("training_note")
        buttons = create_row(self.train, self._stop, self._cancel)
        fill_layout(QVBoxLayout(self), buttons, self._bar, self._text, self._note)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self.trained)
        self.job.failed.connect(self.fail)
        self.job.finished.connect(self._on_finished)
        self._enable(idle=True)

    def start(self, request: TrainRequest) -> None:
        """Start a training."""
        self._request = request
        self._ending = ""
        self._last = None
        self._began = time.monotonic()
        self._begun_at = 0
        self._enable(idle=False)
        self._bar.setRange(0, 0)
        self.note("")
        self.show_message("Reading images and labels …")
        self.job.start(f"Training {request.resume_state.name}", train_task_steps, request)

    def show_message(self, message: str) -> None:
        """Show the status."""
        self._text.setText(message)

    def note(self, message: str) -> None:
        """Show a note that stays until the next training."""
        self._note.setText(message)
        self._note.setVisible(bool(message))

    def fail(self, error: Exception) -> None:
        """Show an error of the user as a notification; raise any other."""
        self.show_message("")
        show_user_error(error)

    def _on_stop(self) -> None:
        self._ending = "Stopping …"
        self._stop.setEnabled(False)
        self.show_message(self._ending)
        self.job.stop()

    def _on_cancel(self) -> None:
        self._ending = "Cancelled."
        for button in (self._stop, self._cancel):
            button.setEnabled(False)
        self.show_message("Cancelling …")
        self.job.cancel()

    def _on_step(self, step: Step) -> None:
        if step.notice:
            self.note(name_controls(step.notice))
            show_warning(name_controls(step.notice))
        self._bar.setRange(0, step.total)
        self._bar.setValue(step.done)
        if hasattr(step, "history"):
            if self._last is None:
                self._begun_at = step.done
            self._last = step
            self.epoch.emit(step)
        if not self._ending:
            self.show_message(self._status(step))

    def _status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        if self._last is None:
            self._began = time.monotonic()
            if step.total == 1:
                return "Reading images and labels …"
            return "Scoring the model as it is …" if step.done == 0 else "Next epoch …"
        if step.done >= step.total:
            return "Tuning thresholds and scoring …"
        row = self._last.history[-1]
        epoch = f"Epoch {int(row['epoch']) + 1} of {self._last.epochs}"
        done = step.done - self._begun_at
        if done < 3:
            return epoch
        seconds = (time.monotonic() - self._began) / done * (step.total - step.done)
        return f"{epoch} · {_format_duration(seconds)} left at most"

    def _on_finished(self) -> None:
        self._enable(idle=True)
        if self._ending == "Cancelled.":
            self._request.resume_state.delete()
            self.show_message("Cancelled; nothing was kept.")
        elif self._text.text():
            self.show_message("")
        self.ended.emit()

    def _enable(self, idle: bool) -> None:
        self.train.setEnabled(idle)
        self._stop.setEnabled(not idle)
        self._cancel.setEnabled(not idle)
        self._bar.setVisible(not idle)


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
