"""Buttons that start and cancel, the bar, and the line that says what is going on."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_nuclei_unet.widgets.common.controls import button, row


class Progress(QWidget):
    """Segment, Preview, Cancel; a bar while something runs; a line of text.

    Attributes
    ----------
    segment, preview, cancel : QPushButton
    more : QPushButton
        Continue; only shown where something is left to be done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.segment = button(
            "segment", "Segment", "Find the nuclei in the plane on view, or in the planes chosen."
        )
        self.preview = button(
            "preview", "Preview", "Find the nuclei in what the view shows, before the long run."
        )
        self.cancel = button("cancel", "Cancel", "Stop after the tile at work.")
        self.cancel.setEnabled(False)
        self.more = button(
            "continue_planes", "Continue", "Do the planes that are left, with the same settings."
        )
        self.more.setVisible(False)
        self._bar = QProgressBar(objectName="progress")
        self._bar.setVisible(False)
        self._text = QLabel("", objectName="status")
        self._text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.segment, self.preview, self.cancel))
        layout.addWidget(self.more)
        layout.addWidget(self._bar)
        layout.addWidget(self._text)

    def begin(self, words: str) -> None:
        """Something runs from now on."""
        self._enable(False)
        self._bar.setRange(0, 0)  # busy, until the first step says how much there is
        self.say(words)

    def step(self, done: int, total: int, words: str) -> None:
        """So much of it is done."""
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.say(words)

    def end(self) -> None:
        """Nothing runs any more."""
        self._enable(True)

    def say(self, words: str) -> None:
        """Write the line of text."""
        self._text.setText(words)

    def _enable(self, idle: bool) -> None:
        self.segment.setEnabled(idle)
        self.preview.setEnabled(idle)
        self.more.setEnabled(idle)
        self.cancel.setEnabled(not idle)
        self._bar.setVisible(not idle)
