"""The text that says what a dock does, with room for three lines."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QScrollArea, QSizePolicy

from .controls import create_label
from .notify import NOTICES

SHOWN_LINES = 3


class StatusLine(QScrollArea):
    """Text of a fixed height, so that it never moves the controls around it; more of it scrolls.

    Below it stand the notices that napari shows shortened, as long as the dock is on view.

    Parameters
    ----------
    name : str
        Of the label that has the text.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._message = ""
        self._notices: dict[str, None] = {}  # in their order, each once
        self._label = create_label(name)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setWidget(self._label)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        NOTICES.shown.connect(self._on_notice)

    def setText(self, text: str) -> None:  # noqa: N802 as a label of Qt has it
        """Show a text; an empty one removes the notices, too."""
        self._message = text
        if not text:
            self._notices.clear()
        self._show()

    def start(self, text: str) -> None:
        """Show the text of a run that begins, without the notices of the last one."""
        self._notices.clear()
        self.setText(text)

    def _on_notice(self, text: str) -> None:
        if self.isVisible() and text != self._message:
            self._notices[text] = None
            self._show()

    def _show(self) -> None:
        text = "\n".join(filter(None, [self._message, *self._notices]))
        if text != self._label.text():
            self._label.setText(text)
            self._label.setToolTip(text)

    def sizeHint(self) -> QSize:  # noqa: N802 Qt's name
        """Return the room of three lines; called by Qt."""
        return QSize(100, SHOWN_LINES * self._label.fontMetrics().lineSpacing() + 6)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 Qt's name
        """Return the room of three lines, of any width; called by Qt."""
        return QSize(0, self.sizeHint().height())
