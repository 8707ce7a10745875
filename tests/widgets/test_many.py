"""The dock "Many images": real files, real threads, and the command line beside it."""

import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import discs
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QCheckBox, QLabel, QLineEdit, QPushButton, QTableView

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.locks import write_lock
from napari_nuclei_unet.widgets import ManyImagesWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.many.rows import RowStatus
from napari_nuclei_unet.widgets.many.run_settings import session_settings
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import no_thread_is_at_work


@pytest.fixture
def images(tmp_path):
    """Five images with 1 to 5 nuclei; the third is damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(1, 6):
        plane = discs((64, 120), [(20, 15 + 20 * at) for at in range(number)])
        tifffile.imwrite(folder / f"i{number}.tif", plane)
    (folder / "i3.tif").write_bytes(b"II*\x00\x08\x00\x00\x00\xff\xff")
    return folder


def run(qtbot, many):
    with qtbot.waitSignal(many.finished, timeout=60_000):
        many.run()


def add(qtbot, many, *paths):
    """Add images, and wait until they are listed."""
    with qtbot.waitSignal(many.listed, timeout=20_000):
        many.add_paths(paths)


def states(many):
    return [row.status.value for row in many.rows]


def counts(many):
    return [row.summary.nuclei if row.summary else None for row in many.rows]


def status(many):
    return many.findChild(QLabel, "status").text()


def click(qtbot, many, name):
    qtbot.mouseClick(many.findChild(QPushButton, name), Qt.MouseButton.LeftButton)


def command(images, bright_file, *flags):
    out = images / "nuclei"
    return main(["segment", str(images), "--out", str(out), "--model", str(bright_file), *flags])


def test_a_folder_is_segmented_and_the_command_line_goes_on(
    qtbot, many, images, bright_file, capsys
):
    chosen = []
    many.image_chosen.connect(chosen.append)
    add(qtbot, many, images)
    assert states(many) == ["waiting"] * 5
    assert many.out_folder == images / "nuclei"
    run(qtbot, many)
    assert states(many) == ["done", "done", "failed", "done", "done"]
    assert counts(many) == [1, 2, 0, 4, 5]
    assert "4 of 5 images done, 1 failed" in status(many)
    assert all(row.results.labels.is_file() for row in many.rows if row.status is RowStatus.DONE)
    view = many.findChild(QTableView, "image_list")
    view.clicked.emit(many.list_model.index(2, 1))
    assert chosen == [2]
    assert "i3.tif" in status(many)
    with (images / "nuclei" / "nuclei_summary.csv").open(newline="") as opened:
        assert [row["nuclei"] for row in csv.DictReader(opened)] == ["1", "2", "0", "4", "5"]
    assert command(images, bright_file) == 2
    assert "4 of 5 files written" in capsys.readouterr().out
    assert "4 of them before" in command_output(images, bright_file, capsys)


def command_output(images, bright_file, capsys):
    command(images, bright_file)
    return capsys.readouterr().out


def test_the_window_goes_on_where_the_command_line_has_begun(qtbot, many, images, bright_file):
    assert command(images, bright_file) == 2
    tifffile.imwrite(images / "i3.tif", discs((64, 120), [(20, 15), (40, 40)]))
    before = (images / "nuclei" / "i1_labels.ome.tif").stat().st_mtime_ns
    add(qtbot, many, images)
    assert states(many) == ["done", "done", "failed", "done", "done"]  # before anything runs
    assert counts(many) == [1, 2, 0, 4, 5]
    assert many.findChild(QPushButton, "run").text() == "Run again"
    run(qtbot, many)
    assert states(many) == ["done"] * 5
    assert counts(many) == [1, 2, 2, 4, 5]
    assert (images / "nuclei" / "i1_labels.ome.tif").stat().st_mtime_ns == before
    assert "14 nuclei" in status(many)


def use_diameter(viewer, diameter):
    settings = session_settings(Session.of(viewer))
    params = replace(settings.params, diameter=diameter)
    Session.of(viewer).segment_settings.set_value(replace(settings, params=params))


def test_results_with_other_settings_are_asked_for_and_corrected_ones_kept(
    qtbot, viewer, many, images
):
    add(qtbot, many, images)
    run(qtbot, many)
    out = images / "nuclei"
    table = out / "i2_nuclei.csv"
    corrected = table.read_text() + "\n"
    table.write_text(corrected)
    run(qtbot, many)  # the same settings: nobody is asked, and what was corrected stays
    assert many.question.isHidden()
    assert states(many) == ["done", "done", "failed", "done", "done"]
    use_diameter(viewer, 12.0)
    before = (out / "i1_labels.ome.tif").stat().st_mtime_ns
    run(qtbot, many)
    assert not many.question.isHidden()
    assert many.state is RunState.IDLE
    assert "3 images were segmented with other settings" in (
        many.findChild(QLabel, "question_text").text()
    )
    assert (out / "i1_labels.ome.tif").stat().st_mtime_ns == before
    with qtbot.waitSignal(many.finished, timeout=60_000):
        click(qtbot, many, "keep_results")
    assert (out / "i1_labels.ome.tif").stat().st_mtime_ns == before
    run(qtbot, many)
    with qtbot.waitSignal(many.finished, timeout=60_000):
        click(qtbot, many, "replace_results")
    assert (out / "i1_labels.ome.tif").stat().st_mtime_ns > before
    assert table.read_text() == corrected
    assert "1 image was kept as corrected by hand" in status(many)
    many.findChild(QCheckBox, "replace_edited").setChecked(True)
    use_diameter(viewer, 13.0)
    run(qtbot, many)
    many.findChild(QCheckBox, "replace_edited").setChecked(True)
    with qtbot.waitSignal(many.finished, timeout=60_000):
        click(qtbot, many, "replace_results")
    assert table.read_text() != corrected
    with (out / "nuclei_summary.csv").open(newline="") as opened:
        rows = [Path(row["image"]).stem for row in csv.DictReader(opened)]
    assert rows == ["i1", "i2", "i3", "i4", "i5"]


def test_results_in_ome_zarr_are_known_by_their_settings_too(
    qtbot, viewer, many, images, bright_file
):
    (images / "i3.tif").unlink()
    assert command(images, bright_file, "--format", "zarr") == 0
    add(qtbot, many, images)
    run(qtbot, many)
    assert many.question.isHidden()
    assert states(many) == ["done"] * 4
    use_diameter(viewer, 12.0)
    run(qtbot, many)
    assert "4 images were segmented with other settings" in (
        many.findChild(QLabel, "question_text").text()
    )


def test_what_is_corrected_in_the_open_image_is_saved_before_a_run(qtbot, viewer, many, images):
    add(qtbot, many, images)
    run(qtbot, many)
    with qtbot.waitSignal(many.review_bar.finished, timeout=60_000):
        many.review_bar.open_row(1)
    labels = viewer.layers["i2 nuclei"]
    labels.data_setitem(np.nonzero(labels.data == 1), 0)
    use_diameter(viewer, 12.0)
    run(qtbot, many)
    with qtbot.waitSignal(many.finished, timeout=60_000):
        click(qtbot, many, "replace_results")
    written = tifffile.imread(images / "nuclei" / "i2_labels.ome.tif")
    np.testing.assert_array_equal(written, labels.data)


def test_of_images_with_channels_one_is_chosen(qtbot, viewer, many, tmp_path):
    nuclei = discs((64, 120), [(20, 15)])
    path = tmp_path / "two.ome.tif"
    tifffile.imwrite(path, np.stack([np.zeros_like(nuclei), nuclei]), metadata={"axes": "CYX"})
    add(qtbot, many, path)
    run(qtbot, many)
    assert "'Channel'" in many.rows[0].summary.error
    many.settings_form.channel.value = 1
    run(qtbot, many)
    assert counts(many) == [1]


def test_a_run_is_paused_and_goes_on(qtbot, many, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(30):
        tifffile.imwrite(folder / f"i{number:02}.tif", discs((256, 256), [(20, 20)]))
    add(qtbot, many, folder)

    def pause_once(*_):
        if many.state is RunState.RUNNING and "done" in states(many):
            many.pause()

    many.list_model.rows_changed.connect(pause_once)
    run(qtbot, many)
    done = states(many).count("done")
    assert 0 < done < 30
    assert states(many).count("waiting") == 30 - done
    assert "Continue" in status(many)
    many.list_model.rows_changed.disconnect(pause_once)
    run(qtbot, many)
    assert states(many) == ["done"] * 30


def test_a_window_that_is_closed_in_the_middle_goes_on_next_time(qtbot, viewer, many, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        tifffile.imwrite(folder / f"i{number:02}.tif", discs((256, 256), [(20, 20)]))
    closed = ManyImagesWidget(viewer)
    add(qtbot, closed, folder)
    closed.run()
    qtbot.waitUntil(lambda: "done" in states(closed), timeout=60_000)
    with qtbot.waitSignal(closed.destroyed):
        closed.deleteLater()
    qtbot.waitUntil(no_thread_is_at_work, timeout=20_000)
    add(qtbot, many, folder)
    assert "done" in states(many)
    before = {path: path.stat().st_mtime_ns for path in (folder / "nuclei").glob("*.ome.tif")}
    run(qtbot, many)
    assert states(many) == ["done"] * 12
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())


def test_what_cannot_be_used_is_one_sentence_and_the_list_stays(qtbot, many, images, tmp_path):
    add(qtbot, many, images)
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    tifffile.imwrite(other / "i1.tif", np.zeros((8, 8), np.uint8))
    for path, sentence in (
        (empty, "contains no TIFF"),
        (tmp_path / "gone", "There is no file or folder"),
        (other, "would write the same result files"),
    ):
        add(qtbot, many, path)
        assert sentence in status(many)
        assert len(many.rows) == 5
    with write_lock(images / "nuclei" / "nuclei_summary.csv"):
        run(qtbot, many)
        assert "is being written by another program" in status(many)
    assert states(many) == ["waiting"] * 5
    many.out_folder = other / "i1.tif" / "results"
    run(qtbot, many)
    assert "cannot be written" in status(many)
    many.clear()
    assert many.rows == ()
    assert many.out_folder is None


def test_all_images_are_summed_up_and_saved(qtbot, many, images, tmp_path):
    add(qtbot, many, images)
    many.summary_panel.save(tmp_path / "none.csv", True)
    assert "No image is done yet" in status(many)
    run(qtbot, many)
    many.summary_panel.refresh()
    text = many.findChild(QLabel, "pooled").text()
    assert text.startswith("4 images, 12 nuclei · per image 3 ± 1.83 (median 3)")
    assert many.summary_panel.column.value == "Nuclei"
    for name, is_pooled in (("pooled.csv", True), ("all.csv", False)):
        with qtbot.waitSignal(many.finished, timeout=20_000):
            many.summary_panel.save(tmp_path / name, is_pooled)
        assert status(many) == f"{name} is saved, of 12 nuclei."
    with (tmp_path / "all.csv").open(newline="") as opened:
        names = [row["image"] for row in csv.DictReader(opened)]
    assert names == ["i1.tif", *["i2.tif"] * 2, *["i4.tif"] * 4, *["i5.tif"] * 5]
    with (tmp_path / "pooled.csv").open(newline="") as opened:
        rows = {row["column"]: row for row in csv.DictReader(opened)}
    assert rows["nuclei_per_image"]["mean"] == "3"
    assert rows["area"]["count"] == "12"
    many.rows[0].results.table.unlink()
    (tmp_path / "folder.csv").mkdir()
    with qtbot.waitSignal(many.finished, timeout=20_000):
        many.summary_panel.save(tmp_path / "folder.csv", False)
    assert "cannot be written" in status(many)


def test_run_waits_for_all_that_is_added_and_clear_drops_it(qtbot, many, images, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    tifffile.imwrite(more / "i6.tif", discs((64, 120), [(20, 15)]))
    with qtbot.waitSignal(many.finished, timeout=60_000):
        for path in (images, tmp_path / "gone", more):  # what is missing is no reason to lose more
            many.add_paths([path])
        many.run()
        many.run()
    assert counts(many) == [1, 2, 0, 4, 5, 1]
    with qtbot.waitSignal(many.listed):
        many.add_paths([more / "i6.tif"])
        many.clear()
    assert many.rows == ()
    assert status(many) == ""


def test_files_are_dropped_on_the_list_and_names_may_be_long(qtbot, many, tmp_path):
    path = tmp_path / f"{'μ核' * 30} .tif"
    tifffile.imwrite(path, discs((40, 60), [(20, 20)]))
    view, data = many.findChild(QTableView, "image_list"), QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    none = Qt.KeyboardModifier.NoModifier
    at, left = QPointF(5, 5), Qt.MouseButton.LeftButton
    with qtbot.waitSignal(many.listed):
        view.dropEvent(QDropEvent(at, Qt.DropAction.CopyAction, data, left, none))
    assert [row.item.path for row in many.rows] == [path]
    assert many.findChild(QLineEdit, "out_folder").text() == str(tmp_path / "nuclei")
    assert view.textElideMode() is Qt.TextElideMode.ElideMiddle
    run(qtbot, many)
    assert counts(many) == [1]


def test_ten_thousand_files_are_listed_without_opening_one(qtbot, many, tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number:05}.tif").touch()
    since = time.process_time()
    with qtbot.waitSignal(many.listed, timeout=20_000):
        many.add_paths([tmp_path])
        assert not many.rows  # they are listed in a thread
    assert len(many.rows) == 10_000
    assert time.process_time() - since < 5  # 1 s
    assert many.list_model.data(many.list_model.index(9_999, 1)) == "09999.tif"
