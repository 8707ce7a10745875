"""Planes as a z-stack: nuclei that are objects in 3-D, which follow the sliders."""

import threading

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QPushButton
from scipy import ndimage

from napari_nuclei_unet.widgets.layers.labels_record import get_record_entries
from napari_nuclei_unet.widgets.layers.volumes import find_volume_axes
from napari_nuclei_unet.widgets.segment.plane_form import (
    ALL_PLANES,
    CURRENT_PLANE,
    TIME_PLANES,
    VOLUME_PLANES,
)
from napari_nuclei_unet.widgets.segment.volume_task import VolumeTaskStep
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import choose, click, click_and_wait, move, offered, select, settle


def ball_stack(centres=((6, 20, 20), (6, 20, 50), (9, 45, 35)), shape=(14, 64, 72), step=2.0):
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    mask = np.zeros(shape, bool)
    for centre in centres:
        squares = ((z - centre[0]) * step) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        mask |= squares < 8**2
    noise = np.random.default_rng(0).normal(0, 0.01, shape)
    return (ndimage.gaussian_filter(mask.astype(float), (0.3, 1, 1)) + noise).astype(np.float32)


def add_stack(viewer, data=None, axes="zyx", **options):
    data = ball_stack() if data is None else data
    return viewer.add_image(data, name="stack", axis_labels=tuple(axes), **options)


