"""Planes of an opened stack: the same click, and every one of them stays live."""

import dataclasses
import re
import shutil
import tempfile
import threading
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from conftest import discs
from napari.layers import Labels, Tracks
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QPushButton
from scipy import ndimage

from napari_nuclei_unet import segment
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets import SegmentWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.plane_form import TIME_PLANES, StackAxis, parse_plane_ranges
from napari_nuclei_unet.widgets.segment.reproduce import ReproducePanel
from napari_nuclei_unet.widgets.segment.stack_steps import StackPlaneStep
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import choose, click, click_and_wait, move, no_thread_is_at_work, settle

SHAPE = (48, 64)


def plane(number):
    """A plane with one to three discs, blurred so that their area depends on the threshold."""
    centres = [(12, 12 + number % 7), (12, 50), (36, 30)][: 1 + number % 3]
    return ndimage.gaussian_filter(discs(SHAPE, centres, 7).astype(np.float32), 2)


def stack_of(*lengths):
    """Planes along leading axes, all of them different."""
    count = int(np.prod(lengths))
    return np.stack([plane(number) for number in range(count)]).reshape(*lengths, *SHAPE)


def add(viewer, data, name="stack", **options):
    """Add planes along z; up to five could be taken for channels."""
    labels = tuple("zyx") if data.ndim == 3 or options.get("rgb") else None
    return viewer.add_image(data, name=name, axis_labels=labels, **options)


def labels_in(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def status(widget):
    return widget.findChild(QLabel, "status").text()


def button(widget, name):
    return widget.findChild(QPushButton, name)


def slide(qtbot, widget, **values):
    for name, value in values.items():
        move(widget, name, value)
    settle(qtbot, widget)


def from_one(labels):
    """Number the nuclei of a plane from 1, in the order of their ids."""
    ids = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0)


def check_planes(found, images, model, **params):
    """Each plane is what it would be alone, and no two share an id."""
    seen = set()
    for one, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(from_one(one), segment(image, model, **params))
        ids = set(np.unique(one)) - {0}
        assert not ids & seen
        seen |= ids


def predictions(viewer):
    return Session.of(viewer).predictions


def cancel_after(qtbot, widget, planes):
    """Start a run and cancel it as soon as so many planes are there."""
    seen = []

    def count(step):
        if isinstance(step, StackPlaneStep):
            seen.append(step)
            if len(seen) == planes:
                click(widget, "cancel")

    widget.controller.stepped.connect(count)
    click_and_wait(qtbot, widget)
    widget.controller.stepped.disconnect(count)


def test_time_and_depth(qtbot, viewer, widget, bright):
    data = stack_of(3, 4)
    image = viewer.add_image(data, name="tz", scale=(2, 3, 0.5, 0.5), axis_labels=tuple("tzyx"))
    choose(widget, planes="all")
    assert widget.findChild(QComboBox, "planes").currentText() == "all, one by one"
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == data.shape
    assert (labels.name, labels.axis_labels) == ("tz nuclei", tuple("tzyx"))
    np.testing.assert_allclose(labels.scale, image.scale)
    check_planes(labels.data.reshape(-1, *SHAPE), data.reshape(-1, *SHAPE), bright)
    assert status(widget).startswith("24 nuclei in 12 planes · median area ")
    assert " s on " in status(widget)
    assert button(widget, "continue_planes").isHidden()
    assert len(labels.metadata[METADATA_KEY]["planes_written"]) == 12


def test_an_axis_of_channels_in_the_middle_is_left_out(qtbot, viewer, widget, bright):
    data = np.stack([stack_of(4) * 0 + 1, stack_of(4)], axis=1)
    viewer.add_image(data, name="zc", axis_labels=tuple("zcyx"))
    choose(widget, channel=1)
    choose(widget, planes="all")
    assert widget.source_form.planes.axes == [StackAxis(0, "z", 4)]
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == (4, 1, *SHAPE)
    check_planes(labels.data[:, 0], data[:, 1], bright)


def test_the_order_of_axes_is_that_of_the_view(qtbot, viewer, widget, bright):
    data = np.moveaxis(stack_of(5), 0, 2)
    viewer.add_image(data, name="yxz", rgb=False)
    choose(widget, channel_axis=None)
    viewer.dims.order = (2, 0, 1)
    choose(widget, planes="1-3")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == data.shape
    found = np.moveaxis(labels.data, 2, 0)
    check_planes(found[1:4], np.moveaxis(data, 2, 0)[1:4], bright)
    assert not found[[0, 4]].any()


