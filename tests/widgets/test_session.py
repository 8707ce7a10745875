"""What docks of a viewer share, and how long it lives."""

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import discs
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication, QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_nuclei_unet.widgets.common.lifetime import delete_with
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState, PlaneState
from napari_nuclei_unet.widgets.layers.measure_queue import UnmeasuredPlane
from napari_nuclei_unet.widgets.layers.measurements import create_labels_measurement_source
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import click_and_wait

PLANE = (slice(None), slice(None))


class Owner:
    """Is collected by the garbage collector only, as layers are."""

    def __init__(self):
        self.myself = self


def test_an_object_of_qt_is_deleted_in_its_own_thread(qtbot):
    owner, dependent = Owner(), QObject()
    timer = QTimer(dependent)
    timer.start(1000)
    delete_with(owner, dependent)
    with qtbot.waitSignal(dependent.destroyed):
        del owner
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()


def test_a_layer_may_be_opened_while_torch_loads():
    """The thread makes a layer, too, and units are not defined twice."""
    code = (
        "import pint\n"
        "from napari_nuclei_unet.widgets.session import warm_up\n"
        "warm_up.start_in_background = lambda _: None\n"
        "warm_up.start_warm_up()\n"
        "assert type(pint.get_application_registry().get()) is not pint.registry.LazyRegistry\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_one_session_for_each_viewer():
    viewer, other = ViewerModel(), ViewerModel()
    assert Session.of(viewer) is Session.of(viewer)
    assert Session.of(viewer) is not Session.of(other)
    assert Session.of(viewer).models is Session.of(other).models


def test_one_state_for_each_layer_that_ends_with_it(qtbot):
    layer = Labels(np.zeros((9, 9), np.int32))
    state = LabelsState.of(layer)
    assert LabelsState.of(layer) is state
    with qtbot.waitSignal(state.features.queue.destroyed):
        del layer
        gc.collect()


@pytest.mark.parametrize("deleted", [True, False])
def test_labels_that_are_removed_are_not_measured(qtbot, deleted):
    layer = Labels(np.zeros((9, 9), np.int32))
    queue, told = LabelsState.of(layer).features.queue, []
    source = create_labels_measurement_source(layer, PLANE)
    queue.put(UnmeasuredPlane(PLANE, source, source), 0 if deleted else 20)
    del layer, source
    gc.collect()
    if deleted:
        with qtbot.waitSignal(queue.destroyed):
            pass
    else:  # Qt deletes nothing before its loop of events goes on
        queue.emptied.connect(lambda: told.append(True))
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            QCoreApplication.processEvents()
        assert told
    assert queue.is_empty


def test_a_plane_is_empty_written_or_edited(qtbot):
    layer = Labels(np.zeros((9, 9), np.int32))
    state = LabelsState.of(layer)
    assert state.plane_state(PLANE) is PlaneState.EMPTY
    layer.paint((1, 1), 1)
    assert state.plane_state(PLANE) is PlaneState.EDITED


def test_every_change_raises_the_revision(qtbot):
    layer = Labels(np.zeros((9, 9), np.int32))
    state = LabelsState.of(layer)
    seen = [state.revision]
    for change in (
        lambda: layer.paint((4, 4), 1),
        layer.undo,
        layer.redo,
        lambda: layer.fill((0, 0), 2),
        lambda: setattr(layer, "data", np.ones((9, 9), np.int32)),
    ):
        change()
        seen.append(state.revision)
    assert seen == sorted(set(seen))


def test_a_region_that_is_segmented_again_makes_no_edit_elsewhere_unseen(qtbot, viewer, widget):
    viewer.add_image(discs((60, 80), [(15, 15), (40, 60)]), name="cells")
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    labels.paint((50, 5), 9)
    box = viewer.add_shapes([[[30, 45], [30, 75], [55, 75], [55, 45]]], shape_type="polygon")
    widget.source_form.region.value = box
    click_and_wait(qtbot, widget)
    assert labels.data[50, 5] == 9
    widget.source_form.region.value = "whole image"
    click_and_wait(qtbot, widget)
    assert labels.data[50, 5] == 9  # the whole went into a layer of its own
    assert not viewer.layers["cells nuclei [1]"].data[50, 5]


def test_what_was_painted_before_a_region_was_segmented_is_not_replaced(qtbot, viewer, widget):
    viewer.add_image(discs((60, 80), [(15, 15), (40, 60)]), name="cells")
    box = viewer.add_shapes([[[30, 45], [30, 75], [55, 75], [55, 45]]], shape_type="polygon")
    widget.source_form.region.value = box
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    labels.paint((50, 5), 9)
    click_and_wait(qtbot, widget)
    widget.source_form.region.value = "whole image"
    click_and_wait(qtbot, widget)
    assert labels.data[50, 5] == 9


def test_labels_that_are_written_while_they_are_measured_are_measured_again(
    qtbot, viewer, widget, messages
):
    spots = [(y, x) for y in range(20, 1000, 40) for x in range(20, 1000, 40)]
    viewer.add_image(discs((1024, 1024), spots), name="cells")
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    state = LabelsState.of(labels)
    plane = state.features.queue
    with qtbot.captureExceptions() as bugs:
        for number in range(12):
            plane.put(measured_again(state), delay=0)
            for _ in range(40):
                labels.data[...] = np.roll(labels.data, number, 1)
                QApplication.processEvents()
        qtbot.waitUntil(lambda: plane.is_empty, timeout=20_000)
    assert not bugs
    assert not messages
    assert len(labels.features) == len(np.unique(labels.data)) - 1


def measured_again(state):
    """Return the only plane of a table, to be measured again."""
    (plane,) = state.features.planes.values()
    source = plane.measurement_source
    return UnmeasuredPlane(plane.index, source, source)


def test_a_region_of_an_image_of_another_shape_replaces_no_edits(qtbot, viewer, widget):
    image = viewer.add_image(discs((60, 80), [(15, 15), (40, 60)]), name="cells")
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    labels.paint((50, 5), 9)
    image.data = discs((70, 80), [(15, 15), (40, 60)])
    box = viewer.add_shapes([[[30, 45], [30, 75], [55, 75], [55, 45]]], shape_type="polygon")
    widget.source_form.region.value = box
    click_and_wait(qtbot, widget)
    assert (labels.data.shape, labels.data[50, 5]) == ((60, 80), 9)
    assert viewer.layers["cells nuclei [1]"].data.shape == (70, 80)


def test_labels_that_are_locked_during_a_run_stay_locked_and_as_they_are(qtbot, viewer, widget):
    viewer.add_image(discs((60, 80), [(15, 15), (40, 60)]), name="cells")
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    labels.paint((50, 5), 9)
    labels.undo()
    widget.controller.stepped.connect(lambda _: setattr(labels, "editable", False))
    click_and_wait(qtbot, widget)
    assert not labels.editable
    assert viewer.layers["cells nuclei [1]"].data.any()


def test_planes_that_were_painted_without_a_run_are_edits(qtbot):
    layer = Labels(np.zeros((3, 9, 9), np.int32))
    state = LabelsState.of(layer)
    assert not state.has_edits
    layer.paint((2, 4, 4), 1)
    assert state.has_edits
