"""What is closed is gone: docks, viewers, and all that was known of them."""

import gc
import warnings
import weakref
from functools import partial

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_nuclei_unet.widgets import (
    ManyImagesWidget,
    ReviewWidget,
    SegmentWidget,
    TableWidget,
    TrainWidget,
)
from napari_nuclei_unet.widgets.common.lifetime import call_when_destroyed
from napari_nuclei_unet.widgets.session.session import Session

DOCKS = [ManyImagesWidget, ReviewWidget, SegmentWidget, TableWidget, TrainWidget]
PACKAGE = "napari_nuclei_unet"


class Owner(QWidget):
    """Refers to itself, as docks do through their slots."""

    def __init__(self):
        super().__init__()
        self.itself = self


def collect():
    for _ in range(3):
        delete_closed()
        gc.collect()


def delete_closed():
    """Delete what Qt deletes when nothing else is to be done."""
    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def list_alive():
    """List the objects of Qt that are not deleted."""
    with warnings.catch_warnings(action="ignore"):  # of what is looked at
        known = [one for one in gc.get_objects() if issubclass(type(one), QObject)]
    return [one for one in known if isalive(one)]


def open_and_close(dock, viewer):
    widget = dock(viewer)
    widget.show()
    QCoreApplication.processEvents()
    widget.deleteLater()
    return weakref.ref(widget)


def count_ours():
    """Count the objects of this package's classes."""
    modules = (str(type(one).__module__) for one in gc.get_objects())
    return sum(module.startswith(PACKAGE) for module in modules)


def work_with(qtbot, dock):
    """Open a dock on two layers of a viewer, close both, and return weak references to them."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((20, 30), np.uint8))
    viewer.add_labels(np.eye(20, 30, dtype=np.int32))
    widget = dock(viewer)
    widget.show()
    qtbot.waitUntil(lambda: getattr(widget, "is_settled", True), timeout=20_000)
    widget.deleteLater()  # as napari does when a window is closed
    return weakref.ref(widget), weakref.ref(viewer)


@pytest.mark.parametrize("is_deleted_first", [False, True])
def test_a_function_is_called_when_its_owner_is_destroyed_by_python_or_qt(qtbot, is_deleted_first):
    owner, called = Owner(), []
    call_when_destroyed(owner, partial(called.append, True))
    if is_deleted_first:
        owner.deleteLater()
        collect()
    del owner
    collect()
    assert called == [True]


@pytest.mark.parametrize("dock", DOCKS)
def test_nothing_of_a_closed_dock_and_viewer_is_left(qtbot, home, preferences, dock):
    work_with(qtbot, dock)
    collect()
    before = count_ours()  # what stays for good is there by now
    for _ in range(2):
        closed = work_with(qtbot, dock)
        collect()
        assert [one() for one in closed] == [None, None]
    assert count_ours() == before


@pytest.mark.parametrize("dock", DOCKS)
def test_nothing_of_a_closed_dock_waits_for_the_collector_to_be_deleted(
    qtbot, home, preferences, dock
):
    """Python may collect in any thread and in any call, and PySide crashes where that deletes."""
    work_with(qtbot, dock)
    collect()
    before = {id(one) for one in list_alive()}
    gc.disable()
    try:
        work_with(qtbot, dock)
        delete_closed()
        new = [one for one in list_alive() if id(one) not in before]
        of_nobody = [(type(one).__name__, weakref.ref(one)) for one in new if one.parent() is None]
        del new
        gc.collect()
    finally:
        gc.enable()
    assert [name for name, one in of_nobody if one() is None] == []


@pytest.mark.parametrize("dock", DOCKS)
def test_what_was_a_dock_is_not_asked_until_python_collects_it(
    qtbot, home, preferences, messages, dock
):
    """napari forgets a listener only then."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 20, 30), np.uint8))
    labels = viewer.add_labels(np.eye(20, 30, dtype=np.int32))
    widget = dock(viewer)
    parts = [widget, *widget.findChildren(QObject)]  # kept, as in a cycle of references
    widget.show()
    qtbot.waitUntil(lambda: getattr(widget, "is_settled", True), timeout=20_000)
    widget.deleteLater()
    delete_closed()
    delete_closed()
    assert not isalive(parts[0])
    image = viewer.add_image(np.zeros((20, 30), np.uint8))
    viewer.layers.selection.active = labels
    labels.mode, labels.selected_label, labels.name = "paint", 3, "others"
    labels.features = {"label": [1, 2]}
    image.data = np.ones((20, 30), np.uint8)
    viewer.dims.ndisplay = 3
    viewer.dims.set_current_step(0, 2)
    viewer.layers.move(0, 2)
    viewer.layers.clear()
    assert messages == []


@pytest.mark.parametrize("dock", [ReviewWidget, SegmentWidget])
def test_a_closed_dock_is_not_kept_by_what_its_viewer_knows(qtbot, home, preferences, dock):
    viewer = ViewerModel()
    viewer.add_labels(np.eye(20, 30, dtype=np.int32))
    closed = open_and_close(dock, viewer)
    collect()
    assert closed() is None
    assert Session.of(viewer).segment_settings.value() is None
    assert Session.of(viewer).review_position.value() is None


@pytest.mark.parametrize("dock", DOCKS)
def test_only_qt_deletes_a_dock_that_nobody_holds(qtbot, home, preferences, dock):
    opened = weakref.ref(dock(ViewerModel()))
    gc.collect()
    assert opened() is not None
    opened().deleteLater()
    collect()
    assert opened() is None
