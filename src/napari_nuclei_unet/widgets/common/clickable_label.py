"""A line of text that can be clicked."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QLabel

from .controls import with_properties


class ClickableLabel(QLabel):
    """Underlined text of one or more lines; a click, Enter or the space bar emits a signal.

    Parameters
    ----------
    name : str
        Of the object.
    tooltip : str

    Signals
    -------
    clicked
    """

    clicked = Signal()

    def __init__(self, name: str, tooltip: str) -> None:
        super().__init__()
        with_properties(self, objectName=name, toolTip=tooltip, wordWrap=True)
        font = self.font()
        font.setUnderline(True)
        self.setFont(font)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 Qt's name
        """Take a click."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 Qt's name
        """Take a key that presses a button."""
        keys = Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space
        if event is not None and event.key() in keys:
            self.clicked.emit()
        else:
            super().keyPressEvent(event)