def test_colours_are_no_axis(qtbot, viewer, widget, bright):
    data = np.stack([stack_of(3).astype(np.uint8)] * 3, axis=-1)
    add(viewer, data, "rgb", rgb=True)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == data.shape[:-1]
    check_planes(labels.data, data, bright)


def test_a_lazy_stack_is_read_plane_by_plane_once(qtbot, viewer, widget, bright):
    data, read = stack_of(6), []
    lock = threading.Lock()

    def look(block, block_info=None):
        if block_info:
            with lock:
                read.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.from_array(data, chunks=(1, *SHAPE)).map_blocks(look, dtype=data.dtype)
    add(viewer, lazy, "lazy", contrast_limits=(0, 200))
    choose(widget, planes="2-4")
    read.clear()
    click_and_wait(qtbot, widget)
    assert sorted(read) == [2, 3, 4]
    (labels,) = labels_in(viewer)
    check_planes(labels.data[2:5], data[2:5], bright)
    kept = predictions(viewer).results[0]
    assert not isinstance(kept.prediction.plane.pixels, np.ndarray)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ", "Type the planes, such as 0-2, 0-3"),
        ("1-2", "Type the planes, such as 0-2, 0-3"),
        ("1-2, 3, 4", "Type the planes, such as 0-2, 0-3"),
        ("2-1, 0", "'2-1' is no range of t"),
        ("0-2, 4", "'4' is no range of z"),
        ("-1, 0", "'-1' is no range of t"),
        ("all, 0", "'all' is no range of t"),
        ("1.5, 0", "'1.5' is no range of t"),
    ],
)
def test_a_range_that_is_none_is_told(viewer, widget, messages, text, words):
    viewer.add_image(stack_of(3, 4), axis_labels=tuple("tzyx"))
    choose(widget, planes=text)
    click(widget, "segment")
    assert widget.state is RunState.IDLE
    assert words in messages[-1][1]
    assert messages[-1][0] == "warning"


def test_ranges_are_read():
    axes = [StackAxis(0, "t", 10), StackAxis(3, "axis 3", 4)]
    assert parse_plane_ranges(" 2 - 5 ,3", axes) == [range(2, 6), range(3, 4)]
    with pytest.raises(UserError, match="axis 3"):
        parse_plane_ranges("1, 9", axes)


def test_the_row_is_there_for_stacks_only(viewer, widget):
    kind, planes = widget.findChild(QComboBox, "planes"), widget.findChild(QLineEdit, "plane_range")
    row = kind.parent().parent()
    viewer.add_image(np.zeros((9, 9)))
    assert row.isHidden()
    viewer.add_image(np.zeros((2, 30, 40)))
    assert row.isHidden()  # these are channels
    choose(widget, channel_axis=None)
    assert not row.isHidden()
    assert not planes.isVisibleTo(row)
    kind.setCurrentText("range")
    assert planes.isVisibleTo(row)
    assert "axis 0 (0-1)" in planes.toolTip()
    viewer.add_image(np.zeros((5, 2, 30, 40)), axis_labels=tuple("tcyx"))
    assert kind.currentText() == "this plane"


def test_cancel_keeps_planes_and_continue_does_the_rest(qtbot, viewer, widget, bright):
    data = stack_of(60)
    add(viewer, data, "long")
    choose(widget, planes="all")
    cancel_after(qtbot, widget, 3)
    (labels,) = labels_in(viewer)
    done = len(labels.metadata[METADATA_KEY]["planes_written"])
    assert 3 <= done < 60
    assert not labels.data[done:].any()
    assert status(widget) == f"Cancelled: {done} of 60 planes are done. Continue does the rest."
    before = labels.data[:done].copy()
    move(widget, "threshold", 0.9)  # the rest is done with the same settings
    settle(qtbot, widget)
    labels.data[:done] = before
    click_and_wait(qtbot, widget, "continue_planes")
    check_planes(labels.data[done:], data[done:], bright)
    np.testing.assert_array_equal(labels.data[1:done], before[1:])
    assert "in 60 planes" in status(widget)
    assert button(widget, "continue_planes").isHidden()


