"""Labels that are opened again tomorrow: name, size, record, table, states and tracks are there."""

import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from npe2 import PluginManager
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.layers.reader import get_reader, read_layers
from widgets.conftest import choose, click, click_and_wait

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


def add(viewer, path, name="cells nuclei"):
    """Add what the reader makes of a file, as napari does."""
    for data, attributes, kind in read_layers(str(path)):
        getattr(viewer, f"add_{kind}")(data, **attributes)
    return viewer.layers[name]


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
    again = add(viewer, tmp_path / "b_labels.ome.tif", "b nuclei")
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


def test_a_stack_that_was_saved_in_the_window_comes_back(qtbot, viewer, review, widget, tmp_path):
    film = np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(8)])
    tifffile.imwrite(tmp_path / "film.tif", film)
    (image,) = viewer.open(str(tmp_path / "film.tif"), plugin="napari")
    image.axis_labels = tuple("tyx")
    choose(widget, planes="all")
    click_and_wait(qtbot, widget)
    features = viewer.layers["film nuclei"].features
    viewer.layers.selection.active = viewer.layers["film nuclei"]
    for name in ("film_labels.ome.tif", "film_nuclei.csv"):
        with qtbot.waitSignal(review.finished, timeout=15_000):
            review.save(tmp_path / name)
    viewer.layers.clear()
    again = add(viewer, tmp_path / "film_labels.ome.tif", "film nuclei")
    assert names(viewer) == ["film", "film nuclei"]
    assert again.features["index"].tolist() == features["index"].tolist()
    np.testing.assert_allclose(again.features["area"], features["area"])


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_image_comes_with_its_labels_and_is_linked(viewer, review, widget, run):
    image = discs((90, 120), CENTRES)
    labels = add(viewer, run(image, "YX"))
    assert names(viewer) == ["cells", "cells nuclei"]
    np.testing.assert_array_equal(viewer.layers["cells"].data, image)
    assert viewer.layers["cells"].scale.tolist() == [0.25, 0.25]
    assert review.target_form.value().image == viewer.layers["cells"]
    before = labels.features.set_index("index")["mean_intensity"]
    with_more = np.array([labels.data_to_world(at) for at in [(20, 25), (20, 80)]])
    review.apply_tool("Merge", with_more)  # measured from the image, not only its shape
    merged = labels.features.set_index("index")["mean_intensity"]
    assert merged.notna().all()
    assert len(merged) == 2
    assert merged.min() < before.min()
    viewer.layers.selection.active = labels
    click(widget, "copy_command")
    text = QGuiApplication.clipboard().text()
    assert "segment" in text
    assert "cells.ome.tif" in text
    click(widget, "restore")
    assert widget.source_form.value().image == viewer.layers["cells"]


@pytest.mark.parametrize("place", ["cells.ome.tif", "results/cells.ome.tif"])
def test_an_image_that_moved_with_its_labels_is_found(tmp_path, viewer, run, place):
    labels = run(discs((90, 120), CENTRES), "YX")
    there = tmp_path / "elsewhere"
    (there / "results").mkdir(parents=True)
    shutil.move(tmp_path / "cells.ome.tif", there / place)
    for name in ("cells_labels.ome.tif", "cells_nuclei.csv"):
        shutil.move(labels.with_name(name), there / "results" / name)
    add(viewer, there / "results" / "cells_labels.ome.tif")
    assert names(viewer) == ["cells", "cells nuclei"]


def test_labels_open_without_an_image_that_is_gone(tmp_path, viewer, run, messages):
    labels = run(discs((90, 120), CENTRES), "YX")
    (tmp_path / "cells.ome.tif").unlink()
    add(viewer, labels)
    assert names(viewer) == ["cells nuclei"]
    assert "was not found" in messages[-1][1]


def test_labels_do_not_lie_on_an_image_of_another_shape(tmp_path, viewer, run, messages):
    labels = run(discs((90, 120), CENTRES), "YX")
    tifffile.imwrite(tmp_path / "cells.ome.tif", discs((120, 90), [(20, 20)]))
    add(viewer, labels)
    assert names(viewer) == ["cells nuclei"]
    assert "another shape" in messages[-1][1]


def test_an_image_with_other_pixels_is_opened_with_a_warning(tmp_path, viewer, run, messages):
    labels = run(discs((90, 120), CENTRES), "YX")
    tifffile.imwrite(tmp_path / "cells.ome.tif", discs((90, 120), [(20, 20)]))
    add(viewer, labels)
    assert names(viewer) == ["cells", "cells nuclei"]
    assert "has changed" in messages[-1][1]


def test_an_image_that_is_opened_later_is_linked(tmp_path, viewer, review, run):
    labels_file = run(discs((90, 120), CENTRES), "YX")
    image, layer, _ = read_layers(str(labels_file))[0], *read_layers(str(labels_file))[1:], None
    labels = viewer.add_labels(layer[0], **layer[1])
    assert review.target_form.value().image is None
    image = viewer.add_image(image[0], **image[1])
    assert labels.metadata["napari_nuclei_unet"]["image"] == str(image.unique_id)


@pytest.mark.parametrize(
    ("axes", "args", "layers"),
    [
        ("CYX", ["--channel", "1"], ["cells"]),
        ("ZCYX", ["--channel", "1"], ["cells 0", "cells 1"]),
        ("ZCYX", ["--channel", "0", "--planes", "1"], ["cells"]),
        ("TYX", ["--planes", "1-2"], ["cells"]),
        ("TYX", ["--planes", "2"], ["cells"]),
    ],
)
def test_the_planes_of_the_labels_are_opened(qtbot, viewer, review, run, axes, args, layers):
    lengths = dict(zip("TZC", (3, 4, 2), strict=True))
    lead = tuple(lengths[name] for name in axes[:-2])
    plane = discs((90, 120), CENTRES)
    stack = np.stack([plane + number for number in range(int(np.prod(lead)))])
    path = run(stack.reshape(*lead, 90, 120).astype(np.uint8), axes, *args)
    labels = add(viewer, path)
    assert names(viewer)[:-1] == layers
    linked = labels.metadata["napari_nuclei_unet"]["image"]
    image = next(layer for layer in viewer.layers if str(layer.unique_id) == linked)
    assert image.data.shape[-labels.ndim :] == labels.data.shape
    known = labels.features["max_intensity"].tolist()
    add_pixel(review, labels)
    assert labels.features["max_intensity"].notna().all()
    assert labels.features["max_intensity"].tolist()[1:] == known[1:]
    with qtbot.waitSignal(review.finished, timeout=20_000):
        review.measure()
    suffix = f"_{args[1]}" if image.ndim > labels.ndim else ""  # now of all channels
    assert labels.features[f"max_intensity{suffix}"].tolist()[1:] == known[1:]


def add_pixel(review, labels):
    """Paint a pixel onto the first nucleus, as the brush does."""
    label = int(labels.features["index"].iloc[0])
    at = tuple(axis[0] for axis in np.nonzero(np.asarray(labels.data) == label))
    labels.data_setitem(tuple(np.array([one]) for one in (*at[:-1], at[-1] - 1)), label)


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
