"""Small parts that the forms are made of, each with a name and a tooltip."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton, QSizePolicy, QWidget


def combo(name: str, tooltip: str, choices: Any) -> ComboBox:
    """Make a list to choose from; ``choices`` as magicgui takes them."""
    made = ComboBox(name=name, choices=choices, tooltip=tooltip)
    made.native.setObjectName(name)
    # long names of layers must not make the dock wider than the window has room for
    made.native.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    made.native.setMinimumContentsLength(10)
    return made


def button(name: str, text: str, tooltip: str) -> QPushButton:
    """Make a button."""
    made = QPushButton(text, objectName=name)
    made.setToolTip(tooltip)
    return made


def check_box(name: str, text: str, tooltip: str) -> QCheckBox:
    """Make a box to tick."""
    made = QCheckBox(text, objectName=name)
    made.setToolTip(tooltip)
    return made


def row(*widgets: QWidget) -> QWidget:
    """Lay out widgets side by side."""
    made = QWidget()
    made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return made