def test_a_time_series_that_goes_on_is_linked_when_it_is_done(qtbot, viewer, widget):
    viewer.add_image(np.stack([plane(2)] * 30), name="film", axis_labels=tuple("tyx"))
    choose(widget, planes=TIME_PLANES)
    cancel_after(qtbot, widget, 2)
    assert not any(isinstance(layer, Tracks) for layer in viewer.layers)
    click_and_wait(qtbot, widget, "continue_planes")
    settle(qtbot, widget)
    qtbot.waitUntil(lambda: isinstance(viewer.layers[-1], Tracks), timeout=30_000)
    settle(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert len(np.unique(labels.data)) == 4


def test_a_stack_that_fails_does_not_say_that_it_was_cancelled(
    qtbot, viewer, widget, bright_file, tmp_path
):
    model = Path(shutil.copy(bright_file, tmp_path / "mine.safetensors"))
    widget.use_model_file(model)
    add(viewer, stack_of(60), "long")
    choose(widget, planes="all")
    cancel_after(qtbot, widget, 3)
    done = len(labels_in(viewer)[0].metadata[METADATA_KEY]["planes_written"])
    model.unlink()
    click_and_wait(qtbot, widget, "continue_planes")
    rest = "planes are done. Continue does the rest."
    assert status(widget) == f"Stopped by an error: {done} of 60 {rest}"


def test_planes_that_were_written_before_their_dock_was_closed_are_recorded(
    qtbot, viewer, bright_file
):
    dock = SegmentWidget(viewer)
    dock.use_model_file(bright_file)
    add(viewer, stack_of(60), "long")
    choose(dock, planes="all")

    def close_after_three(step):
        if isinstance(step, StackPlaneStep) and step.plane >= 3:
            dock.deleteLater()

    dock.controller.stepped.connect(close_after_three)
    with qtbot.waitSignal(dock.destroyed, timeout=60_000):
        click(dock, "segment")
    qtbot.waitUntil(no_thread_is_at_work)
    (labels,) = labels_in(viewer)
    written = {index for index, plane in enumerate(labels.data) if plane.any()}
    assert 3 <= len(written) < 60

    def recorded():
        return {plane[0] for plane in labels.metadata[METADATA_KEY]["planes_written"]}

    qtbot.waitUntil(lambda: recorded() == written)


@pytest.mark.parametrize("name", ["tune_all", "join_slices"])
def test_continue_stays_while_finished_planes_are_tuned_or_joined(qtbot, viewer, widget, name):
    add(viewer, stack_of(60), "long")
    choose(widget, planes="all")
    cancel_after(qtbot, widget, 2)
    click_and_wait(qtbot, widget, name)
    assert not button(widget, "continue_planes").isHidden()
    click_and_wait(qtbot, widget, "continue_planes")
    assert "in 60 planes" in status(widget)


@pytest.mark.parametrize("what", ["removed", "replaced", "another run"])
def test_continue_goes_away(qtbot, viewer, widget, what):
    image = add(viewer, stack_of(60), "long")
    choose(widget, planes="all")
    cancel_after(qtbot, widget, 2)
    assert not button(widget, "continue_planes").isHidden()
    if what == "removed":
        viewer.layers.remove(image)
    elif what == "replaced":
        image.data = image.data.copy()
    else:
        choose(widget, planes="this one")
        click_and_wait(qtbot, widget)
    assert button(widget, "continue_planes").isHidden()


def test_planes_are_segmented_again_without_sharing_ids(qtbot, viewer, widget, bright):
    data = stack_of(5)
    add(viewer, data, "again")
    choose(widget, planes="1-2")
    click_and_wait(qtbot, widget)
    viewer.dims.set_current_step(0, 4)
    choose(widget, planes="this one")
    click_and_wait(qtbot, widget)
    widget.params_form.set_value(dataclasses.replace(widget.params_form.value(), minimum_area=3))
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    check_planes(labels.data, data, bright, minimum_area=3)
    assert labels.data.max() < 30


def test_sliders_act_on_every_plane(qtbot, viewer, widget, bright):
    data = stack_of(4)
    add(viewer, data)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = labels.data.copy()
    for step, threshold in ((0, 0.3), (2, 0.7)):
        viewer.dims.set_current_step(0, step)
        slide(qtbot, widget, threshold=threshold)
        expected = segment(data[step], bright, threshold=threshold)
        np.testing.assert_array_equal(from_one(labels.data[step]), expected)
        assert (labels.data[step] != before[step]).any()
    np.testing.assert_array_equal(labels.data[[1, 3]], before[[1, 3]])


def test_what_does_not_fit_into_memory_is_kept_in_files(qtbot, viewer, bright_file, bright):
    predictions(viewer).max_bytes = 2 * 2 * SHAPE[0] * SHAPE[1] * 2  # two planes
    widget = SegmentWidget(viewer)
    widget.use_model_file(bright_file)
    data = stack_of(6)
    add(viewer, data)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    spill = predictions(viewer).disk_cache
    qtbot.waitUntil(lambda: not spill.is_busy)
    folder = spill.folder
    assert len(list(folder.iterdir())) == 4
    assert sum(kept.size > 0 for kept in predictions(viewer).results) == 2
    (labels,) = labels_in(viewer)
    for step, threshold in ((0, 0.3), (5, 0.7)):
        viewer.dims.set_current_step(0, step)
        slide(qtbot, widget, threshold=threshold)
        expected = segment(data[step], bright, threshold=threshold)
        np.testing.assert_array_equal(from_one(labels.data[step]), expected)
    viewer.layers.remove("stack")
    qtbot.waitUntil(lambda: not list(folder.iterdir()))
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    qtbot.waitUntil(lambda: not folder.exists())


def test_a_folder_that_cannot_be_written_costs_only_tuning(qtbot, viewer, widget):
    predictions(viewer).max_bytes = 1
    add(viewer, stack_of(4))
    choose(widget, planes="0-1")
    click_and_wait(qtbot, widget)
    qtbot.waitUntil(lambda: not predictions(viewer).disk_cache.is_busy)
    shutil.rmtree(predictions(viewer).disk_cache.folder)  # as if the disk were gone
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    qtbot.waitUntil(lambda: not predictions(viewer).disk_cache.is_busy)
    assert len(labels_in(viewer)[0].metadata[METADATA_KEY]["planes_written"]) == 4
    assert len(predictions(viewer).results) == 1


def test_without_a_folder_for_files_nothing_waits_in_memory(
    qtbot, viewer, widget, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))  # no folder can be made in it
    predictions(viewer).max_bytes = 1
    add(viewer, stack_of(4))
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    spill, left = predictions(viewer).disk_cache, predictions(viewer).results
    assert spill.folder is None
    assert len(left) == 1  # the one on view; of the others tuning is lost
    assert len(labels_in(viewer)[0].metadata[METADATA_KEY]["planes_written"]) == 4
    failed = []
    spill.failed.connect(failed.append)
    for result in left * 3:
        spill.put(result)
    assert not spill.is_busy
    assert failed == left * 3


