"""The course of a training: buttons, progress, and what the thread says."""

from __future__ import annotations

import time
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.controls import button, row
from napari_nuclei_unet.widgets.common.job import Job
from napari_nuclei_unet.widgets.common.notify import tell
from napari_nuclei_unet.widgets.train.task import Training, train


class Course(QWidget):
    """Train, Stop and keep, Cancel; a bar and a line of text.

    Signals
    -------
    epoch : Epoch
        An epoch is over.
    learnt : Learnt
        There is a new model.
    ended
        Nothing runs any more.
    """

    epoch = Signal(object)
    learnt = Signal(object)
    ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.job = Job()
        self._last: Any = None  # epoch
        self.train = button("train", "Train", "Learn from the listed images.")
        self._stop = button("stop", "Stop and keep", "End now, and keep the best model so far.")
        self._cancel = button("cancel_training", "Cancel", "End now; nothing is kept.")
        self._bar = QProgressBar(objectName="training_progress")
        self._text = QLabel("", objectName="training_status")
        self._note = QLabel("", objectName="training_note")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.train, self._stop, self._cancel))
        layout.addWidget(self._bar)
        for one in (self._text, self._note):
            one.setWordWrap(True)
            layout.addWidget(one)
        self._stop.clicked.connect(self._on_stop)
        self._cancel.clicked.connect(self._on_cancel)
        self.job.stepped.connect(self._on_step)
        self.job.returned.connect(self.learnt)
        self.job.failed.connect(self.fail)
        self.job.finished.connect(self._on_finished)
        self._enable(idle=True)

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.job.running

    def start(self, wanted: Training) -> None:
        """Begin a training."""
        self._wanted = wanted
        self._ending = ""
        self._last = None
        self._began = time.monotonic()
        self._begun_at = 0
        self._enable(idle=False)
        self._bar.setRange(0, 0)
        self.note("")
        self.say("Reading images and labels …")
        self.job.start(f"Training {wanted.draft.name}", train, wanted)

    def say(self, words: str) -> None:
        """Write the line that says what is going on."""
        self._text.setText(words)

    def note(self, words: str) -> None:
        """Write a line that stays until the next training."""
        self._note.setText(words)
        self._note.setVisible(bool(words))

    def fail(self, error: Exception) -> None:
        """Tell a mistake, in a sentence; a bug is shown by napari."""
        self.say("")
        tell(error)

    def _on_stop(self) -> None:
        self._ending = "Stopping …"
        self._stop.setEnabled(False)
        self.say(self._ending)
        self.job.stop()

    def _on_cancel(self) -> None:
        self._ending = "Cancelled."
        for one in (self._stop, self._cancel):
            one.setEnabled(False)
        self.say("Cancelling …")
        self.job.cancel()

    def _on_step(self, step: Step) -> None:
        if step.notice:
            self.note(step.notice)
            show_warning(step.notice)
        self._bar.setRange(0, step.total)
        self._bar.setValue(step.done)
        if hasattr(step, "history"):
            if self._last is None:
                self._begun_at = step.done
            self._last = step
            self.epoch.emit(step)
        if not self._ending:
            self.say(self._words(step))

    def _words(self, step: Any) -> str:
        """Say how far it is."""
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
        left = (time.monotonic() - self._began) / done * (step.total - step.done)
        return f"{epoch} · {_duration(left)} left at most"

    def _on_finished(self) -> None:
        self._enable(idle=True)
        if self._ending == "Cancelled.":
            self._wanted.draft.forget()
            self.say("Cancelled; nothing was kept.")
        elif self._text.text():
            self.say("")
        self.ended.emit()

    def _enable(self, idle: bool) -> None:
        self.train.setEnabled(idle)
        self._stop.setEnabled(not idle)
        self._cancel.setEnabled(not idle)
        self._bar.setVisible(not idle)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
