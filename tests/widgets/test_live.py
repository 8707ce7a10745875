"""After one run everything is live: sliders move labels, and nothing of the user's is lost."""

import numpy as np
import pytest
from conftest import discs
from napari.layers import Labels
from qtpy.QtWidgets import QLabel
from scipy import ndimage

from napari_nuclei_unet import segment
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from widgets.conftest import choose, click, click_and_wait, move, select, settle


def slide(qtbot, widget, **values):
    """Move sliders and wait until nothing is under way any more."""
    for name, value in values.items():
        move(widget, name, value)
    settle(qtbot, widget)


def status(widget):
    return widget.findChild(QLabel, "status").text()


@pytest.fixture
def shaded():
    """Blurred discs, whose area depends on the threshold."""
    image = discs((120, 160), [(30, 40), (30, 110), (90, 40), (95, 115)], 14).astype(float)
    return ndimage.gaussian_filter(image, 5)


@pytest.fixture
def result(qtbot, viewer, widget, shaded):
    viewer.add_image(shaded, name="cells")
    click_and_wait(qtbot, widget)
    return next(layer for layer in viewer.layers if isinstance(layer, Labels))


def test_a_slider_labels_again_in_place(qtbot, viewer, widget, result, shaded, bright):
    result.name, result.opacity = "mine", 0.4
    result.selected_label = 3
    viewer.layers.selection.active = result
    slide(qtbot, widget, threshold=0.7, minimum_area=30)
    expected = segment(shaded, bright, threshold=0.7, minimum_area=30)
    np.testing.assert_array_equal(result.data, expected)
    assert [layer for layer in viewer.layers if isinstance(layer, Labels)] == [result]
    assert (result.name, result.opacity, result.selected_label) == ("mine", 0.4, 3)
    assert viewer.layers.selection.active is result
    assert result.metadata[METADATA_KEY]["params"]["threshold"] == 0.7
    assert status(widget).startswith(f"{expected.max()} nuclei")


def test_the_last_of_many_moves_counts(qtbot, widget, result, shaded, bright):
    for count, value in enumerate(np.linspace(0.2, 0.9, 15)):
        move(widget, "threshold", float(value))
        if count % 4 == 3:  # the thread is at work on it when the next ones come
            with qtbot.waitSignal(widget.retuner.stepped, timeout=15_000):
                pass
    slide(qtbot, widget, threshold=0.35)
    np.testing.assert_array_equal(result.data, segment(shaded, bright, threshold=0.35))


def test_a_move_counts_however_long_the_one_before_takes(qtbot, viewer, widget):
    at = range(20, 1190, 40)
    viewer.add_image(discs((1200, 1200), [(y, x) for y in at for x in at]), name="cells")
    click_and_wait(qtbot, widget)
    move(widget, "threshold", 0.6)
    with qtbot.waitSignal(widget.retuner.stepped, timeout=15_000):
        pass  # the thread is at work for longer than a move waits
    move(widget, "threshold", 0.7)
    settle(qtbot, widget)
    record = viewer.layers["cells nuclei"].metadata[METADATA_KEY]
    assert record["params"]["threshold"] == 0.7


def test_the_table_is_shown_once_somebody_has_asked_for_a_row(qtbot, widget, result):
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        with qtbot.waitSignal(widget.retuner.finished, timeout=15_000):
            move(widget, "threshold", 0.7)
        table = LabelsState.of(result).features
        areas = table.plane((slice(None), slice(None))).rows["area"]
    np.testing.assert_array_equal(result.features["area"], areas)
    assert widget.is_settled


def test_a_plane_that_is_measured_does_not_wait_any_more(qtbot, widget, result):
    features = LabelsState.of(result).features
    known = features.plane((slice(None), slice(None)))
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        with qtbot.waitSignal(widget.retuner.finished, timeout=15_000):
            move(widget, "threshold", 0.7)
        assert not features.queue.is_empty
        features.set_measurements(known.index, known.measurement_source, known.rows)
        assert features.queue.is_empty
    assert widget.is_settled


def test_reset_returns_to_the_models_own_values(qtbot, widget, result, shaded, bright):
    before = result.data.copy()
    slide(qtbot, widget, threshold=0.9, separation=0.1, minimum_area=400)
    assert (result.data != before).any()
    click(widget, "reset")
    slide(qtbot, widget)
    np.testing.assert_array_equal(result.data, before)


def test_the_cache_survives_clicking_around(qtbot, viewer, widget, result, shaded, bright):
    image = viewer.layers["cells"]
    viewer.add_points([[1, 1]])
    viewer.add_image(np.zeros((30, 30)), name="other")
    viewer.layers.selection.active = image
    slide(qtbot, widget, threshold=0.7)
    np.testing.assert_array_equal(result.data, segment(shaded, bright, threshold=0.7))


def test_labels_edited_by_hand_are_left_alone(qtbot, widget, result):
    result.paint((5, 5), 77)
    edited = result.data.copy()
    slide(qtbot, widget, threshold=0.7)
    np.testing.assert_array_equal(result.data, edited)
    assert "edited by hand" in status(widget)
    result.undo()
    slide(qtbot, widget, threshold=0.75)
    assert 77 not in result.data
    assert result.metadata[METADATA_KEY]["params"]["threshold"] == 0.75


