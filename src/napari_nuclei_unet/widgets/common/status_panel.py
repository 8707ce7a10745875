"""Buttons that start and cancel, the progress bar, and the line of status."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from .controls import create_button, create_label, create_row, fill_layout, with_properties


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
            "segment", "Segment", "Find the nuclei in the plane on view, or in the planes chosen."
        )
        self.preview = create_button(
            "preview", "Preview", "Find the nuclei in what the view shows, before the long run."
        )
        self.cancel = create_button("cancel", "Cancel", "Stop after the tile at work.")
        self.continue_planes = create_button(
            "continue_planes", "Continue", "Do the planes that are left, with the same settings."
        )
        self.continue_planes.setVisible(False)
        self._bar = with_properties(QProgressBar(), objectName="progress")
        self._text = create_label("status")
        buttons = create_row(self.segment, self.preview, self.cancel)
        fill_layout(QVBoxLayout(self), buttons, self.continue_planes, self._bar, self._text)
        self.end()

    def begin(self, message: str) -> None:
        """Show that a task has started."""
        self._enable(False)
        self._bar.setRange(0, 0)  # busy, until the first step has a total
        self.show_message(message)

    def step(self, done: int, total: int, message: str) -> None:
        """Show the progress of the task."""
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.show_message(message)

    def end(self) -> None:
        """Show that no task is running."""
        self._enable(True)

    def show_message(self, message: str) -> None:
        """Show a line of text."""
        self._text.setText(message)

    def _enable(self, idle: bool) -> None:
        self.segment.setEnabled(idle)
        self.preview.setEnabled(idle)
        self.continue_planes.setEnabled(idle)
        self.cancel.setEnabled(not idle)
        self._bar.setVisible(not idle)
