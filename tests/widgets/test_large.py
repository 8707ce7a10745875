"""Planes larger than memory: a click makes a store, the store a layer that can be painted."""

import json
import shlex
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from conftest import discs
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet import UserError, run, segment
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.run import segment_job_steps
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.locks import write_lock
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.store_files import JOURNAL_FILE_NAME
from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from widgets.conftest import choose, click, click_and_wait, move, open_as, settle

CENTRES = [(y, x) for y in range(16, 300, 32) for x in range(16, 400, 32)]


LIMITS = Limits(large_plane_pixels=10_000, block_size=128)


@pytest.fixture
def limits():
    """Small planes are large here, and blocks small."""
    return LIMITS


@pytest.fixture
def plane(monkeypatch, tmp_path):
    """A plane that is large here; the store goes where nothing is left."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    return discs((300, 400), CENTRES)


def status(widget):
    return widget.findChild(QLabel, "status").text()


def test_a_click_makes_a_store_that_can_be_painted(qtbot, viewer, widget, plane, bright, tmp_path):
    viewer.add_image(da.from_array(plane, chunks=100), name="slide", scale=(0.5, 0.5),
                     units=("um", "um"))  # fmt: skip
    click_and_wait(qtbot, widget)
    labels = viewer.layers["slide nuclei"]
    assert isinstance(labels.data, zarr.Array)
    assert count_matches(segment(plane, bright), labels.data[:]).scores()["AP@0.9"] == 1
    np.testing.assert_allclose(labels.scale, (0.5, 0.5))
    assert status(widget).startswith(f"{len(CENTRES)} nuclei")
    labels.selected_label = 9999
    labels.paint((0, 0), 9999)
    path = tmp_path / "results" / "slide_labels.ome.zarr"
    assert labels.metadata[METADATA_KEY]["store"] == str(path)
    store = LabelsStore.open_existing(path)
    assert store.finished
    assert store.labels[0, 0] == 9999
    assert store.grid.units == ("micrometer", "micrometer")
    table = (tmp_path / "results" / "slide_nuclei.csv").read_text().splitlines()
    assert len(table) == len(CENTRES) + 1


@pytest.mark.parametrize("measured", [True, False])
def test_nuclei_of_a_store_have_a_table_and_are_corrected(
    qtbot, viewer, widget, plane, tmp_path, measured
):
    viewer.add_image(plane, name="slide", scale=(0.5, 0.5))
    click_and_wait(qtbot, widget)
    labels = viewer.layers["slide nuclei"]
    assert len(labels.features) == len(CENTRES)
    area = (labels.data[:] > 0).sum() / len(CENTRES) / 4
    np.testing.assert_allclose(labels.features["area"], area)
    if not measured:  # such as a store that was opened by hand
        viewer.layers.remove(labels)
        labels = viewer.add_labels(labels.data, scale=(0.5, 0.5), name="slide nuclei")
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    before = labels.data[:]
    for tool, points in [("Delete", [(16, 16)]), ("Split", [(16, 40), (16, 56)]),
                         ("Merge", [(48, 16), (48, 48)])]:  # fmt: skip
        positions = np.array([labels.data_to_world(point) for point in points])
        review.apply_tool(tool, positions)
    assert labels.data[16, 16] == 0
    assert labels.data[48, 16] == labels.data[48, 48] == labels.data[48, 32]
    assert labels.data[16, 48] == len(CENTRES) + 1 or labels.data[18, 48] == len(CENTRES) + 1
    if measured:
        assert set(labels.features["index"]) == set(np.unique(labels.data[:])) - {0}
    for _ in range(3):
        labels.undo()
    np.testing.assert_array_equal(labels.data[:], before)
    if measured:
        assert len(labels.features) == len(CENTRES)


def test_cancelled_and_clicked_again_it_goes_on(qtbot, viewer, widget, plane, tmp_path):
    viewer.add_image(plane, name="slide")
    path = tmp_path / "results" / "slide_labels.ome.zarr"
    stop = lambda step: getattr(step, "nuclei", 0) and click(widget, "cancel")  # noqa: E731
    widget.controller.stepped.connect(stop)
    click(widget, "segment")
    settle(qtbot, widget)
    widget.controller.stepped.disconnect(stop)
    assert "goes on from there" in status(widget)
    assert not LabelsStore.open_existing(path).finished
    assert not [layer for layer in viewer.layers if layer.name == "slide nuclei"]
    click_and_wait(qtbot, widget)
    assert len(np.unique(viewer.layers["slide nuclei"].data[:])) == len(CENTRES) + 1
    click_and_wait(qtbot, widget)  # all is done: the store is shown once more
    assert len([layer for layer in viewer.layers if "nuclei" in layer.name]) == 1
    assert len(list(path.parent.glob("*.zarr"))) == 1


def write_stack(path):
    """Slices, every second one mirrored; in the window their axis is thought to be time."""
    plane = discs((200, 300), [(y, x) for y, x in CENTRES if y < 180 and x < 280])
    stack = np.stack([plane, plane[:, ::-1]] * 3)
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, photometric="minisblack")
    return path


def segment_file(path, out, model):
    args = ["segment", path, "--out", out, "--format", "zarr", "--model", model]
    assert main(list(map(str, args)), LIMITS) == 0


def check_same_run(one, other):
    """All labels of two folders, and all bytes of their tables."""
    stores = [LabelsStore.open_existing(folder / "a_labels.ome.zarr") for folder in (one, other)]
    assert all(store.finished for store in stores)
    np.testing.assert_array_equal(stores[0].labels[:], stores[1].labels[:])
    tables = [(folder / "a_nuclei.csv").read_text() for folder in (one, other)]
    assert tables[0] == tables[1]
    assert tables[0].startswith("z,label,")
    assert len(list(other.glob("*.zarr"))) == 1


def stop_in_second_plane(step):
    return getattr(step, "plane", 0) == 1 and getattr(step, "block", 0) >= 2


def test_a_run_of_the_window_goes_on_on_the_command_line(
    qtbot, viewer, widget, plane, tmp_path, bright_file
):
    path, results = write_stack(tmp_path / "a.tif"), tmp_path / "results"
    segment_file(path, tmp_path / "whole", bright_file)
    viewer.open(path, plugin="napari")
    widget.source_form.planes.kind.value = ALL_PLANES
    widget.controller.stepped.connect(
        lambda step: stop_in_second_plane(step) and click(widget, "cancel")
    )
    click_and_wait(qtbot, widget)
    assert "goes on from there" in status(widget)
    assert 1 <= progress_in(results / "a_labels.ome.zarr")["plane"] < 6
    store = LabelsStore.open_existing(results / "a_labels.ome.zarr")
    store.write((0, 0, 0), 1)  # nobody writes this background again
    segment_file(path, results, bright_file)
    assert store.labels[0, 0, 0] == 1
    store.write((0, 0, 0), 0)
    check_same_run(tmp_path / "whole", results)


def test_a_run_of_the_command_line_goes_on_in_the_window(
    qtbot, viewer, widget, plane, tmp_path, bright, bright_file
):
    path, results = write_stack(tmp_path / "a.tif"), tmp_path / "results"
    segment_file(path, tmp_path / "whole", bright_file)
    settings = JobSettings(bright, str(bright_file), limits=LIMITS)
    job = open_job(*find_inputs([path]), settings, OutputOptions(results, format="zarr"))
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(job), stop_in_second_plane)
    stopped = progress_in(results / "a_labels.ome.zarr")
    assert (stopped["plane"], stopped["block"]) == (1, 2)
    viewer.open(path, plugin="napari")
    widget.source_form.planes.kind.value = ALL_PLANES
    blocks = set()
    widget.controller.stepped.connect(
        lambda step: hasattr(step, "blocks") and blocks.add((step.plane, step.block))
    )
    click_and_wait(qtbot, widget)
    assert min(blocks) == (1, 2)
    check_same_run(tmp_path / "whole", results)
    labels = viewer.layers["a nuclei"]
    assert set(labels.features["index"]) == set(np.unique(labels.data[:])) - {0}
    click_and_wait(qtbot, widget)
    assert "segmented before" in status(widget)


@pytest.mark.parametrize("axes", ["YX", "YXC", "CYX"])
def test_a_plane_of_a_file_is_the_same_run_for_both(
    qtbot, viewer, widget, plane, tmp_path, bright_file, axes
):
    """Grey, in colours, and one of six channels: what the window has finished is skipped."""
    pixels = {
        "YX": plane,
        "YXC": np.dstack([plane] * 3),
        "CYX": np.stack([plane * 0] * 2 + [plane] * 4),
    }[axes]
    path, results = tmp_path / "a.ome.zarr", tmp_path / "results"
    zarr.create_array(path, data=pixels, chunks=tuple(min(100, n) for n in pixels.shape))
    open_as(viewer, path, da.from_array(pixels, chunks=100), name="b", rgb=axes == "YXC")
    flags = []
    if axes == "CYX":
        choose(widget, channel_axis=0, channel=3)
        flags = ["--channel", 3]
    click_and_wait(qtbot, widget)
    assert status(widget).startswith(f"{len(CENTRES)} nuclei")
    args = ["segment", path, "--out", results, "--format", "zarr", "--model", bright_file, *flags]
    assert main(list(map(str, args)), LIMITS) == 0
    assert "skipped" in (results / "nuclei_summary.csv").read_text()


def test_some_planes_of_a_file_are_a_run_of_their_own(
    qtbot, viewer, widget, plane, tmp_path, bright_file
):
    path, results = write_stack(tmp_path / "a.tif"), tmp_path / "results"
    segment_file(path, results, bright_file)
    viewer.open(path, plugin="napari")
    click_and_wait(qtbot, widget)
    stores = sorted(path.name for path in results.glob("*.zarr"))
    assert stores == ["a_2_labels.ome.zarr", "a_labels.ome.zarr"]


def test_a_run_that_keeps_fragments_is_named_before_all_is_made_anew(
    qtbot, viewer, widget, plane, tmp_path
):
    viewer.add_image(plane, name="slide")
    notices = []
    widget.controller.notice.connect(notices.append)
    move(widget, "leave_out_fragments", False)
    click_and_wait(qtbot, widget)
    move(widget, "leave_out_fragments", True)
    click_and_wait(qtbot, widget)
    (notice,) = [text for text in notices if "anew in slide_2_labels.ome.zarr" in text]
    assert "slide_labels.ome.zarr has micronuclei" in notice
    assert "switch 'Leave out micronuclei and fragments' off" in notice
    notices.clear()
    click_and_wait(qtbot, widget)  # they are there now
    assert not notices


def test_another_image_of_the_same_name_gets_its_own_store(qtbot, viewer, widget, plane, tmp_path):
    image = viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    image.data = plane[::-1].copy()
    click_and_wait(qtbot, widget)
    stores = sorted(path.name for path in (tmp_path / "results").glob("*.zarr"))
    assert stores == ["slide_2_labels.ome.zarr", "slide_labels.ome.zarr"]


@pytest.mark.parametrize("limits", [replace(LIMITS, paintable_pixels=20_000, chunk=128)])
def test_a_very_large_plane_is_shown_as_a_pyramid(qtbot, viewer, widget, plane):
    viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    assert viewer.layers["slide nuclei"].multiscale


class Watched:
    """A plane that does something before it is read."""

    def __init__(self, pixels, before):
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.ndim, self.before = pixels.ndim, before

    def __getitem__(self, part):
        self.before(part)
        return self.pixels[part]


def progress_in(store):
    """What the journal says; nothing before there is one."""
    path = store / JOURNAL_FILE_NAME
    return json.loads(path.read_text())["progress"] if path.exists() else {"surveys": {}}


def test_what_could_not_be_read_is_tried_again_by_the_next_click(
    qtbot, viewer, widget, plane, tmp_path
):
    path, repaired = tmp_path / "results" / "slide_labels.ome.zarr", []

    def fail(part):
        if progress_in(path)["surveys"] and part[1].stop > 380 and not repaired:
            raise OSError("chunk 0.3 is damaged")

    viewer.add_image(da.from_array(Watched(plane, fail), chunks=100), name="slide")
    click_and_wait(qtbot, widget)
    assert "parts could not be read; Segment tries again" in status(widget)
    before = len(np.unique(viewer.layers["slide nuclei"].data[:])) - 1
    assert 0 < before < len(CENTRES)
    assert not LabelsStore.open_existing(path).finished
    repaired.append(True)
    click_and_wait(qtbot, widget)
    assert status(widget).startswith(f"{len(CENTRES)} nuclei")
    assert len(np.unique(viewer.layers["slide nuclei"].data[:])) == len(CENTRES) + 1
    assert LabelsStore.open_existing(path).finished
    assert [one.name for one in viewer.layers] == ["slide", "slide nuclei"]


def test_a_zarr_whose_disk_is_gone_is_not_taken_for_black(
    qtbot, viewer, widget, plane, tmp_path, messages
):
    home, away = tmp_path / "slide.zarr", tmp_path / "elsewhere"
    array = zarr.create_array(home, data=plane, chunks=(100, 100))
    path, gone = tmp_path / "results" / "slide_labels.ome.zarr", []

    def leave(_):
        if not gone and progress_in(path).get("block", 0) >= 3:
            gone.append(home.rename(away))

    open_as(viewer, home, da.from_array(Watched(array, leave), chunks=100), name="slide")
    click_and_wait(qtbot, widget)
    assert any("slide.zarr cannot be opened any more" in text for _, text in messages)
    assert progress_in(path)["block"] == 3
    away.rename(home)
    click_and_wait(qtbot, widget)
    assert len(np.unique(viewer.layers["slide nuclei"].data[:])) == len(CENTRES) + 1


def test_one_program_at_a_time_writes_a_store(qtbot, viewer, widget, plane, tmp_path, messages):
    viewer.add_image(plane, name="slide")
    with write_lock(tmp_path / "results" / "slide_labels.ome.zarr"):
        click_and_wait(qtbot, widget)
    assert any("is being written by another program" in text for _, text in messages)
    click_and_wait(qtbot, widget)
    assert status(widget).startswith(f"{len(CENTRES)} nuclei")


def test_the_record_of_a_stack_in_tiff_sets_the_form(
    qtbot, viewer, widget, bright_file, tmp_path, messages
):
    """Its zooms and diameters are lists, and its planes words."""
    stack = np.stack([discs((80, 100), [(20, 20), (50, 60)])] * 3)
    path, out = tmp_path / "stack.tif", tmp_path / "out"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, photometric="minisblack")
    args = ["--model", bright_file, "--threshold", 0.3, "--region", "0,0 0,99 40,99 40,0"]
    assert main(["segment", *map(str, [path, "--out", out, *args])]) == 0
    labels = out / "stack_labels.ome.tif"
    assert isinstance(read_record(labels)["zoom"], list)
    viewer.open(path, plugin="napari")
    viewer.open(labels, plugin="napari", layer_type="labels")
    assert viewer.layers.selection.active.name == "stack_labels.ome"
    click(widget, "restore")
    assert widget.params_form.value().threshold == 0.3
    assert not messages
    click_and_wait(qtbot, widget)
    assert status(widget).startswith("3 nuclei in the region in 3 planes")
    viewer.layers.selection.active = viewer.layers["stack_labels.ome"]
    for name in ("copy_command", "copy_python"):
        click(widget, name)
    assert not messages


def test_what_was_painted_stays_and_is_said_to(qtbot, viewer, widget, plane):
    viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    assert "was painted" not in status(widget)
    labels = viewer.layers["slide nuclei"]
    labels.selected_label = 9999
    labels.paint((0, 0), 9999)
    viewer.layers.selection.active = viewer.layers["slide"]
    click_and_wait(qtbot, widget)
    assert "what was painted since stays" in status(widget)
    assert viewer.layers["slide nuclei"].data[0, 0] == 9999


def test_sliders_say_that_they_do_not_act_on_it(qtbot, viewer, widget, plane):
    viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    move(widget, "threshold", 0.9)
    settle(qtbot, widget)
    assert "do not act on planes as large as this" in status(widget)


@pytest.mark.parametrize("held", ["file", "other file", "array"])
def test_the_command_makes_a_large_plane_again(
    qtbot, viewer, widget, plane, tmp_path, messages, held
):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, plane)
    if held == "array":
        viewer.add_image(plane, name="slide")
    else:
        viewer.open(path, plugin="napari")
    if held == "other file":
        tifffile.imwrite(path, plane[::-1])
    click_and_wait(qtbot, widget)
    click(widget, "copy_command")
    if held != "file":
        assert "save the image" in messages[-1][1]
        return
    words = shlex.split(QGuiApplication.clipboard().text())
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert main(words[1:], LIMITS) == 0
    again = LabelsStore.open_existing(tmp_path / "again" / "slide_labels.ome.zarr")
    np.testing.assert_array_equal(again.labels[:], viewer.layers["slide nuclei"].data[:])
