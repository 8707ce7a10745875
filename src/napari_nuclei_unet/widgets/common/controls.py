"""Controls that the forms consist of, each with a name and a tooltip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from magicgui.widgets import ComboBox
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from .dock_setup import DockSetup
from .eliding import elide_in_middle
from .lifetime import adopt_event_filter

# Height that every dock can shrink to, in screen pixels.
LOWEST_DOCK = 200
W = TypeVar("W", bound=QObject)


def with_properties(target: W, **properties: Any) -> W:
    """Set properties of Qt by their names, such as ``objectName``, and return their object.

    Both bindings take them as arguments of the class, but their types do not know them there.
    """
    for name, value in properties.items():
        target.setProperty(name, value)
    return target


def create_combo_box(name: str, tooltip: str, choices: Any) -> ComboBox:
    """Create a combo box; ``choices`` as magicgui takes them."""
    combo = ComboBox(name=name, choices=choices, tooltip=tooltip)
    combo.native.setObjectName(name)
    # long names of layers must not make the dock wider than the window has room for
    combo.native.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.native.setMinimumContentsLength(7)
    elide_in_middle(combo.native)
    adopt_event_filter(combo)
    return combo


def create_button(
    name: str, text: str, tooltip: str, clicked: Callable[..., object] | None = None
) -> QPushButton:
    """Create a button; ``clicked`` is called at each click."""
    button = with_properties(QPushButton(text), objectName=name, toolTip=tooltip)
    if clicked is not None:
        button.clicked.connect(clicked)
    return button


def create_check_box(name: str, text: str, tooltip: str) -> QCheckBox:
    """Create a check box."""
    return with_properties(QCheckBox(text), objectName=name, toolTip=tooltip)


def create_row(*widgets: QWidget) -> QWidget:
    """Lay out widgets side by side."""
    row = QWidget()
    row.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    fill_layout(QHBoxLayout(row), *widgets)
    return row


def fill_layout(layout: QBoxLayout, *widgets: QWidget) -> None:
    """Lay out widgets without margins."""
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)


def fill_grid(parent: QWidget, widgets: Iterable[QWidget]) -> None:
    """Lay out widgets in two columns of a parent, without margins."""
    layout = QGridLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    for place, widget in enumerate(widgets):
        layout.addWidget(widget, *divmod(place, 2))


def create_label(name: str) -> QLabel:
    """Create a label for text of several lines; empty at first."""
    return with_properties(QLabel(""), objectName=name, wordWrap=True)


def keep_room(widget: QWidget) -> None:
    """Keep the room of a line of a widget while it is hidden: what is below must not move."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)
    widget.setMinimumHeight(widget.fontMetrics().lineSpacing() + 4)


def create_section(name: str, title: str, content: QWidget) -> QCollapsible:
    """Create a section that a click on its title opens and closes; closed at first."""
    section = QCollapsible(title)
    section.setObjectName(name)
    section.addWidget(content)
    return section


def copy_text(text: str) -> None:
    """Put text on the clipboard."""
    if (clipboard := QGuiApplication.clipboard()) is not None:
        clipboard.setText(text)


class Panel(QWidget):
    """A part of a dock.

    Signals
    -------
    message : str
        A sentence for the user.
    """

    message = Signal(str)


class ScrollableForm(QScrollArea):
    """A form that scrolls vertically only: it is never narrower than its content.

    The wheel scrolls it also over controls and plots. When it is first shown in a dock, that joins
    the other docks of the plugin as a tab.
    """

    def __init__(self) -> None:
        super().__init__()
        DockSetup(self)

    def set_parts(self, *parts: QWidget | QFormLayout) -> None:
        """Show parts, one below the other."""
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        for part in parts:
            if isinstance(part, QWidget):
                layout.addWidget(part)
            else:
                layout.addLayout(part)
        layout.addStretch(1)  # or the parts would share the remaining space
        self.set_content(content)

    def set_content(self, content: QWidget) -> None:
        """Show a widget, which gets the room that there is, and scrolls where that is too low."""
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Have the dock ask for the width again, when rows have been shown; called by Qt."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Return the width of the form and its scroll bar."""
        bar, form = self.verticalScrollBar(), self.widget()
        width = 0 if form is None else form.minimumSizeHint().width()
        return QSize(width + (0 if bar is None else bar.sizeHint().width()), LOWEST_DOCK)

    def sizeHint(self) -> QSize:  # noqa: N802 - the name is Qt's
        """Return a width that has room for the form."""
        form = self.widget()
        return QSize((0 if form is None else form.sizeHint().width()) + 20, 640)
