"""The wheel of the mouse over controls: it scrolls, and changes nothing by accident."""

from __future__ import annotations

from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QGraphicsView, QSlider, QWidget

CONTROLS = QAbstractSpinBox, QComboBox, QSlider


class WheelFilter(QObject):
    """Leaves the wheel to what scrolls around a control, unless the control has the focus."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Pass the wheel on; called by Qt."""
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if isinstance(watched, CONTROLS) and watched.hasFocus():
            return False
        event.ignore()  # so that Qt offers it to the parent
        return True


def guard_wheel(parent: QWidget) -> None:
    """Make the wheel scroll over controls and plots in a widget, those that it has now.

    Controls get the focus by a click or the Tab key, no more by the wheel.
    """
    for child in parent.findChildren(QWidget):
        if isinstance(child, QGraphicsView):  # a plot, whose viewport gets the events
            _guard(child)
            if (viewport := child.viewport()) is not None:
                _guard(viewport)
        elif isinstance(child, CONTROLS):
            _guard(child)
            if child.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                child.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


def _guard(widget: QWidget) -> None:
    """Install the filter once; a second time would only move it to the front."""
    widget.installEventFilter(_wheel_filter())


def _wheel_filter() -> WheelFilter:
    """Return the filter of the program, which lives as long as it."""
    app = QCoreApplication.instance()
    assert app is not None
    found = app.findChild(WheelFilter)
    return WheelFilter(app) if found is None else found
