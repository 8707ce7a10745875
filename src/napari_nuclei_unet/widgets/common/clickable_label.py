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
        self._is_clickable = False
        self.set_clickable(True)

    def set_clickable(self, is_clickable: bool) -> None:
        """Set whether it can be clicked, and looks like it."""
        self._is_clickable = is_clickable
        font = self.font()
        font.setUnderline(is_clickable)
        self.setFont(font)
        shapes, policies = Qt.CursorShape, Qt.FocusPolicy
        self.setCursor(shapes.PointingHandCursor if is_clickable else shapes.ArrowCursor)
        self.setFocusPolicy(policies.StrongFocus if is_clickable else policies.NoFocus)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 Qt's name
        """Take a click."""
        is_left = event is not None and event.button() == Qt.MouseButton.LeftButton
        if is_left and self._is_clickable:
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 Qt's name
        """Take a key that presses a button."""
        keys = Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space
        if event is not None and event.key() in keys and self._is_clickable:
            self.clicked.emit()
        else:
            super().keyPressEvent(event)
