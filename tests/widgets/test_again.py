"""What a result was made of can be copied, run, and set in the form again."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from conftest import discs
from napari.layers import Labels
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QCheckBox, QMessageBox, QProgressBar, QPushButton

from napari_nuclei_unet import SegmentParams, run, segment
from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import DEVICES
from napari_nuclei_unet.provenance.record import Provenance, SourceImage
from napari_nuclei_unet.provenance.reproduce import extend_to_stack, format_command
from napari_nuclei_unet.widgets.common.preferences import DEFAULT_PREFERENCES
from napari_nuclei_unet.widgets.layers.labels_record import get_record_entries
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.plane_task import SegmentRequest, plane_task_steps
from widgets.conftest import (
    choose,
    click,
    click_and_wait,
    move,
    offered,
    open_as,
    select,
    settle,
    status,
)

SHAPES = [[[5.0, 3.0], [5.0, 70.0], [52.0, 60.0], [40.0, 3.0]]]


@pytest.fixture
def six():
    return discs((80, 120), [(20, 20), (20, 60), (20, 100), (60, 20), (60, 60), (60, 100)])


def result(viewer):
    return next(layer for layer in viewer.layers if isinstance(layer, Labels))


def plain(six):
    return six


def colours(six):
    return np.dstack([six, six // 2, six // 3])


def merge(six):
    return np.dstack([six[::-1], six // 2, six])


def stack(six):
    return np.stack([np.stack([six // 2, six[::-1]]), np.stack([six, six[:, ::-1]])] * 8)


def floats(six):
    return (six / 7 - 3).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "channel"),
    [
        (plain, None),
        (colours, None),
        (merge, 2),
        (floats, None),
        (stack, None),
        (stack, "mean"),
    ],
)
@pytest.mark.parametrize("region", [False, True], ids=["whole", "region"])
def test_command_and_python_make_the_same_labels(
    qtbot, viewer, widget, six, tmp_path, make, region, channel
):
    path = tmp_path / "some image.tif"
    tifffile.imwrite(
        path, make(six), photometric="rgb" if make in (colours, merge) else "minisblack"
    )
    viewer.open(path, plugin="napari")
    viewer.dims.set_point(range(viewer.dims.ndim - 2), (5, 1)[: viewer.dims.ndim - 2])
    if region:
        shapes = viewer.add_shapes(SHAPES, shape_type="polygon")
        choose(widget, region=shapes)
    if make in (stack, merge):
        choose(widget, channel_axis=2 if make is merge else 1, channel=channel)
    widget.params_form.set_value(SegmentParams(threshold=0.37, minimum_area=20, tile=32))
    click_and_wait(qtbot, widget)
    labels = result(viewer).data
    plane = labels[5, 0] if make is stack else labels
    assert plane.max() > 1

    click(widget, "copy_command")
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[0] == "nuclei-unet"
    words[words.index("--out") + 1] = str(tmp_path / "out")
    assert main(words[1:]) == 0
    written = tifffile.imread(tmp_path / "out" / "some image_labels.ome.tif")
    np.testing.assert_array_equal(written, plane)

    click(widget, "copy_python")
    names = {}
    exec(QGuiApplication.clipboard().text(), names)
    np.testing.assert_array_equal(names["labels"], plane)


def test_an_image_of_a_file_of_several_is_made_again(qtbot, viewer, widget, six, tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path) as opened:
        for name, pixels in (("Pos0", six // 2), ("Pos1", six[::-1])):
            opened.write(pixels, metadata={"axes": "YX", "Name": name})
    open_as(viewer, path, six[::-1].copy())
    click_and_wait(qtbot, widget)
    words, written = run_command(widget, tmp_path / "out")
    assert words[words.index("--scene") + 1] == "1"
    np.testing.assert_array_equal(written, result(viewer).data)
    np.testing.assert_array_equal(exec_python(widget, viewer), written)


def followed(qtbot, widget, name):
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, name)


def copied(widget, name):
    QGuiApplication.clipboard().clear()
    click(widget, name)
    return QGuiApplication.clipboard().text()


def run_command(widget, out):
    words = shlex.split(copied(widget, "copy_command"))
    words[words.index("--out") + 1] = str(out)
    assert main(words[1:]) == 0
    (written,) = out.glob("*_labels.ome.tif")
    return words, tifffile.imread(written)


def exec_python(widget, viewer):
    names = {"viewer": viewer}
    exec(copied(widget, "copy_python"), names)
    return names["labels"]


@pytest.mark.parametrize(
    ("planes", "how", "flags"),
    [
        ("all", None, {"--planes": "all"}),
        ("all", "join_slices", {}),
        ("1-4", "join_slices", {}),
        ("0-3", "link_frames", {"--planes": "0-3"}),
    ],
)
@pytest.mark.parametrize("saved", [True, False])
def test_command_and_python_make_all_planes_again(
    qtbot, viewer, widget, six, tmp_path, planes, how, flags, saved
):
    if how == "link_frames":
        pytest.importorskip("laptrack")
    data = np.stack([np.roll(six, 2 * n, axis=1) for n in range(6)])
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, data, photometric="minisblack")
    if saved:
        viewer.open(path, plugin="napari")
    else:
        viewer.add_image(data, name="stack")
    viewer.layers["stack"].axis_labels = tuple("zyx")
    choose(widget, planes=planes)
    click_and_wait(qtbot, widget)
    if how:
        followed(qtbot, widget, how)
    first, last = (0, 5) if planes == "all" else map(int, planes.split("-"))
    expected = result(viewer).data[first : last + 1]
    if how == "join_slices":  # on the command line, these are volumes
        with pytest.raises(UserError, match="copy the Python code"):
            format_command(Provenance.from_json(get_record_entries(result(viewer))))
    elif saved:
        words, written = run_command(widget, tmp_path / "out")
        np.testing.assert_array_equal(written, expected)
        assert ("--track" in words) == (how == "link_frames")
        for flag, value in flags.items():
            assert words[words.index(flag) + 1].lower() == value
    if how != "link_frames":
        np.testing.assert_array_equal(exec_python(widget, viewer), expected)
    choose(widget, planes="this one")
    click(widget, "restore")
    assert widget.source_form.value().planes == planes


@pytest.mark.parametrize("how", ["join_slices", "link_frames"])
def test_time_and_depth_are_made_again_along_the_axis_that_was_joined(
    qtbot, viewer, widget, six, tmp_path, how
):
    pytest.importorskip("laptrack")
    frames = np.stack([np.roll(six, 2 * n, axis=1) for n in range(3)])
    path = tmp_path / "tz.tif"
    tifffile.imwrite(path, np.stack([frames, frames], axis=1), photometric="minisblack")
    (image,) = viewer.open(path, plugin="napari")
    image.axis_labels = tuple("tzyx")
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    followed(qtbot, widget, how)
    labels = result(viewer).data
    if how == "join_slices":
        np.testing.assert_array_equal(exec_python(widget, viewer), labels)
        return
    words, written = run_command(widget, tmp_path / "out")
    assert words[words.index("--planes") + 1] == "all,all"
    np.testing.assert_array_equal(written.reshape(labels.shape), labels)


def test_a_volume_is_made_again(qtbot, viewer, widget, six, tmp_path):
    stack = np.stack([six] * 4 + [np.roll(six, 9, axis=1)] * 4)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    (image,) = viewer.open(path, plugin="napari")
    image.axis_labels, image.scale = tuple("zyx"), (2.5, 1, 1)
    choose(widget, planes="z-stack")
    click_and_wait(qtbot, widget)
    words, written = run_command(widget, tmp_path / "out")
    assert "--volume" in words
    assert words[words.index("--z-step") + 1] == "2.5px"
    np.testing.assert_array_equal(written, result(viewer).data)
    np.testing.assert_array_equal(exec_python(widget, viewer), result(viewer).data)


def test_a_film_of_volumes_is_made_again(qtbot, viewer, widget, six, tmp_path):
    pytest.importorskip("laptrack")
    frames = [np.stack([np.roll(six, 2 * n, axis=1)] * 6) for n in range(6)]
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack")
    (image,) = viewer.open(path, plugin="napari")
    image.axis_labels, image.scale = tuple("tzyx"), (1, 2.5, 1, 1)
    choose(widget, planes="time series")
    click_and_wait(qtbot, widget)
    settle(qtbot, widget)
    labels = result(viewer)
    assert get_record_entries(labels)["track"]
    words, written = run_command(widget, tmp_path / "out")
    assert {"--volume", "--track"} <= set(words)
    assert words[words.index("--axes") + 1] == "TZYX"
    np.testing.assert_array_equal(written, labels.data)


def test_planes_of_different_settings_or_without_a_range_are_told(
    qtbot, viewer, widget, six, tmp_path
):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([six] * 6), photometric="minisblack")
    (image,) = viewer.open(path, plugin="napari")
    image.axis_labels = tuple("zyx")
    choose(widget, planes="this one")
    for at in (0, 3):
        viewer.dims.set_point(0, at)
        click_and_wait(qtbot, widget)
    words = shlex.split(copied(widget, "copy_command"))
    assert words[words.index("--planes") + 1] == "3"
    assert "no range" in status(widget)
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    assert "--planes all" in copied(widget, "copy_command")
    assert status(widget).endswith("is on the clipboard.")
    move(widget, "minimum_area", 50)
    settle(qtbot, widget)
    text = copied(widget, "copy_python")
    assert "planes=[None]" in text
    assert "minimum_area=50" in text
    assert "different settings" in status(widget)
    click(widget, "restore")
    assert status(widget).startswith("Planes were made with different settings")


def test_planes_of_a_coarser_level_are_not_counted_as_those_of_the_image():
    index, size, dtype = PlaneIndex((1, None, None)), (8, 8), np.dtype(np.uint8)
    source = SourceImage.of(index, "TYX", dtype, size, level_size=size, level=1, path=None)
    made = Provenance(model="nuclei", params=SegmentParams(), source=source)
    written = [(at, None, None) for at in range(4)]
    assert extend_to_stack(made, written) is None
    known = replace(made, source=replace(source, lengths=(4,)))
    assert extend_to_stack(known, written).source.planes == ("all",)
    assert extend_to_stack(made, written[:1]) is made


@pytest.mark.parametrize("region", [False, True], ids=["whole", "region"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_level_of_a_pyramid_too(qtbot, viewer, widget, six, tmp_path, level, region):
    path = tmp_path / "pyramid.tif"
    big = np.kron(six, np.ones((4, 4), six.dtype))
    with tifffile.TiffWriter(path) as out:
        out.write(big, subifds=1, tile=(64, 64))
        out.write(big[::2, ::2], subfiletype=1, tile=(64, 64))
    open_as(viewer, path, [big, big[::2, ::2]], multiscale=True, name="pyramid")
    choose(widget, level=level)
    if region:
        corners = 4 * np.array(SHAPES)
        choose(widget, region=viewer.add_shapes(corners, shape_type="polygon"))
    click_and_wait(qtbot, widget)
    click(widget, "copy_command")
    words = shlex.split(QGuiApplication.clipboard().text())
    words[words.index("--out") + 1] = str(tmp_path / "out")
    assert main(words[1:]) == 0
    written = tifffile.imread(tmp_path / "out" / "pyramid_labels.ome.tif")
    np.testing.assert_array_equal(written, result(viewer).data)
    click(widget, "copy_python")
    names = {}
    exec(QGuiApplication.clipboard().text(), names)
    np.testing.assert_array_equal(names["labels"], result(viewer).data)


def test_without_a_file_python_takes_the_layer_and_the_command_is_refused(
    qtbot, viewer, widget, six, messages
):
    viewer.add_image(six, name="cells")
    button = widget.findChild(QPushButton, "copy_command")
    assert not button.isEnabled()
    assert "no result yet" in button.toolTip()
    click_and_wait(qtbot, widget)
    click(widget, "copy_command")
    assert "save the image" in messages[-1][1]
    click(widget, "copy_python")
    names = {"viewer": viewer}
    exec(QGuiApplication.clipboard().text(), names)
    np.testing.assert_array_equal(names["labels"], result(viewer).data)


def test_a_tuned_result_is_copied_as_it_is_tuned(qtbot, viewer, widget, six, tmp_path):
    viewer.add_image(six.astype(float), name="cells")
    click_and_wait(qtbot, widget)
    move(widget, "minimum_area", 200)
    settle(qtbot, widget)
    click(widget, "copy_python")
    assert "minimum_area=200" in QGuiApplication.clipboard().text()
    assert not result(viewer).data.any()


def test_the_form_goes_back_to_a_record(qtbot, viewer, widget, six):
    viewer.add_image(np.stack([six, six, six]), name="cells")
    wish = SegmentParams(
        threshold=0.3, separation=0.7, confidence=0.1, minimum_area=900, diameter=40.0, tile=48,
        batch=2, precision="fp32",
    )  # fmt: skip
    widget.params_form.set_value(wish)
    choose(widget, channel=2)
    select(widget, "device", "cpu")
    shapes = viewer.add_shapes(SHAPES, shape_type="polygon")
    choose(widget, region=shapes)
    click_and_wait(qtbot, widget)
    record = result(viewer).metadata[METADATA_KEY]
    viewer.layers.remove(shapes)
    widget.params_form.set_value(SegmentParams(threshold=0.9, minimum_area=5, tile=0, batch=0))
    choose(widget, channel="mean")
    select(widget, "device", "auto")
    assert widget.source_form.value().region == "whole image"
    click(widget, "restore")
    assert widget.params_form.value() == wish
    assert widget.model_form.value().device == "cpu"
    assert widget.source_form.value().channel == 2
    before = result(viewer).data.copy()
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(result(viewer).data, before)
    assert result(viewer).metadata[METADATA_KEY]["region"] == record["region"]


def test_labels_from_a_file_bring_their_record(viewer, widget, six, tmp_path, bright_file):
    tifffile.imwrite(tmp_path / "cells.tif", six)
    words = ["--threshold", "0.31", "--diameter", "12.5", "--region", "2,2 2,60 60,60"]
    path, out = tmp_path / "cells.tif", tmp_path / "out"
    assert main(["segment", str(path), "--out", str(out), "--model", str(bright_file), *words]) == 0
    viewer.open(path, plugin="napari")
    (labels,) = viewer.open(out / "cells_labels.ome.tif", plugin="napari", layer_type="labels")
    select(widget, "model", "Standard (fluorescence and H&E)")
    viewer.layers.selection.active = labels
    click(widget, "restore")
    assert widget.params_form.value().threshold == 0.31
    assert widget.params_form.value().diameter == 12.5
    assert widget.model_form.value().model == str(bright_file)
    assert widget.source_form.source().region.polygons == (((2, 2), (2, 60), (60, 60)),)


def test_the_record_of_a_model_that_is_gone(qtbot, viewer, widget, six, messages, bright_file):
    params = {"threshold": 0.25, "separation": 0.7}
    record = {"model": "mine", "model_file": "/no/mine.st", "params": params}
    labels = viewer.add_labels(np.zeros((9, 9), int), metadata={METADATA_KEY: record})
    click(widget, "restore")
    assert "'mine' of these labels is not here" in messages[-1][1]
    assert widget.model_form.value().model == str(bright_file)
    assert widget.params_form.value().threshold == 0.25
    labels.metadata = {METADATA_KEY: {"params": {"threshold": "high"}}}
    click(widget, "restore")
    assert "damaged" in messages[-1][1]


# stopping


@pytest.fixture
def big(viewer):
    centres = np.random.default_rng(0).integers(10, 500, (40, 2)).tolist()
    return viewer.add_image(discs((512, 512), centres), name="big")


def cancel_in_the_middle(qtbot, widget):
    widget.params_form.set_value(SegmentParams(tile=32))
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
        bar = widget.findChild(QProgressBar, "progress")
        qtbot.waitUntil(lambda: bar.value() > 20, timeout=60_000)
        click(widget, "cancel")


@pytest.mark.parametrize("wish", ["Keep", "Discard"])
def test_cancel_asks_once_and_remembers(qtbot, viewer, widget, big, bright, wish, preferences):
    cancel_in_the_middle(qtbot, widget)
    box = widget.findChild(QMessageBox, "keep_finished")
    button = next(one for one in box.buttons() if one.text() == wish)
    with qtbot.waitSignal(box.finished):
        button.click()
    settle(qtbot, widget)
    assert preferences.on_cancel == wish.lower()
    made = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    if wish == "Discard":
        assert not made
    else:
        whole = segment(big.data, bright)
        rows = np.flatnonzero(made[0].data.any(axis=1))
        assert rows.size
        assert "nuclei in the part that was finished" in status(widget)
        assert not made[0].data[rows.max() + 1 :].any()
        known = (made[0].data > 0) & (whole == 0)
        assert not known.any()
    cancel_in_the_middle(qtbot, widget)  # not asked again
    assert widget.findChild(QMessageBox, "keep_finished") is None
    settle(qtbot, widget)
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(result(viewer).data > 0, segment(big.data, bright) > 0)


# preferences


def test_the_manifest_declares_what_the_code_reads(preferences):
    assert vars(preferences) == DEFAULT_PREFERENCES


def test_preferences_fill_the_form(qtbot, viewer, preferences, bright_file):
    from napari_nuclei_unet.widgets import SegmentWidget

    preferences.device = DEVICES[1]
    preferences.model_folder = str(bright_file.parent)
    widget = SegmentWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.model_form.value().device == DEVICES[1]
    assert "bright" in offered(widget, "model")


def test_offline_refuses_what_comes_from_the_network(viewer, widget, six, messages, preferences):
    preferences.offline = True
    open_as(viewer, "https://example.org/far.zarr", six, name="far")
    click(widget, "segment")
    assert "comes from the network" in messages[-1][1]


@pytest.mark.parametrize(("free", "left"), [(256, 1), (0, torch.get_num_threads())])
def test_threads_are_left_free(viewer, widget, six, free, left):
    viewer.add_image(six)
    before = torch.get_num_threads()
    source = widget.source_form.source()
    model = widget.model_form.value().model
    run(plane_task_steps(SegmentRequest(source, model, "cpu", SegmentParams(), free)))
    assert torch.get_num_threads() == left  # of this thread
    torch.set_num_threads(before)


# look


def test_outlines_and_probability(qtbot, viewer, widget, six, preferences):
    image = viewer.add_image(six, name="cells", scale=(2, 2))
    click_and_wait(qtbot, widget)
    assert result(viewer).contour > 0
    widget.findChild(QCheckBox, "probability").click()
    shown = viewer.layers["cells probability"]
    np.testing.assert_array_equal(shown.data > 0.5, result(viewer).data > 0)
    np.testing.assert_array_equal(shown.scale, image.scale)
    assert widget.source_form.value().image is image
    assert offered(widget, "image") == ["cells"]
    for name in ("outlines", "probability"):
        widget.findChild(QCheckBox, name).click()
    assert result(viewer).contour == 0
    assert not preferences.outlines  # of the next window, too
    assert "cells probability" not in [layer.name for layer in viewer.layers]


def test_the_line_says_what_was_found_in_the_units_of_the_layer(qtbot, viewer, widget, six):
    viewer.add_image(six, scale=(0.5, 0.5), units=("um", "um"))
    click_and_wait(qtbot, widget)
    text = status(widget)
    area = np.median(np.bincount(result(viewer).data.ravel())[1:]) * 0.25
    assert f"6 nuclei · median area {area:.3g} µm²" in text
    assert "s on CPU, " in text
