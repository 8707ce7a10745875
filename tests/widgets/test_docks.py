"""What all docks have in common: the wheel, texts that are too long, help."""

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QGraphicsView,
    QLabel,
    QScrollArea,
    QSlider,
    QToolButton,
)

from napari_nuclei_unet.widgets import ReviewWidget, SegmentWidget, TableWidget, TrainWidget
from napari_nuclei_unet.widgets.common.notify import show_warning

CONTROLS = QAbstractSpinBox, QComboBox, QSlider
VALUES = "value", "currentIndex"


@pytest.fixture(params=[SegmentWidget, ReviewWidget, TrainWidget, TableWidget])
def dock(request, qtbot, viewer, home):
    made = request.param(viewer)
    qtbot.addWidget(made)
    made.resize(380, 220)
    made.show()
    return made


def scroll(target):
    """Turn the wheel over a widget by one notch, towards the user; ignored, its parent gets it.

    Qt offers it to parents only if it comes from the window system.
    """
    while target is not None:
        centre = target.rect().center()
        event = QWheelEvent(
            QPointF(centre), QPointF(target.mapToGlobal(centre)), QPoint(), QPoint(0, -120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        event.ignore()
        if QApplication.sendEvent(target, event) and event.isAccepted():
            return
        target = target.parent()


def read(control):
    return [getattr(control, name)() for name in VALUES if hasattr(control, name)]


def scrolled(control):
    """Return the bar that a control scrolls: that of the innermost area that can be scrolled."""
    parent = control.parent()
    while not isinstance(parent, QScrollArea):
        parent = parent.parent()
    return parent.verticalScrollBar()


def test_the_wheel_scrolls_the_dock_and_changes_nothing(qtbot, dock):
    controls = [child for kind in CONTROLS for child in dock.findChildren(kind)]
    plots = [plot.viewport() for plot in dock.findChildren(QGraphicsView)]
    seen = [one for one in controls + plots if one.isVisible()]
    assert seen
    for control in seen:
        control.clearFocus()
        before = read(control)
        bar = scrolled(control.parent() if control in plots else control)
        qtbot.waitUntil(lambda bar=bar: bar.maximum() > 0)
        bar.setValue(0)
        scroll(control)
        assert read(control) == before
        assert bar.value() > 0


def test_with_the_focus_the_wheel_turns_a_control(qtbot, widget):
    widget.show()
    widget.activateWindow()  # or nothing in it has the focus
    combo = widget.findChild(QComboBox, "device")
    combo.setFocus()
    qtbot.waitUntil(combo.hasFocus)
    scroll(combo)
    assert combo.currentIndex() == 1


def test_help_is_a_page_that_is_installed(dock):
    for button in dock.findChildren(QToolButton, "help"):
        page = button.open_page()
        assert len(page.toPlainText()) > 500
        page.close()


def test_notices_stand_whole_below_a_status_of_fixed_height(qtbot, widget):
    widget.resize(380, 600)
    widget.show()
    status = widget.findChild(QLabel, "status")
    area = status.parent().parent()
    before = area.height()
    text = "The image was changed while it was being segmented, so its nuclei were not added. " * 4
    show_warning(text)
    assert text in status.text()
    assert status.toolTip() == status.text()
    QApplication.processEvents()
    assert area.height() == before
