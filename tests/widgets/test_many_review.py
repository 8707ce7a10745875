"""Images of a list: opened one by one, corrected, reviewed, and collected for training."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from qtpy.QtWidgets import QListWidget, QPushButton

from napari_nuclei_unet.batch.corrections import is_corrected
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.outputs import result_paths_in
from napari_nuclei_unet.batch.summary import SummaryRow
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import LABELS_SUFFIX
from napari_nuclei_unet.widgets.layers.navigate import viewer_camera
from napari_nuclei_unet.widgets.many.review_bar import ReviewBar
from napari_nuclei_unet.widgets.many.row_model import RowModel
from napari_nuclei_unet.widgets.many.rows import ImageRow, RowStatus
from widgets.conftest import open_as

CENTRES = [(20, 25), (20, 80), (65, 50)]
BRIGHT = ["--diameter", "12", "--confidence", "0"]


def write_images(folder, count=3):
    folder.mkdir()
    for number in range(count):
        pixels = discs((90, 120), CENTRES[: number + 1])
        pixels[CENTRES[0]] = 130  # the first nucleus of each is the least certain one
        tifffile.imwrite(folder / f"cells{number}.tif", pixels)
    return folder


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, bright_file):
    """A folder with three images of one, two and three nuclei, and their results."""
    base = tmp_path_factory.mktemp("many")
    images = write_images(base / "images")
    args = ["--out", str(base / "out"), "--model", str(bright_file), *BRIGHT]
    assert main(["segment", str(images), *args]) == 0
    return base


@pytest.fixture
def base(segmented, tmp_path, monkeypatch):
    """A copy of it that may be changed; the records have paths relative to it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(segmented, tmp_path / "base")
    return tmp_path / "base"


def list_rows(base):
    summary = pd.read_csv(base / "out" / "nuclei_summary.csv", keep_default_na=False)
    counts = {Path(row.image).name: row.nuclei for row in summary.itertuples()}
    rows = []
    for item in find_inputs([base / "images"]):
        paths = result_paths_in(base / "out", item.stem, LABELS_SUFFIX)
        known = SummaryRow(str(item.path), str(paths.labels), 1, counts[item.path.name])
        rows.append(ImageRow(item, RowStatus.DONE, known, paths))
    return rows


@pytest.fixture
def model(base):
    made = RowModel()
    made.set_rows(list_rows(base))
    return made


@pytest.fixture
def bar(qtbot, viewer, model):
    made = ReviewBar(viewer, model)
    qtbot.addWidget(made)
    made.texts = []
    made.message.connect(made.texts.append)
    return made


def do(qtbot, bar, act, *args):
    """Do something, and wait until all that follows is over."""
    with qtbot.waitSignal(bar.finished, timeout=60_000):
        act(*args)


def names(viewer):
    return [layer.name for layer in viewer.layers]