def test_tune_all_planes(qtbot, viewer, widget, bright):
    data = stack_of(6)
    add(viewer, data)
    assert button(widget, "tune_all").isHidden()
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert not button(widget, "tune_all").isHidden()
    labels.data[3, 0, 0] = 77
    edited = labels.data[3].copy()
    slide(qtbot, widget, threshold=0.7)
    click_and_wait(qtbot, widget, "tune_all")
    others = [0, 1, 2, 4, 5]
    check_planes(labels.data[others], data[others], bright, threshold=0.7)
    np.testing.assert_array_equal(labels.data[3], edited)
    count = sum(len(np.unique(labels.data[at])) - 1 for at in others)
    assert status(widget) == f"5 planes tuned · {count} nuclei · 1 edited by hand left alone"
    viewer.layers.remove("stack")
    assert button(widget, "tune_all").isHidden()


def test_labels_of_a_plane_edited_by_hand_stay(qtbot, viewer, widget, bright):
    data = stack_of(4)
    add(viewer, data)
    choose(widget, planes="0-1")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    for step in (1, 2):  # one was segmented, the other not
        viewer.dims.set_current_step(0, step)
        labels.selected_label = 50 + step
        labels.paint((step, 5, 5), 50 + step)
    edited = labels.data[1:3].copy()
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(labels.data[1:3], edited)
    assert "in 2 of 4 planes · 2 edited by hand left alone" in status(widget)
    assert labels.data[3].max() > 52  # not an id that was painted with
    check_planes(labels.data[[0, 3]], data[[0, 3]], bright)


