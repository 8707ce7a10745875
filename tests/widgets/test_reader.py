"""Labels that are opened again tomorrow: name, size, record, table, states and tracks are there."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from npe2 import PluginManager
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.layers.reader import get_reader, read_layers
from widgets.conftest import click

CENTRES = [(20, 25), (20, 80), (65, 50)]
MICRO = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25,
         "PhysicalSizeYUnit": "µm"}  # fmt: skip


@pytest.fixture
def run(tmp_path, bright_file):
    """Segment an image of a kind on the command line; return the labels."""

    def run_command(pixels, axes, *args, ending="ome.tif"):
        image, out = tmp_path / "cells.ome.tif", tmp_path / "out"
        about = {"axes": axes, **MICRO}
        tifffile.imwrite(image, pixels, metadata=about, photometric="minisblack")
        labels = out / f"cells_labels.{ending}"
        args = ["--out", str(labels), "--model", str(bright_file), "--diameter", "12", *args]
        assert main(["segment", str(image), *args]) == 0
        return labels

    return run_command


@pytest.fixture
def review(qtbot, viewer):
    made = ReviewWidget(viewer)
    qtbot.addWidget(made)
    return made


def add(viewer, path):
    """Add what the reader makes of a file, as napari does."""
    for data, attributes, kind in read_layers(str(path)):
        getattr(viewer, f"add_{kind}")(data, **attributes)
    return next(layer for layer in viewer.layers if layer.name == "cells nuclei")


def said(review):
    return review.findChild(QLabel, "review_status").text()


def test_a_plane_comes_back_with_everything(qtbot, viewer, review, widget, run):
    path = run(discs((90, 120), CENTRES), "YX", "--threshold", "0.4")
    labels = add(viewer, path)
    np.testing.assert_array_equal(labels.data, tifffile.imread(path))
    assert labels.scale.tolist() == [0.25, 0.25]
    assert [str(unit) for unit in labels.units] == ["micrometer", "micrometer"]
    assert labels.axis_labels == ("y", "x")
    viewer.layers.selection.active = labels
    click(widget, "restore")
    assert widget.params_form.value().threshold == 0.4
    review.next()  # by confidence, without being measured again
    assert "1 of 3" in said(review) or "confidence" in said(review).lower()
    table = pd.read_csv(path.with_name("cells_nuclei.csv"))
    mine = labels.features.set_index("index").loc[table["label"]]
    np.testing.assert_allclose(mine["area"], table["area_um2"])  # in the units of the layer
    np.testing.assert_allclose(mine["centroid_y"], table["centroid_y_um"])
    np.testing.assert_allclose(mine["confidence"], table["confidence"])


def test_columns_of_others_come_back_and_are_saved_again(qtbot, viewer, review, run, tmp_path):
    path = run(discs((90, 120), CENTRES), "YX")
    table = path.with_name("cells_nuclei.csv")
    pd.read_csv(table).assign(kind=["a", "b", "c"], width_um=[1, 2, 3]).to_csv(table, index=False)
    labels = add(viewer, path)
    assert labels.features["kind"].tolist() == ["a", "b", "c"]
    review.apply_tool("Delete", np.array([labels.data_to_world(CENTRES[0])]))
    assert labels.features["kind"].tolist() == ["b", "c"]
    assert "area_um2" not in labels.features  # areas are in the units of the layer
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(tmp_path / "again.csv")
    again = pd.read_csv(tmp_path / "again.csv")
    assert again["kind"].tolist() == ["b", "c"]
    assert again["width_um"].tolist() == [2, 3]
    assert set(again) - {"state"} == set(pd.read_csv(table))
    np.testing.assert_allclose(again["area_um2"], labels.features["area"])


def test_columns_of_others_can_be_written_again_tomorrow(viewer, run):
    path = run(discs((90, 120), CENTRES), "YX")
    table = path.with_name("cells_nuclei.csv")
    classes = pd.read_csv(table).assign(area_class=["a", "b", "c"], score=[1.0, 2.0, 3.0])
    classes.to_csv(table, index=False)
    labels = add(viewer, path)
    assert LabelsState.of(labels).features.planes
    changed = {"area_class": ["x", "y", "z"], "score": [4.0, 5.0, 6.0]}
    labels.features = labels.features.assign(**changed)
    labels.fill((20, 25), 9)
    after = labels.features.sort_values("centroid_y", kind="stable")
    assert set(after["area_class"].dropna()) == {"y", "z"}
    assert after["score"].dropna().tolist() == [5, 6]
    labels.undo()
    assert labels.features["score"].tolist() == [4, 5, 6]


def test_states_come_back_and_edits_go_on(qtbot, viewer, review, run, tmp_path):
    labels = add(viewer, run(discs((90, 120), CENTRES), "YX"))
    viewer.layers.selection.active = labels
    review.next()
    review.accept()
    for name in ("b_labels.ome.tif", "b_nuclei.csv"):
        with qtbot.waitSignal(review.finished, timeout=15_000):
            review.save(tmp_path / name)
    viewer.layers.clear()
    data, attributes, _ = read_layers(str(tmp_path / "b_labels.ome.tif"))[0]
    again = viewer.add_labels(data, **attributes)
    viewer.layers.selection.active = again
    assert LabelsState.of(again).features.planes
    assert sorted(again.features["state"]) == ["", "", "accepted"]
    review.next()
    review.delete()
    assert len(again.features) == 2
    again.undo()
    assert sorted(again.features["state"]) == ["", "", "accepted"]


@pytest.mark.parametrize("planes", ["all", "1-2"])
@pytest.mark.parametrize("ending", ["ome.tif", "ome.zarr"])
def test_a_film_comes_back_with_its_tracks(viewer, run, planes, ending):
    film = np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(3)])
    args = ["--track", "--planes", planes, "--format", "zarr" if "zarr" in ending else "tiff"]
    labels = add(viewer, run(film, "TYX", *args, ending=ending))
    tracks = viewer.layers["cells nuclei tracks"]
    assert len(set(tracks.data[:, 0])) == 2
    for _, time, y, x in tracks.data:  # in the middle of a nucleus of this moment
        assert np.asarray(labels.data[int(time), round(y), round(x)]) > 0
    features = LabelsState.of(labels).features
    assert len(features.planes) == labels.data.shape[0]
    assert len(labels.features) == 2 * labels.data.shape[0]


def test_labels_with_a_table_of_others_are_opened_without_it(viewer, run, messages):
    path = run(discs((90, 120), CENTRES), "YX")
    table = path.with_name("cells_nuclei.csv")
    pd.read_csv(table).iloc[1:].to_csv(table, index=False)
    labels = add(viewer, path)
    assert labels.data.max() == 3
    assert not len(labels.features.columns)
    assert "does not belong to" in messages[-1][1]


def test_files_of_others_are_left_to_others(tmp_path):
    tifffile.imwrite(tmp_path / "a_labels.tif", np.eye(9, dtype=np.uint8))
    (tmp_path / "b_labels.tif").write_bytes(b"nothing")
    (tmp_path / "c_labels.ome.zarr").mkdir()
    for path in tmp_path.iterdir():
        assert get_reader(str(path)) is None
    assert get_reader(["a_labels.tif", "b_labels.tif"]) is None


def test_the_manifest_names_the_reader():
    readers = PluginManager.instance().iter_compatible_readers("x_labels.ome.tif")
    assert "napari-nuclei-unet.read_labels" in [reader.command for reader in readers]
