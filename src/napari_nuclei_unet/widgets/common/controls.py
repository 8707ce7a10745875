"""Small parts that the forms are made of, each with a name and a tooltip."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)


def create_combo_box(name: str, tooltip: str, choices: Any) -> ComboBox:
    """Make a list to choose from; ``choices`` as magicgui takes them."""
    made = ComboBox(name=name, choices=choices, tooltip=tooltip)
    made.native.setObjectName(name)
    # long names of layers must not make the dock wider than the window has room for
    made.native.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    made.native.setMinimumContentsLength(10)
    return made


def create_button(name: str, text: str, tooltip: str) -> QPushButton:
    """Make a button."""
    made = QPushButton(text, objectName=name)
    made.setToolTip(tooltip)
    return made


def create_check_box(name: str, text: str, tooltip: str) -> QCheckBox:
    """Make a box to tick."""
    made = QCheckBox(text, objectName=name)
    made.setToolTip(tooltip)
    return made


def create_row(*widgets: QWidget) -> QWidget:
    """Lay out widgets side by side."""
    made = QWidget()
    made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return made


class ScrollableForm(QScrollArea):
    """A form that scrolls up and down only: it is always as wide as it has to be."""

    def set_form(self, form: QWidget) -> None:
        """Show a form."""
        self.setWidget(form)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setMinimumHeight(300)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """As wide as the form and its scroll bar."""
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 300)

    def sizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Wide enough for the form."""
        return QSize(self.widget().sizeHint().width() + 20, 640)
