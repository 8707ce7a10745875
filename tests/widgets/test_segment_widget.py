"""A click must become a layer."""

import numpy as np
import pytest
import torch
from conftest import discs
from napari.layers import Labels
from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from napari_nuclei_unet import SegmentParams, segment
from napari_nuclei_unet.widgets import SegmentWidget
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from widgets.conftest import (
    choose,
    click,
    click_and_wait,
    move,
    no_thread_is_at_work,
    offered,
    select,
    settle,
)


def labels_in(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def status(widget):
    return widget.findChild(QLabel, "status").text()


def many_tiles(widget):
    """Settings with which a run takes long enough to do something during it."""
    import dataclasses

    widget.params_form.set_value(dataclasses.replace(widget.params_form.value(), tile=16))


@pytest.fixture
def big(viewer):
    """An image of many tiles."""
    centres = np.random.default_rng(0).integers(10, 240, (12, 2)).tolist()
    return viewer.add_image(discs((256, 256), centres), name="big")


def test_a_click_makes_a_labels_layer(qtbot, viewer, widget, three_discs, bright):
    viewer.add_image(three_discs, name="cells", scale=(0.3, 0.3), units=("um", "um"))
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.name == "cells nuclei"
    np.testing.assert_array_equal(labels.data, segment(three_discs, bright))
    np.testing.assert_allclose(labels.scale, (0.3, 0.3))
    record = labels.metadata[METADATA_KEY]
    assert record["model"] == "bright"
    assert record["params"]["threshold"] == 0.5
    assert status(widget).startswith("3 nuclei · ")
    assert not widget.findChild(QPushButton, "cancel").isEnabled()


@pytest.mark.parametrize("name", ["image", "model", "device", "threshold", "separation",
                                  "minimum_area", "tile", "batch", "precision", "segment",
                                  "cancel"])  # fmt: skip
def test_every_control_has_a_name_and_a_tooltip(widget, name):
    control = widget.findChild(QWidget, name)
    assert control.toolTip()


def test_the_second_run_updates_the_layer(qtbot, viewer, widget, three_discs):
    image = viewer.add_image(three_discs, name="cells")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    labels.name = "mine"
    labels.opacity = 0.3
    image.data = discs((60, 80), [(30, 40)])
    click_and_wait(qtbot, widget)
    assert labels_in(viewer) == [labels]
    assert (labels.name, labels.opacity) == ("mine", 0.3)
    assert labels.data.max() == 1


def test_another_image_gets_its_own_layer(qtbot, viewer, widget, three_discs):
    for name in ("one", "two"):
        viewer.add_image(three_discs, name=name)
        click_and_wait(qtbot, widget)
    assert [layer.name for layer in labels_in(viewer)] == ["one nuclei", "two nuclei"]


def test_the_list_follows_the_viewer(viewer, widget, three_discs):
    one = viewer.add_image(three_discs, name="one")
    two = viewer.add_image(three_discs, name="two")
    assert widget.source_form.value().image is two
    viewer.layers.selection.active = one
    assert widget.source_form.value().image is one
    one.name = "renamed"
    assert set(offered(widget, "image")) == {"renamed", "two"}
    viewer.layers.remove(one)
    assert widget.source_form.value().image is two


def test_rgb_and_stacks(qtbot, viewer, widget, three_discs):
    viewer.add_image(np.dstack([three_discs] * 3), name="colour")
    click_and_wait(qtbot, widget)
    stack = np.stack([three_discs * 0, three_discs])
    viewer.add_image(stack, name="stack", axis_labels=("t", "y", "x"))
    viewer.dims.set_point(0, 1)
    click_and_wait(qtbot, widget)
    colour, stack = labels_in(viewer)
    assert (colour.data.shape, colour.data.max()) == (three_discs.shape, 3)
    assert [plane.max() for plane in stack.data] == [0, 3]


def test_of_rgb_one_colour_can_be_segmented(qtbot, viewer, widget, three_discs):
    merge = np.dstack([three_discs[::-1], three_discs * 0, three_discs, three_discs * 0 + 255])
    stack = np.stack([merge, merge[:, ::-1], merge * 0])
    viewer.add_image(merge, name="merge", rgb=True)
    assert offered(widget, "channel") == ["together", "red", "green", "blue"]
    select(widget, "channel", "blue")
    click_and_wait(qtbot, widget)
    (blue,) = labels_in(viewer)
    np.testing.assert_array_equal(blue.data > 0, three_discs > three_discs.min())
    assert {"mean_intensity_red", "mean_intensity_blue"} <= set(blue.features.columns)
    select(widget, "channel", "together")
    viewer.layers.selection.active = blue
    click(widget, "restore")
    assert widget.source_form.value().channel == 2
    viewer.add_image(stack, name="stack", rgb=True)
    choose(widget, channel_axis=3, channel=2, planes="all")
    click_and_wait(qtbot, widget)
    assert [plane.max() > 0 for plane in labels_in(viewer)[-1].data] == [True, True, False]
    assert labels_in(viewer)[-1].data.shape == stack.shape[:3]


def test_without_an_image_buttons_say_what_is_missing(viewer, widget):
    buttons = [widget.findChild(QPushButton, name) for name in ("segment", "preview")]
    assert not any(button.isEnabled() for button in buttons)
    assert all("no image to segment" in button.toolTip() for button in buttons)
    viewer.add_image(np.zeros((20, 30)))
    assert all(button.isEnabled() for button in buttons)
    assert not any("no image" in button.toolTip() for button in buttons)


def test_one_value_only_is_an_empty_layer_and_a_sentence(qtbot, viewer, widget, messages):
    viewer.add_image(np.full((20, 30), 7.0))
    click_and_wait(qtbot, widget)
    assert labels_in(viewer)[0].data.max() == 0
    assert "same value" in messages[0][1]
    assert status(widget).startswith("0 nuclei")


def test_mistakes_are_sentences_and_the_next_run_works(
    qtbot, viewer, widget, messages, three_discs
):
    viewer.add_image(three_discs)
    select(widget, "device", "cpu")
    widget.params_form.set_value(SegmentParams(precision="fp16"))
    click_and_wait(qtbot, widget)
    assert messages[-1][0] == "error"
    assert "fp16 works on graphics cards" in messages[-1][1]
    assert not labels_in(viewer)
    widget.params_form.set_value(SegmentParams(precision="auto"))
    if not torch.cuda.is_available():
        select(widget, "device", "cuda")
        click_and_wait(qtbot, widget)
        assert "no CUDA" in messages[-1][1]
    select(widget, "device", "auto")
    click_and_wait(qtbot, widget)
    assert labels_in(viewer)[0].data.max() == 3


def test_a_file_that_is_no_model_is_refused(widget, messages, tmp_path):
    before = widget.model_form.value()
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    widget.use_model_file(tmp_path / "bad.safetensors")
    assert "incomplete safetensors file" in messages[-1][1]
    assert widget.model_form.value() == before


def test_choosing_a_model_keeps_the_other_settings(widget):
    wish = SegmentParams(tile=64, batch=3, precision="fp32")
    widget.params_form.set_value(wish)
    select(widget, "model", "Standard (fluorescence and H&E)")
    shown = widget.params_form.value()
    assert (shown.tile, shown.batch, shown.precision) == (64, 3, "fp32")


def test_a_lazy_layer_that_cannot_be_read(qtbot, viewer, widget, messages):
    import dask.array as da

    lost = []

    def read(block):
        if block.size > 1 and lost:
            raise OSError("the disk is gone")
        return block

    data = da.zeros((3, 40, 40), chunks=(1, 40, 40))
    viewer.add_image(data.map_blocks(read, dtype=float), contrast_limits=(0, 1), cache=False)
    lost.append(True)
    click_and_wait(qtbot, widget)
    assert messages[-1] == ("error", "The image could not be read: the disk is gone")


def test_a_model_file_that_vanishes(qtbot, viewer, widget, messages, tmp_path, bright_file):
    path = tmp_path / "gone.safetensors"
    path.write_bytes(bright_file.read_bytes())
    widget.use_model_file(path)
    path.unlink()
    viewer.add_image(discs((40, 40), [(20, 20)]))
    click_and_wait(qtbot, widget)
    assert "There is no model" in messages[-1][1]
    assert not labels_in(viewer)


def test_cancel_leaves_nothing_and_the_next_run_works(qtbot, viewer, widget, big):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        with qtbot.waitSignal(widget.controller.stepped, timeout=60_000):
            pass
        click(widget, "cancel")
    assert status(widget) == "Cancelled."
    assert not labels_in(viewer)
    click_and_wait(qtbot, widget)
    assert len(labels_in(viewer)) == 1


def test_a_second_click_during_a_run_changes_nothing(qtbot, viewer, widget, big):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        click(widget, "segment")
        widget.start()
    assert len(labels_in(viewer)) == 1


def test_an_image_removed_during_a_run(qtbot, viewer, widget, big, messages):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        viewer.layers.remove(big)
    assert not labels_in(viewer)
    assert "'big' was removed while it was being segmented" in messages[-1][1]
    viewer.add_image(discs((40, 40), [(20, 20)]))
    click_and_wait(qtbot, widget)
    assert len(labels_in(viewer)) == 1


def test_an_image_renamed_during_a_run(qtbot, viewer, widget, big):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        big.name = "new name"
    assert [layer.name for layer in labels_in(viewer)] == ["new name nuclei"]


def test_an_image_replaced_by_a_smaller_one_during_a_run(qtbot, viewer, widget, big, messages):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        big.data = np.zeros((30, 30))
    assert not labels_in(viewer)
    assert "changed while it was being segmented" in messages[-1][1]


def test_closing_the_widget_in_the_middle_of_a_run(qtbot, viewer, big, bright_file):
    """The worker ends; the fixture fails the test if it does not."""
    widget = SegmentWidget(viewer)
    widget.use_model_file(bright_file)
    many_tiles(widget)
    click(widget, "segment")
    with qtbot.waitSignal(widget.destroyed, timeout=60_000):
        widget.deleteLater()
    qtbot.waitUntil(no_thread_is_at_work, timeout=60_000)
    assert not labels_in(viewer)
    viewer.add_image(discs((40, 40), [(20, 20)]))  # the dead widget is not asked


def test_cancel_right_after_segment(qtbot, viewer, widget, big, preferences):
    """Before the thread has begun, and with the question to be asked."""
    preferences.on_cancel = "ask"
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        click(widget, "cancel")
    assert status(widget) == "Cancelled."
    assert not labels_in(viewer)
    click_and_wait(qtbot, widget)
    assert len(labels_in(viewer)) == 1


def test_an_image_with_other_pixels_of_the_same_shape_during_a_run(
    qtbot, viewer, widget, big, messages
):
    many_tiles(widget)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        big.data = big.data[::-1].copy()
    assert not labels_in(viewer)
    assert "changed while it was being segmented" in messages[-1][1]


def test_locked_labels_are_not_touched(qtbot, viewer, widget, three_discs, messages):
    viewer.add_image(three_discs, name="cells")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    labels.editable = False
    before = labels.data.copy()
    click(widget, "segment")
    assert "are locked" in messages[-1][1]
    move(widget, "minimum_area", 400)
    settle(qtbot, widget)
    assert "are locked" in status(widget)
    np.testing.assert_array_equal(labels.data, before)


def test_labels_that_are_locked_during_a_run_stay_as_they_are(qtbot, viewer, widget, big):
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = labels.data.copy()
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        labels.editable = False
    assert not labels.editable
    np.testing.assert_array_equal(labels.data, before)
    assert len(labels_in(viewer)) == 2


def test_labels_that_are_locked_while_a_slider_moves_stay_as_they_are(qtbot, viewer, widget, big):
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = labels.data.copy()
    widget.retuner.stepped.connect(lambda _: setattr(labels, "editable", False))
    move(widget, "minimum_area", 400)
    settle(qtbot, widget)
    assert "are locked" in status(widget)
    np.testing.assert_array_equal(labels.data, before)


def test_a_part_that_is_kept_replaces_no_correction(qtbot, viewer, widget, big, preferences):
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    labels.paint((5, 5), 777)
    preferences.on_cancel = "keep"
    many_tiles(widget)
    tiles = []
    widget.controller.stepped.connect(tiles.append)
    click(widget, "segment")
    qtbot.waitUntil(lambda: bool(tiles) and tiles[-1].done > 20, timeout=60_000)
    click(widget, "cancel")
    settle(qtbot, widget)
    assert "in the part that was finished" in status(widget)
    assert labels.data[5, 5] == 777
    assert len(labels_in(viewer)) == 2


def test_choices_follow_layers_that_are_renamed(viewer, widget, three_discs):
    viewer.add_image(three_discs, name="first")
    second = viewer.add_image(three_discs, name="second")
    shapes = viewer.add_shapes([[[0, 0], [0, 9], [9, 9]]], shape_type="polygon", name="S")
    choose(widget, region=shapes)
    viewer.layers.selection.active = second
    second.name = "DAPI"
    shapes.name = "whole image"
    assert widget.source_form.value().image is second
    assert widget.source_form.value().region is shapes


def test_the_form_follows_the_axes_of_its_image(viewer, widget, three_discs):
    image = viewer.add_image(three_discs, name="cells")
    assert offered(widget, "channel_axis") == ["no channels"]
    image.data = np.stack([three_discs] * 4)
    assert widget.source_form.value().channel_axis == 0
    assert len(offered(widget, "channel")) == 6
    image.data = np.stack([three_discs] * 2)
    assert len(offered(widget, "channel")) == 4
    choose(widget, channel=1)
    other = viewer.add_image(three_discs, name="other")
    viewer.layers.selection.active = other
    viewer.layers.selection.active = image
    assert widget.source_form.value().channel == 1


def test_selecting_a_result_turns_to_its_image(qtbot, viewer, widget, three_discs):
    first = viewer.add_image(three_discs, name="first")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    viewer.add_image(three_discs, name="second")
    viewer.layers.selection.active = labels
    assert widget.source_form.value().image is first


def test_a_new_image_is_chosen_while_a_result_is_selected(qtbot, viewer, widget, three_discs):
    viewer.add_image(three_discs, name="first")
    click_and_wait(qtbot, widget)
    assert viewer.layers.selection.active in labels_in(viewer)
    second = viewer.add_image(three_discs, name="second")
    assert widget.source_form.value().image is second
