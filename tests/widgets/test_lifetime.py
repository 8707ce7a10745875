"""What is closed is gone: docks, viewers, and all that was known of them."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QWidget

from napari_nuclei_unet.widgets import (
    ManyImagesWidget,
    ReviewWidget,
    SegmentWidget,
    TableWidget,
    TrainWidget,
)
from napari_nuclei_unet.widgets.common.lifetime import call_when_destroyed

DOCKS = [ManyImagesWidget, ReviewWidget, SegmentWidget, TableWidget, TrainWidget]
PACKAGE = "napari_nuclei_unet"


class Owner(QWidget):
    """Refers to itself, as docks do through their slots."""

    def __init__(self):
        super().__init__()
        self.itself = self


def collect():
    for _ in range(3):
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()


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