def labels_in(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def z_step(widget):
    return widget.findChild(QDoubleSpinBox, "z_step")


def status(widget):
    return widget.findChild(QLabel, "status").text()


def test_planes_say_what_the_axis_is(widget, viewer):
    add_stack(viewer)
    assert offered(widget, "planes") == [
        "this plane", "all, as a z-stack", "all, as a time series", "all, one by one", "range",
    ]  # fmt: skip


def test_a_z_stack_becomes_nuclei_in_3d(qtbot, widget, viewer):
    add_stack(viewer, scale=(0.8, 0.4, 0.4), units=("um",) * 3)
    choose(widget, planes=VOLUME_PLANES)
    assert z_step(widget).value() == pytest.approx(0.8)
    assert z_step(widget).text().endswith("µm")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.max() == 3
    assert [len(np.unique(labels.data[labels.data == n])) for n in (1, 2, 3)] == [1, 1, 1]
    record = get_record_entries(labels)
    assert record["volume"]
    assert record["z_step"] == pytest.approx(2.0)
    assert len(record["planes_written"]) == 14
    assert "3 nuclei in 3-D" in status(widget)
    features = labels.features
    assert len(features) == 3
    assert features["sections"].between(6, 10).all()
    true = 4 / 3 * np.pi * (8 * 0.4) ** 3
    assert features["volume"].to_numpy() == pytest.approx(true, rel=0.35)
    assert features["confidence"].gt(0.5).all()


def test_a_coarser_level_has_the_step_of_the_labels(qtbot, widget, viewer):
    fine = np.kron(ball_stack(), np.ones((1, 2, 2), np.uint16))
    viewer.add_image(
        [fine, fine[:, ::2, ::2]], multiscale=True, axis_labels="zyx", scale=(0.8, 0.2, 0.2),
        units=("um",) * 3,
    )  # fmt: skip
    choose(widget, level=1)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == fine.shape
    assert labels.data.max() == 3
    assert get_record_entries(labels)["z_step"] == pytest.approx(4)


def test_sliders_act_in_3d(qtbot, widget, viewer):
    add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = int((labels.data > 0).sum())
    with qtbot.waitSignal(widget.finished, timeout=30_000):
        move(widget, "threshold", 0.85)
    settle(qtbot, widget)
    assert labels_in(viewer) == [labels]
    assert 0 < int((labels.data > 0).sum()) < before
    assert labels.data.max() == 3
    assert get_record_entries(labels)["params"]["threshold"] == 0.85
    assert len(labels.features) == 3


def test_a_step_that_is_typed_becomes_the_scale(qtbot, widget, viewer):
    image = add_stack(viewer)
    choose(widget, planes=VOLUME_PLANES)
    assert z_step(widget).value() == 0
    z_step(widget).setValue(2.0)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert image.scale[0] == labels.scale[0] == 2
    assert get_record_entries(labels)["z_step"] == 2


def test_a_step_that_nobody_knows_is_estimated(qtbot, widget, viewer, messages):
    add_stack(viewer)
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    assert any("How far apart the slices are is not known" in text for _, text in messages)
    assert 1.5 < get_record_entries(labels_in(viewer)[0])["z_step"] < 2.6


def test_volumes_that_were_corrected_stay(qtbot, widget, viewer, messages):
    add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    labels.data_setitem((np.array([2]), np.array([2]), np.array([2])), 9)
    click_and_wait(qtbot, widget)
    assert len(labels_in(viewer)) == 2
    assert labels.data[2, 2, 2] == 9
    assert any("stays as it is" in text for _, text in messages)


def test_planes_do_not_go_into_a_volume(qtbot, widget, viewer):
    add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    choose(widget, planes=CURRENT_PLANE)
    click_and_wait(qtbot, widget)
    volume, planes = labels_in(viewer)
    assert get_record_entries(volume)["volume"]
    assert not get_record_entries(planes).get("volume")
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    assert labels_in(viewer) == [volume, planes]


def test_time_points_are_volumes_of_their_own(qtbot, widget, viewer):
    add_stack(viewer, np.stack([ball_stack(), ball_stack()]), "tzyx", scale=(1, 2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.max() == 6
    assert len(labels.features) == 6
    assert "6 nuclei in 2 volumes" in status(widget)


def test_a_time_series_is_linked_when_it_is_segmented(qtbot, widget, viewer):
    frames = np.stack([ball_stack()[6]] * 3)
    add_stack(viewer, frames, "tyx")
    choose(widget, planes=TIME_PLANES)
    click_and_wait(qtbot, widget)
    qtbot.waitUntil(lambda: "tracks" in viewer.layers[-1].name, timeout=30_000)
    settle(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert [set(np.unique(plane)) for plane in labels.data] == [{0, 1, 2, 3}] * 3


def test_volumes_that_were_cancelled_go_on_and_are_linked(qtbot, widget, viewer, messages):
    cancelled = threading.Event()
    cancelled.set()

    def read(block, block_info):
        if block_info[0]["array-location"][0][0]:  # the first volume is finished in time
            cancelled.wait(60)
        return block

    film = da.from_array(np.stack([ball_stack()] * 4), chunks=(1, -1, -1, -1))
    add_stack(viewer, film.map_blocks(read, dtype=film.dtype, meta=film), "tzyx", cache=False)
    choose(widget, planes=TIME_PLANES)

    def cancel_after_the_first(step):
        if isinstance(step, VolumeTaskStep):
            widget.cancel()
            cancelled.set()

    widget.controller.stepped.connect(cancel_after_the_first)
    viewer.dims.set_current_step(0, 0)  # what is on view is read by the window, which must not wait
    cancelled.clear()
    click_and_wait(qtbot, widget)
    widget.controller.stepped.disconnect(cancel_after_the_first)
    assert status(widget) == "Cancelled: 1 of 4 volumes are done. Continue does the rest."
    (labels,) = labels_in(viewer)
    first, step = labels.data[0].copy(), get_record_entries(labels)["z_step"]
    assert first.any()
    assert not labels.data[1:].any()
    first[2, 2, 2] = labels.data[0, 2, 2, 2] = 99  # finished volumes are kept as they are
    labels.data[3, 2, 2, 2] = 99  # and what was painted
    click_and_wait(qtbot, widget, "continue_planes")
    settle(qtbot, widget)
    assert widget.findChild(QPushButton, "continue_planes").isHidden()
    assert labels_in(viewer) == [labels]
    assert get_record_entries(labels)["z_step"] == step
    assert sum("How far apart" in text for _, text in messages) == 1
    qtbot.waitUntil(lambda: "tracks" in viewer.layers[-1].name, timeout=30_000)
    settle(qtbot, widget)
    assert np.array_equal(labels.data[0] > 0, first > 0)
    assert [len(np.unique(volume)) - 1 for volume in labels.data] == [4, 3, 3, 1]


def test_the_settings_of_a_volume_come_back(qtbot, widget, viewer):
    add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    choose(widget, planes=CURRENT_PLANE)
    click(widget, "restore")
    assert widget.source_form.value().planes == VOLUME_PLANES


def test_an_image_that_is_removed_ends_the_run(qtbot, widget, viewer):
    image = add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    with qtbot.waitSignal(widget.finished, timeout=30_000):
        widget.segment()
        viewer.layers.remove(image)
    assert not labels_in(viewer)


def test_the_network_is_known_in_all_slices(qtbot, widget, viewer):
    image = add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    predictions, box = Session.of(viewer).predictions, (slice(0, 64), slice(0, 72))
    for z, section in enumerate(labels.data):
        known = predictions.find_latest(image, (z, slice(None), slice(None)))
        assert known is not None
        assert (known.probability(box)[section > 0] > 0.5).all()


def test_slices_are_found_beside_an_axis_of_channels(qtbot, widget, viewer):
    image = viewer.add_image(np.stack([ball_stack(), ball_stack()], axis=1), name="stack")
    image.scale = (2, 1, 1, 1)
    choose(widget, channel_axis=1, channel=0, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == (14, 1, 64, 72)
    assert find_volume_axes(labels) == (0, 2, 3)
    assert len(labels.features) == 3
    assert labels.features["sections"].min() > 5


def test_volumes_are_not_joined_again(qtbot, widget, viewer):
    add_stack(viewer, scale=(2, 1, 1))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    assert widget.findChild(QPushButton, "join_slices").isHidden()
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    viewer.layers.selection.active = labels_in(viewer)[1]
    assert not widget.findChild(QPushButton, "join_slices").isHidden()


def test_a_step_may_be_typed_with_a_comma(qtbot, widget, viewer):
    image = add_stack(viewer)
    choose(widget, planes=VOLUME_PLANES)
    field = z_step(widget)
    field.selectAll()
    QTest.keyClicks(field, "2,5")
    assert widget.source_form.planes.slices().step == 2.5
    assert image.scale[0] == 2.5


@pytest.mark.parametrize(
    ("unit", "typed", "step"),
    [("um", "700 nm", 0.7), ("um", "0,8um", 0.8), ("um", "3 parsec", 2), ("pixel", "700 nm", 2)],
)
def test_letters_behind_a_step_are_its_unit_or_refused(widget, viewer, unit, typed, step):
    image = add_stack(viewer, scale=(2, 1, 1), units=(unit,) * 3)
    field = z_step(widget)
    field.lineEdit().selectAll()
    QTest.keyClicks(field, typed)
    field.interpretText()
    assert image.scale[0] == pytest.approx(step)
    assert field.text() == f"z step {step} {'px' if unit == 'pixel' else 'µm'}"


def segment_text(widget):
    return widget.findChild(QPushButton, "segment").text()


def is_shown(widget, name):
    return not widget.findChild(QComboBox, name).isHidden()


def test_a_named_z_stack_is_segmented_as_one_until_the_user_says_otherwise(widget, viewer):
    stack = add_stack(viewer)
    assert widget.source_form.value().planes == VOLUME_PLANES
    assert segment_text(widget) == "Segment 14 slices"
    fragments = widget.findChild(QCheckBox, "leave_out_fragments")
    assert not fragments.isEnabled()
    assert "In volumes" in fragments.toolTip()
    select(widget, "planes", "this plane")
    assert segment_text(widget) == "Segment"
    assert fragments.isEnabled()
    viewer.add_image(ball_stack(), name="unnamed")
    assert widget.source_form.value().planes == CURRENT_PLANE
    add_stack(viewer, np.stack([ball_stack()] * 2), "tzyx")
    assert widget.source_form.value().planes == CURRENT_PLANE  # who wants them all says so
    select(widget, "planes", "all, as a time series")
    assert segment_text(widget) == "Segment 2 x 14 slices"
    widget.source_form.image.value = stack
    assert widget.source_form.value().planes == CURRENT_PLANE


def test_names_and_step_of_a_file_are_used(qtbot, widget, viewer, tmp_path):
    about = {"axes": "TZYX", "spacing": 2.0, "unit": "um"}
    film = (np.stack([ball_stack()] * 2) * 1000).clip(0).astype(np.uint16)
    tifffile.imwrite(tmp_path / "film.tif", film, imagej=True, resolution=(1, 1), metadata=about)
    (image,) = viewer.open(tmp_path / "film.tif", plugin="napari")
    qtbot.waitUntil(lambda: image.axis_labels == ("t", "z", "y", "x"))
    assert offered(widget, "channel_axis")[0] == "no channels"
    assert widget.source_form.value().channel_axis is None  # two frames are no channels
    select(widget, "planes", "all, as a z-stack")
    qtbot.waitUntil(lambda: z_step(widget).text() == "z step 2 µm")
    viewer.dims.set_current_step(1, 9)
    click_and_wait(qtbot, widget)
    assert list(image.scale) == list(labels_in(viewer)[0].scale) == [1, 2, 1, 1]
    assert viewer.dims.current_step[1] == 9


@pytest.fixture
def stack_file(tmp_path):
    about = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    pixels = (ball_stack() * 1000).clip(0).astype(np.uint16)
    path, resolution = tmp_path / "stack.tif", (4, 4)
    tifffile.imwrite(path, pixels, imagej=True, resolution=resolution, metadata=about)
    return path


def open_stack(qtbot, widget, viewer, path):
    (image,) = viewer.open(path, plugin="napari")
    qtbot.waitUntil(lambda: image.axis_labels == ("z", "y", "x"))
    qtbot.waitUntil(lambda: z_step(widget).text() == "z step 0.5 µm")
    return image


def test_a_step_typed_instead_of_that_of_the_file_is_in_its_unit(qtbot, widget, viewer, stack_file):
    image = open_stack(qtbot, widget, viewer, stack_file)
    shapes = viewer.add_shapes(np.zeros((4, 3)))
    widget.source_form.image.value = image
    field = z_step(widget)
    QTest.mouseDClick(field.lineEdit(), Qt.MouseButton.LeftButton, pos=QPoint(70, 8))
    assert field.lineEdit().selectedText() == "0.5"
    QTest.keyClicks(field, "0.8")
    widget.source_form.use_file_size()  # as Segment does, while it is not entered
    assert field.text() == "z step 0.8 µm"
    assert widget.source_form.planes.slices().step == pytest.approx(3.2)
    for layer in (image, shapes):
        assert list(layer.scale) == [0.8, 0.25, 0.25]
        assert {str(unit) for unit in layer.units} == {"micrometer"}


def test_a_file_that_is_opened_again_has_its_names_and_step(qtbot, widget, viewer, stack_file):
    for _ in range(2):
        image = open_stack(qtbot, widget, viewer, stack_file)
        assert widget.source_form.value().planes == VOLUME_PLANES
        viewer.layers.remove(image)


def test_volumes_follow_a_step_that_is_typed_later(qtbot, widget, viewer):
    add_stack(viewer, scale=(2, 1, 1))
    click_and_wait(qtbot, widget)
    settle(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = labels.features
    z_step(widget).setValue(4)
    settle(qtbot, widget)
    qtbot.waitUntil(lambda: labels.features["volume"][0] != before["volume"][0])
    ratio = labels.features["volume"] / before["volume"]
    assert ratio.to_numpy() == pytest.approx(2)
    kept = ["index", "confidence", "mean_intensity"]
    pd.testing.assert_frame_equal(labels.features[kept], before[kept])
    move(widget, "threshold", 0.6)
    settle(qtbot, widget)
    assert labels.features["volume"].to_numpy() == pytest.approx(
        np.bincount(labels.data.ravel())[1:] * 4
    )


def test_a_film_without_names_has_its_axis_of_slices_in_the_form(qtbot, widget, viewer):
    viewer.add_image(np.stack([ball_stack()[:, :40]] * 3, axis=1), scale=(2, 1, 1, 1))
    assert widget.source_form.value().channel_axis == 1
    select(widget, "channel_axis", "no channels")
    select(widget, "planes", "all, as a z-stack")
    assert segment_text(widget) == "Segment 14 x 3 slices"
    assert is_shown(widget, "depth_axis")
    select(widget, "depth_axis", "z: axis 0 (0-13)")
    assert z_step(widget).value() == 2
    assert segment_text(widget) == "Segment 3 x 14 slices"
    click_and_wait(qtbot, widget)
    assert "in 3 volumes" in status(widget)
    add_stack(viewer, np.stack([ball_stack()] * 2), "tzyx")
    select(widget, "planes", "all, as a z-stack")
    assert not is_shown(widget, "depth_axis")


def test_what_lies_on_an_image_follows_its_step(qtbot, widget, viewer):
    image = add_stack(viewer)
    channel = viewer.add_image(ball_stack(), name="other channel")
    other = viewer.add_image(np.zeros((14, 9, 9)), name="other file")
    widget.source_form.image.value = image
    click_and_wait(qtbot, widget)
    (corrected,) = labels_in(viewer)
    corrected.data_setitem((np.array([2]), np.array([2]), np.array([2])), 9)
    click_and_wait(qtbot, widget)
    shapes = viewer.add_shapes(np.zeros((4, 3)))
    viewer.dims.set_current_step(0, 10)
    z_step(widget).setValue(3.5)
    for layer in (image, channel, *labels_in(viewer), shapes):
        assert list(layer.scale) == [3.5, 1, 1]
    assert list(other.scale) == [1, 1, 1]
    assert viewer.dims.point[0] == 35
    z_step(widget).setValue(0.5)
    assert viewer.dims.point[0] == 5


def test_an_estimate_is_shown_where_the_step_is(qtbot, widget, viewer):
    image = add_stack(viewer)
    assert z_step(widget).text() == "z step: estimate"
    click_and_wait(qtbot, widget)
    step = get_record_entries(labels_in(viewer)[0])["z_step"]
    assert f"z step estimated: {step:.1f} px" in status(widget)
    assert z_step(widget).text() == f"z estimated: {step:.1f} px"
    z_step(widget).setValue(2)
    assert z_step(widget).text() == "z step 2 px"
    assert image.scale[0] == 2


def test_all_volumes_are_tuned(qtbot, widget, viewer):
    add_stack(viewer, np.stack([ball_stack(), ball_stack()]), "tzyx", scale=(1, 2, 1, 1))
    select(widget, "planes", "all, as a z-stack")
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    button = widget.findChild(QPushButton, "tune_all")
    assert (button.text(), button.isHidden()) == ("Tune all volumes", False)
    before = np.count_nonzero(labels.data, axis=(1, 2, 3))
    viewer.dims.set_current_step(0, 0)
    with qtbot.waitSignal(widget.finished, timeout=30_000):
        move(widget, "threshold", 0.85)
    settle(qtbot, widget)
    assert "of the volume on view only" in status(widget)
    after = np.count_nonzero(labels.data, axis=(1, 2, 3))
    assert after[0] < before[0]
    assert after[1] == before[1]
    click_and_wait(qtbot, widget, "tune_all")
    assert len(set(np.count_nonzero(labels.data, axis=(1, 2, 3)))) == 1
    assert status(widget) == "6 nuclei in 2 volumes"
    assert len(np.unique(labels.data)) == 7


def test_the_tick_for_nuclei_along_z_is_for_slices_only(review, viewer):
    tick = review.findChild(QCheckBox, "nuclei_along_z")
    for axes, is_offered in (("tyx", False), ("zyx", True), ("qyx", True)):
        viewer.add_labels(np.ones((3, 9, 9), int), axis_labels=tuple(axes))
        assert tick.isHidden() is not is_offered