def test_what_is_painted_while_the_thread_works_stays(qtbot, widget, result):
    def paint(step):
        if step.done:  # the thread has found the labels unedited, and separated the nuclei
            result.paint((2, 2), 99)

    widget.retuner.stepped.connect(paint)
    slide(qtbot, widget, threshold=0.9)
    assert result.data[2, 2] == 99
    assert "edited by hand" in status(widget)


@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_the_cache_does_not_answer_for_other_pixels(qtbot, viewer, widget, result, how):
    image, before = viewer.layers["cells"], result.data.copy()
    if how == "replaced":
        image.data = np.ascontiguousarray(image.data[::-1])
    else:
        image.data[:] = image.data[::-1].copy()
        image.refresh()
    slide(qtbot, widget, threshold=0.9)
    np.testing.assert_array_equal(result.data, before)


def test_another_model_ends_it(qtbot, widget, result):
    before = result.data.copy()
    select(widget, "model", "Standard (fluorescence and H&E)")
    slide(qtbot, widget, threshold=0.9)
    np.testing.assert_array_equal(result.data, before)


@pytest.mark.parametrize("name", ["cells", "cells nuclei"])
def test_a_layer_removed_while_tuning(qtbot, viewer, widget, result, name):
    move(widget, "threshold", 0.9)
    viewer.layers.remove(name)
    settle(qtbot, widget)
    move(widget, "threshold", 0.8)
    settle(qtbot, widget)
    assert not [one for one in viewer.layers if one.name == name]


def test_each_plane_of_a_stack_is_tuned_by_itself(qtbot, viewer, widget, shaded, bright):
    stack = np.stack([shaded, shaded[::-1], shaded])
    viewer.add_image(stack, name="stack", axis_labels=("z", "y", "x"))
    choose(widget, planes="this one")
    viewer.dims.set_point(0, 0)
    click_and_wait(qtbot, widget)
    viewer.dims.set_point(0, 1)
    click_and_wait(qtbot, widget)
    viewer.dims.set_point(0, 0)
    slide(qtbot, widget, threshold=0.7)
    labels = next(layer for layer in viewer.layers if isinstance(layer, Labels))
    np.testing.assert_array_equal(labels.data[0], segment(shaded, bright, threshold=0.7))
    other = segment(shaded[::-1], bright)  # its ids follow those of the first plane
    np.testing.assert_array_equal(labels.data[1], np.where(other > 0, other + 4, 0))
    assert not labels.data[2].any()


def test_closing_the_widget_while_it_tunes(qtbot, viewer, bright_file, shaded):
    from napari_nuclei_unet.widgets import SegmentWidget

    viewer.add_image(shaded)
    made = SegmentWidget(viewer)
    made.use_model_file(bright_file)
    click_and_wait(qtbot, made)
    move(made, "threshold", 0.9)
    with qtbot.waitSignal(made.destroyed):
        made.deleteLater()


def test_channels_share_a_layer_and_each_stays_live(qtbot, viewer, widget, shaded, bright):
    channels = np.stack([shaded, shaded[::-1]])
    viewer.add_image(channels, name="channels")
    for channel in (0, 1):
        viewer.dims.set_point(0, channel)
        click_and_wait(qtbot, widget)
    viewer.dims.set_point(0, 0)
    slide(qtbot, widget, threshold=0.7)
    labels = next(layer for layer in viewer.layers if isinstance(layer, Labels))
    np.testing.assert_array_equal(labels.data, segment(shaded, bright, threshold=0.7))
    viewer.dims.set_point(0, 1)
    slide(qtbot, widget, threshold=0.6)
    np.testing.assert_array_equal(labels.data, segment(shaded[::-1], bright, threshold=0.6))


def test_after_a_part_the_whole_is_still_live(qtbot, viewer, widget, result, shaded, bright):
    image = viewer.layers["cells"]
    image.corner_pixels = np.array([[0, 0], [60, 80]])
    viewer.layers.selection.active = image
    click_and_wait(qtbot, widget, "preview")
    assert "in view (preview)" in status(widget)
    slide(qtbot, widget, threshold=0.7)
    np.testing.assert_array_equal(result.data, segment(shaded, bright, threshold=0.7))


def test_using_the_settings_of_one_result_leaves_the_other_alone(
    qtbot, viewer, widget, result, shaded
):
    viewer.add_image(shaded, name="other")
    move(widget, "threshold", 0.9)
    click_and_wait(qtbot, widget)
    before = {name: viewer.layers[name].data.copy() for name in ("cells nuclei", "other nuclei")}
    viewer.layers.selection.active = viewer.layers["cells"]
    viewer.layers.selection.active = viewer.layers["other nuclei"]
    click(widget, "restore")
    settle(qtbot, widget)
    for name, data in before.items():
        np.testing.assert_array_equal(viewer.layers[name].data, data)


def test_a_slider_without_a_prediction_says_so(qtbot, viewer, widget, shaded):
    viewer.add_image(shaded)
    move(widget, "threshold", 0.9)
    settle(qtbot, widget)
    assert status(widget).startswith("Click Segment")
