"""What is done with labels while slices are joined: nothing is lost, and nobody else is blamed."""

import numpy as np
import pytest
from conftest import discs
from qtpy.QtWidgets import QPushButton

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets import SegmentWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.segment.linking_task import LinkingTask
from widgets.conftest import click, click_and_wait, move, settle, status


@pytest.fixture
def labels(qtbot, viewer, widget):
    stack = np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(6)])
    viewer.add_image(stack, name="cells", axis_labels=tuple("zyx"))
    widget.source_form.planes.kind.value = "all"
    click_and_wait(qtbot, widget)
    return viewer.layers["cells nuclei"]


def during_joining(qtbot, widget, act):
    """Join slices, and do something at the first step."""
    done = []

    def once(_):
        if not done:
            done.append(True)
            act()

    widget.controller.stepped.connect(once)
    click_and_wait(qtbot, widget, "join_slices")
    assert done


def test_labels_are_busy_and_the_users_lock_stays(qtbot, widget, labels):
    seen = []

    def look():
        state = LabelsState.of(labels)
        seen.append((state.busy, labels.editable, widget.state))
        with pytest.raises(UserError, match="are busy: joining slices"):
            state.check_writable()
        assert not widget.findChild(QPushButton, "segment").isEnabled()

    during_joining(qtbot, widget, look)
    assert seen == [("joining slices", True, RunState.RUNNING)]
    assert LabelsState.of(labels).busy == ""
    assert status(widget) == "2 nuclei joined along z"


def test_what_is_painted_meanwhile_stays(qtbot, widget, labels, messages):
    before = labels.data.copy()
    during_joining(qtbot, widget, lambda: labels.paint((0, 5, 90), 77))
    assert labels.data[0, 5, 90] == 77
    assert ("warning", "The labels were changed meanwhile, so their ids stay as they are: do it "
            "again.") in messages  # fmt: skip
    labels.undo()
    np.testing.assert_array_equal(labels.data, before)


def test_a_plane_that_is_not_measured_yet_gets_the_ids_once(qtbot, widget, labels):
    with qtbot.waitSignal(widget.retuner.finished):
        move(widget, "threshold", 0.6)
    assert not LabelsState.of(labels).features.queue.is_empty
    with qtbot.waitSignal(widget.finished):
        click(widget, "join_slices")
    assert status(widget) == "2 nuclei joined along z"
    assert set(labels.features["index"]) == {1, 2}


def test_an_error_after_the_user_has_painted_is_no_bug(viewer, labels, messages):
    """The thread reads the labels twice, and may meet an id that was not there before."""
    task = LinkingTask(viewer, labels, 0, over_time=False)
    with pytest.raises(IndexError):
        task.show_error(IndexError("index 6000 is out of bounds"))
    labels.paint((5, 5, 90), 6000)
    task.show_error(IndexError("index 6000 is out of bounds"))
    assert messages[-1][0] == "warning"
    assert "The labels were changed meanwhile" in messages[-1][1]


def test_cancel_ends_it(qtbot, widget, labels):
    before = labels.data.copy()
    during_joining(qtbot, widget, lambda: click(widget, "cancel"))
    np.testing.assert_array_equal(labels.data, before)
    assert LabelsState.of(labels).busy == ""
    assert status(widget) == "Cancelled."
    click_and_wait(qtbot, widget, "join_slices")
    assert status(widget) == "2 nuclei joined along z"


def test_labels_that_the_user_has_locked_are_not_joined(qtbot, widget, labels, messages):
    labels.editable = False
    click(widget, "join_slices")
    assert widget.state is RunState.IDLE
    assert "are locked: unlock them" in messages[-1][1]
    assert not labels.editable


def test_a_dock_that_is_closed_meanwhile_leaves_no_labels_busy(qtbot, viewer, widget, labels):
    other = SegmentWidget(viewer)
    click(other, "join_slices")
    assert LabelsState.of(labels).busy == "joining slices"
    with qtbot.waitSignal(other.destroyed):
        other.deleteLater()
    qtbot.waitUntil(lambda: not LabelsState.of(labels).busy)
    click_and_wait(qtbot, widget, "join_slices")
    assert status(widget) == "2 nuclei joined along z"


def test_a_plane_that_was_segmented_meanwhile_gets_labels_of_its_own(
    qtbot, viewer, widget, labels, messages
):
    before = labels.data.copy()
    widget.source_form.planes.kind.value = "this one"

    def get_busy(_):
        LabelsState.of(labels).busy = "joining slices"

    widget.controller.stepped.connect(get_busy)
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(labels.data, before)
    assert viewer.layers[-1] is not labels
    assert "'cells nuclei', which is busy (joining slices), stays as it is." in messages[-1][1]


def test_a_stack_whose_labels_get_busy_ends(qtbot, widget, labels, messages):
    def get_busy(step):
        LabelsState.of(labels).busy = "joining slices"

    before = labels.data.copy()
    widget.controller.stepped.connect(get_busy)
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(labels.data, before)
    assert "The labels 'cells nuclei' are busy: joining slices." in messages[-1][1]


def test_a_slider_that_was_moved_just_before_joining_counts(qtbot, widget, labels):
    move(widget, "threshold", 0.9)
    click_and_wait(qtbot, widget, "join_slices")
    settle(qtbot, widget)
    assert labels.metadata["napari_nuclei_unet"]["params"]["threshold"] == 0.9
