"""Controls that the forms consist of, each with a name and a tooltip."""

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
    """Create a combo box; ``choices`` as magicgui takes them."""
    combo = ComboBox(name=name, choices=choices, tooltip=tooltip)
    combo.native.setObjectName(name)
    # long names of layers must not make the dock wider than the window has room for
    combo.native.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.native.setMinimumContentsLength(10)
    return combo


def create_button(name: str, text: str, tooltip: str) -> QPushButton:
    """Create a button."""
    button = QPushButton(text, objectName=name)
    button.setToolTip(tooltip)
    return button


def create_check_box(name: str, text: str, tooltip: str) -> QCheckBox:
    """Create a check box."""
    check_box = QCheckBox(text, objectName=name)
    check_box.setToolTip(tooltip)
    return check_box


def create_row(*widgets: QWidget) -> QWidget:
    """Lay out widgets side by side."""
    row = QWidget()
    row.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row


class ScrollableForm(QScrollArea):
    """A form that scrolls vertically only: it is never narrower than its content."""

    def set_form(self, form: QWidget) -> None:
        """Show a form."""
        self.setWidget(form)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setMinimumHeight(300)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Return the width of the form and its scroll bar."""
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 300)

    def sizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Return a width that has room for the form."""
        return QSize(self.widget().sizeHint().width() + 20, 640)