def test_a_plane_that_cannot_be_read_is_left_empty(qtbot, viewer, widget, messages, bright):
    data = stack_of(5)

    def look(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 4:
            raise OSError("the disk is gone")
        return block

    lazy = da.from_array(data, chunks=(1, *SHAPE)).map_blocks(look, dtype=data.dtype)
    add(viewer, lazy, "lazy", contrast_limits=(0, 200))
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert not labels.data[4].any()
    rest = [0, 1, 2, 3]
    check_planes(labels.data[rest], data[rest], bright)
    assert "in 4 of 5 planes · 1 could not be read" in status(widget)
    (told,) = [text for _, text in messages if "the disk is gone" in text]
    assert told.startswith("Plane 4 was left out")


@pytest.mark.parametrize("what", ["removed", "replaced", "labels removed", "locked"])
def test_what_is_lost_during_the_run(qtbot, viewer, widget, messages, what):
    image = add(viewer, stack_of(30), "long")
    choose(widget, planes="all")
    seen = []

    def act(step):
        if isinstance(step, StackPlaneStep):
            seen.append(step)
        if len(seen) != 2 or not isinstance(step, StackPlaneStep):
            return
        (labels,) = labels_in(viewer)
        if what == "removed":
            viewer.layers.remove(image)
        elif what == "replaced":
            image.data = image.data.copy()
        elif what == "labels removed":
            viewer.layers.remove(labels)
        else:
            labels.editable = False

    widget.controller.stepped.connect(act)
    click_and_wait(qtbot, widget)
    assert len(seen) == 2
    assert len([text for _, text in messages if "run has ended" in text]) == 1
    assert "run has ended" in status(widget)
    assert "nuclei in 2 of 30 planes" in status(widget)
    if what != "labels removed":
        (labels,) = labels_in(viewer)
        assert labels.data[:2].any(axis=(1, 2)).all()
        assert not labels.data[2:].any()
    assert button(widget, "continue_planes").isHidden()


@pytest.mark.parametrize(
    ("shape", "words"), [((0, 20, 30), "is empty"), ((3, 0, 20, 30), "is empty")]
)
def test_axes_without_length(viewer, widget, messages, shape, words):
    viewer.add_image(
        np.zeros(shape), axis_labels=tuple("tzyx")[-len(shape) :], contrast_limits=(0, 1)
    )
    choose(widget, planes="all")
    click(widget, "segment")
    assert words in messages[-1][1]


def test_seven_dimensions(qtbot, viewer, widget, bright):
    data = stack_of(2, 1, 2, 1, 2)
    viewer.add_image(data, name="seven")
    choose(widget, channel_axis=None)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == data.shape
    check_planes(labels.data.reshape(-1, *SHAPE), data.reshape(-1, *SHAPE), bright)


def test_channels_chosen_along_an_axis_of_the_plane(qtbot, viewer, widget, bright):
    data = np.moveaxis(stack_of(3), 0, 2)  # Y, Z, X: the view shows Z as an axis of its planes
    viewer.add_image(np.ascontiguousarray(np.swapaxes(data, 1, 2)), name="odd")
    choose(widget, channel_axis=1, channel=2)
    assert not widget.source_form.planes.axes
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    np.testing.assert_array_equal(labels.data[:, 0], segment(plane(2), bright))


def test_all_planes_inside_a_region(qtbot, viewer, widget):
    add(viewer, stack_of(4))
    shapes = viewer.add_shapes([[[0, 0], [0, 30], [47, 30], [47, 0]]], shape_type="rectangle")
    choose(widget, region=shapes)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data[..., :31].any(axis=(1, 2)).all()
    assert not labels.data[..., 31:].any()
    assert "in the region in 4 planes" in status(widget)


def test_progress_counts_planes_and_tiles(qtbot, viewer, widget):
    add(viewer, stack_of(4))
    widget.params_form.set_value(dataclasses.replace(widget.params_form.value(), tile=32))
    choose(widget, planes="all")
    words = []
    controller = widget.controller
    controller.stepped.connect(lambda step: words.append(controller.task.status(step)))
    click_and_wait(qtbot, widget)
    assert words[0].startswith("Plane 1 of 4 · tile 1 of ")
    assert any(re.match(r"Plane 3 of 4 · tile 2 of \d+ · .*left", one) for one in words)


def test_the_record_is_that_of_the_plane_on_view(qtbot, viewer, widget):
    add(viewer, stack_of(3))
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    for step in (2, 0):
        viewer.dims.set_current_step(0, step)
        record = widget.findChild(ReproducePanel).find_record()
        assert record.provenance.source.planes == (step,)
    click(widget, "restore")
    assert widget.source_form.value().planes == "all"  # that is how it was made
    assert viewer.dims.current_step[0] == 0


@pytest.mark.parametrize(
    ("planes", "value"),
    [
        (["all", "all", 0], "all"),
        (["all", 2, 0], "0-2, 2, 0"),
        (["0-1", "1-3", "all"], "0-1, 1-3, 0-0"),
        ([1, 2, 0], "this one"),
        (["all"], "this one"),
    ],
)
def test_planes_of_a_record_are_chosen(viewer, widget, planes, value):
    viewer.add_image(stack_of(3, 4, 1), axis_labels=tuple("tzpyx"))
    widget.source_form.planes.use(planes)
    assert widget.source_form.value().planes == value


def test_all_layers_are_removed_at_once(qtbot, viewer, widget):
    add(viewer, stack_of(3))
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    assert not button(widget, "tune_all").isHidden()
    viewer.dims.ndisplay = 3
    viewer.layers.clear()
    assert button(widget, "tune_all").isHidden()
    assert widget.source_form.value().image is None