def visible(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def erase(labels, nucleus):
    """Erase a nucleus as a tool of napari does."""
    labels.data_setitem(np.nonzero(labels.data == nucleus), 0)


def button(widget, name):
    return widget.findChild(QPushButton, name)


def test_images_are_opened_one_by_one_and_alone(qtbot, viewer, bar):
    mine = viewer.add_image(np.zeros((30, 30)), name="mine")
    hidden = viewer.add_image(np.zeros((30, 30)), name="hidden", visible=False)
    assert not button(bar, "close_image").isEnabled()
    do(qtbot, bar, bar.open_row, 1)
    assert visible(viewer) == ["cells1", "cells1 nuclei"]
    labels = viewer.layers["cells1 nuclei"]
    assert viewer.layers.selection.active == labels
    assert labels.metadata["napari_nuclei_unet"]["image"] == str(viewer.layers["cells1"].unique_id)
    assert len(labels.features) == 2
    labels.contour = 3
    do(qtbot, bar, bar.next)
    assert names(viewer) == ["mine", "hidden", "cells2", "cells2 nuclei"]
    assert viewer.layers["cells2 nuclei"].contour == 3
    assert not button(bar, "next_image").isEnabled()
    assert button(bar, "next_image").toolTip() == "This is the last image."
    do(qtbot, bar, bar.previous)
    do(qtbot, bar, bar.previous)
    assert visible(viewer) == ["cells0", "cells0 nuclei"]
    do(qtbot, bar, bar.close_row)
    assert names(viewer) == ["mine", "hidden"]
    assert mine.visible
    assert not hidden.visible


def test_a_plane_is_opened_beside_a_stack(qtbot, viewer, bar):
    """The view has an axis that the layers of the row do not have."""
    viewer.add_image(np.zeros((3, 20, 30)), name="stack")
    do(qtbot, bar, bar.open_row, 0)
    assert visible(viewer) == ["cells0", "cells0 nuclei"]


def test_the_last_one_that_is_wanted_is_shown(qtbot, viewer, bar):
    shown = []
    bar.row_shown.connect(shown.append)
    with qtbot.waitSignal(bar.finished, timeout=60_000):
        bar.open_row(0)
        bar.next()
        bar.next()
        bar.previous()
    assert shown == [1]
    assert names(viewer) == ["cells1", "cells1 nuclei"]


def test_view_and_contrast_stay_between_images_of_one_shape(qtbot, viewer, bar):
    do(qtbot, bar, bar.open_row, 0)
    viewer.layers["cells0"].contrast_limits = (0, 77)
    camera = viewer_camera(viewer)
    camera.center, camera.zoom = (0, 12, 34), 5
    do(qtbot, bar, bar.next)
    do(qtbot, bar, bar.next)
    assert viewer.layers["cells2"].contrast_limits == [0, 77]
    assert camera.center[1:] == (12, 34)
    assert camera.zoom == 5


def test_an_image_that_is_open_is_used(qtbot, viewer, bar, base):
    path = base / "images" / "cells0.tif"
    image = open_as(viewer, path, tifffile.imread(path), name="cells0", visible=False)
    do(qtbot, bar, bar.open_row, 0)
    assert visible(viewer) == ["cells0", "cells0 nuclei"]
    record = viewer.layers["cells0 nuclei"].metadata["napari_nuclei_unet"]
    assert record["image"] == str(image.unique_id)
    do(qtbot, bar, bar.next)
    assert names(viewer) == ["cells0", "cells1", "cells1 nuclei"]
    assert not image.visible
    do(qtbot, bar, bar.close_row)
    assert names(viewer) == ["cells0"]
    assert not image.visible


def test_an_image_that_waits_shows_its_nuclei_when_they_are_found(qtbot, viewer, bar, model):
    done = model.row(0)
    model.set_row(0, ImageRow(done.item))
    do(qtbot, bar, bar.open_row, 0)
    assert names(viewer) == ["cells0"]
    assert not button(bar, "add_to_training").isEnabled()
    do(qtbot, bar, model.set_row, 0, done)
    assert names(viewer) == ["cells0", "cells0 nuclei"]


def test_corrections_are_saved_into_the_result(qtbot, viewer, bar, model, base):
    before = pd.read_csv(base / "out" / "cells2_nuclei.csv")
    do(qtbot, bar, bar.open_row, 2)
    erase(viewer.layers["cells2 nuclei"], 1)
    do(qtbot, bar, bar.previous)
    assert "Corrections of cells2.tif saved." in bar.texts
    paths = model.row(2).results
    assert is_corrected(paths.labels)
    assert not is_corrected(model.row(1).results.labels)
    table = pd.read_csv(paths.table)
    assert table["label"].tolist() == [2, 3]
    assert [name for name in before if name not in table] == []
    pd.testing.assert_frame_equal(table[list(before)], before[1:].reset_index(drop=True), rtol=1e-6)
    assert model.row(2).summary.nuclei == 2
    assert model.row(2).summary.statistics.median_area == before["area"][1:].median()
    summary = pd.read_csv(base / "out" / "nuclei_summary.csv")
    assert summary["nuclei"].tolist() == [1, 2, 2]
    assert summary["seconds"].notna().all()
    do(qtbot, bar, bar.open_row, 2)
    assert viewer.layers["cells2 nuclei"].features["index"].tolist() == [2, 3]


def test_a_corrected_result_counts_as_done(qtbot, viewer, tmp_path, bright_file, capsys):
    images = write_images(tmp_path / "images", 2)
    args = ["--out", str(tmp_path / "out"), "--model", str(bright_file), *BRIGHT]
    assert main(["segment", str(images), *args]) == 0
    model = RowModel()
    model.set_rows(list_rows(tmp_path))
    bar = ReviewBar(viewer, model)
    qtbot.addWidget(bar)
    do(qtbot, bar, bar.open_row, 1)
    erase(viewer.layers["cells1 nuclei"], 2)
    do(qtbot, bar, bar.close_row)
    capsys.readouterr()
    assert main(["segment", str(images), *args]) == 0
    assert is_corrected(model.row(1).results.labels)
    summary = pd.read_csv(tmp_path / "out" / "nuclei_summary.csv")
    assert summary["status"].tolist() == ["skipped", "skipped"]
    assert summary["nuclei"].tolist() == [1, 1]


def test_corrections_are_saved_when_the_dock_is_closed(qtbot, viewer, model):
    bar = ReviewBar(viewer, model)
    do(qtbot, bar, bar.open_row, 2)
    erase(viewer.layers["cells2 nuclei"], 3)
    with qtbot.waitSignal(bar.destroyed):
        bar.deleteLater()
    assert is_corrected(model.row(2).results.labels)
    again = ReviewBar(viewer, model)
    qtbot.addWidget(again)
    do(qtbot, again, again.open_row, 2)
    assert names(viewer) == ["cells2", "cells2 nuclei"]  # they are open already


def test_nothing_is_written_where_nothing_was_corrected(qtbot, viewer, bar, model):
    stamp = model.row(0).results.labels.stat().st_mtime_ns
    do(qtbot, bar, bar.open_row, 0)
    labels = viewer.layers["cells0 nuclei"]
    erase(labels, 1)
    labels.undo()
    do(qtbot, bar, bar.next)
    assert model.row(0).results.labels.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("kind", ["deleted", "written again", "read-only", "other labels"])
def test_what_cannot_be_saved_stays_open(qtbot, viewer, bar, model, kind, base):
    do(qtbot, bar, bar.open_row, 2)
    erase(viewer.layers["cells2 nuclei"], 1)
    labels = model.row(2).results.labels
    if kind == "deleted":
        labels.unlink()
    elif kind == "other labels":  # a script has put them into the layer
        viewer.layers["cells2 nuclei"].data = np.ones((9, 9), np.int32)
    elif kind == "written again":
        shutil.copy(base / "out" / "cells1_labels.ome.tif", labels)
    else:  # a folder is where the table shall be
        model.row(2).results.table.unlink()
        (model.row(2).results.table / "inside").mkdir(parents=True)
    do(qtbot, bar, bar.previous)
    assert names(viewer) == ["cells2", "cells2 nuclei"]
    said = {"deleted": "is not there any more", "written again": "was written again meanwhile",
            "read-only": "cannot be written", "other labels": "another shape now"}  # fmt: skip
    assert said[kind] in bar.texts[-1]


def test_a_result_that_was_deleted_leaves_its_image(qtbot, viewer, bar, model):
    model.row(1).results.labels.unlink()
    do(qtbot, bar, bar.open_row, 1)
    assert names(viewer) == ["cells1"]
    assert bar.texts[-1] == f"The result {model.row(1).results.labels} was deleted."


def test_an_image_that_is_gone_is_said_in_a_sentence(qtbot, viewer, bar, base, model, messages):
    do(qtbot, bar, bar.open_row, 0)
    model.set_row(1, ImageRow(model.row(1).item))
    (base / "images" / "cells1.tif").unlink()
    do(qtbot, bar, bar.next)
    assert names(viewer) == ["cells0", "cells0 nuclei"]
    assert "cells1.tif" in bar.texts[-1]


def test_a_list_that_was_replaced_keeps_corrections(qtbot, viewer, bar, model):
    do(qtbot, bar, bar.open_row, 2)
    erase(viewer.layers["cells2 nuclei"], 1)
    rows = model.rows()
    model.set_rows(rows[:1])
    do(qtbot, bar, bar.open_row, 0)
    assert is_corrected(rows[2].results.labels)
    assert names(viewer) == ["cells0", "cells0 nuclei"]


def test_doubtful_nuclei_of_all_images_are_reviewed(qtbot, viewer, bar, review, model):
    for number, row in enumerate(model.rows()):
        table = pd.read_csv(row.results.table)
        # by hand, as the network of the tests is as sure of all nuclei
        table["confidence"] = [0.5, *(0.9,) * (len(table) - 1)] if number else [0.9]
        table.to_csv(row.results.table, index=False)
    do(qtbot, bar, bar.open_row, 1)  # which is open already when its turn comes
    do(qtbot, bar, bar.review_doubtful)
    seen = []
    for _ in range(2):
        seen.append((bar.opened.index, viewer.layers.selection.active.selected_label))
        do(qtbot, bar, review.accept)
    assert sorted(seen) == [(1, 1), (2, 1)]
    assert bar.texts[-1] == "The doubtful nuclei of 2 images are reviewed."
    do(qtbot, bar, bar.review_doubtful)  # what was accepted is known
    assert bar.texts[-1] == "No doubtful nucleus is left in these images."


def test_corrected_images_are_collected_for_training(qtbot, viewer, bar, request):
    do(qtbot, bar, bar.open_row, 2)
    erase(viewer.layers["cells2 nuclei"], 1)
    bar.add_to_training()
    do(qtbot, bar, bar.previous)
    trainer = request.getfixturevalue("trainer")  # is opened after that
    bar.add_to_training()
    listed = [(pair.image.name, pair.labels.name) for pair in trainer.dataset_form.value().pairs]
    assert listed == [
        ("cells2.tif (training)", "cells2.tif (training) nuclei"),
        ("cells1.tif (training)", "cells1.tif (training) nuclei"),
    ]
    pair = trainer.dataset_form.value().pairs[0]
    assert np.unique(pair.labels.data).tolist() == [0, 2, 3]
    assert visible(viewer) == ["cells1", "cells1 nuclei"]
    qtbot.waitUntil(lambda: not trainer.dataset_form.is_busy)
    assert "2 nuclei" in trainer.findChild(QListWidget, "pairs").item(0).text()
    do(qtbot, bar, bar.close_row)
    assert len(trainer.dataset_form.value().pairs) == 2


def test_only_corrected_planes_of_a_stack_are_collected(
    qtbot, viewer, tmp_path, bright_file, model, bar
):
    planes = np.stack([discs((90, 120), CENTRES)] * 4)
    tifffile.imwrite(tmp_path / "film.ome.tif", planes, metadata={"axes": "TYX"})
    args = ["--out", str(tmp_path / "out"), "--model", str(bright_file), *BRIGHT]
    assert main(["segment", str(tmp_path / "film.ome.tif"), *args, "--planes", "all"]) == 0
    (item,) = find_inputs([tmp_path / "film.ome.tif"])
    paths = result_paths_in(tmp_path / "out", item.stem, LABELS_SUFFIX)
    model.set_rows([ImageRow(item, RowStatus.DONE, None, paths), model.row(0)])
    do(qtbot, bar, bar.open_row, 0)
    labels = viewer.layers["film nuclei"]
    for plane in (1, 3):
        erase(labels, labels.data[plane].max())
    do(qtbot, bar, bar.next)
    do(qtbot, bar, bar.previous)
    bar.add_to_training()
    image = viewer.layers["film.ome.tif (training)"]
    assert image.data.shape == (2, 90, 120)
    np.testing.assert_array_equal(
        viewer.layers["film.ome.tif (training) nuclei"].data,
        viewer.layers["film nuclei"].data[[1, 3]],
    )
