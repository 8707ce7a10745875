"""Measuring in several channels, rings, neighbours and cells, in the dock "Review nuclei"."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QListWidget, QPushButton
from skimage.measure import label
from skimage.segmentation import expand_labels

from napari_nuclei_unet import MeasureOptions, Result, measure_result, open_lazily
from napari_nuclei_unet.widgets.common.controller import RunState
from widgets.conftest import click, click_and_wait
from widgets.test_review_widget import said

SHAPE, CENTRES = (90, 120), [(20, 25), (20, 80), (65, 50), (2, 50)]
SIZE = {"scale": (0.5, 0.5), "units": ("um", "um")}


@pytest.fixture
def found():
    return label(discs(SHAPE, CENTRES)).astype(np.int32)


@pytest.fixture
def channels(found):
    """Two channels of random pixels."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 900, found.shape, np.uint16) for name in ("DAPI", "Ki67")}


@pytest.fixture
def labels(viewer, found, channels):
    """Nuclei with two channels as layers."""
    for name, pixels in channels.items():
        viewer.add_image(pixels, name=name, **SIZE)
    return viewer.add_labels(found, name="nuclei", **SIZE)


def items(review):
    offered = review.findChild(QListWidget, "measure_in")
    return {offered.item(row).text(): offered.item(row) for row in range(offered.count())}


def tick(review, *names):
    for name in items(review):
        state = Qt.CheckState.Checked if name in names else Qt.CheckState.Unchecked
        if items(review)[name].flags() & Qt.ItemFlag.ItemIsEnabled:
            items(review)[name].setCheckState(state)


def ticked(review):
    return [name for name, item in items(review).items() if item.checkState().value]


def set_distances(review, ring=0.0, neighbours=0.0, unit="px"):
    review.findChild(QDoubleSpinBox, "ring").setValue(ring)
    review.findChild(QDoubleSpinBox, "neighbours").setValue(neighbours)
    review.findChild(QComboBox, "distance_unit").setCurrentText(unit)


def by_command(tmp_path, labels, channels, axes="YX", size=True, **options):
    """Return the table that the command line makes of the same pixels."""
    result = Result(labels, pd.DataFrame(), axes)
    if size:
        spacing = (1.0,) * (len(axes) - 2) + (0.5, 0.5)
        units = (None,) * (len(axes) - 2) + ("micrometer",) * 2
        result = Result(labels, pd.DataFrame(), axes, spacing, units)
    images = []
    for name, pixels in channels.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, metadata={"axes": axes}, photometric="minisblack")
        images.append(open_lazily(path))
    return measure_result(result, images, MeasureOptions(**options)).table


def assert_same_numbers(features, table, keys=("label",)):
    """Compare all columns but those of shapes, which the window has in its own units."""
    ours = features.rename(columns={"index": "label"}).set_index(list(keys)).sort_index()
    theirs = table.set_index(list(keys)).sort_index()
    same = [name for name in theirs if "intensity" in name or "ring" in name]
    same += [name for name in theirs if name.startswith(("nearest", "neighbours"))]
    assert same
    for name in same:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours["area"], theirs["area_um2"])


@pytest.mark.parametrize("unit", ["px", "µm"])
def test_the_numbers_are_those_of_the_command_line(qtbot, review, labels, channels, tmp_path, unit):
    tick(review, "DAPI", "Ki67")
    set_distances(review, 4, 50, unit)
    click_and_wait(qtbot, review, "measure")
    options = {"ring": 4, "neighbours": 50, "in_micrometers": unit == "µm"}
    table = by_command(tmp_path, labels.data, channels, **options)
    assert_same_numbers(labels.features, table)
    assert {"mean_intensity_DAPI", "ring_mean_intensity_Ki67", "nucleus_to_ring_Ki67"} <= set(
        labels.features
    )
    assert ("nearest_distance_um" in labels.features) == (unit == "µm")


def test_planes_of_a_stack_are_measured_in_theirs(qtbot, viewer, review, found, tmp_path):
    stack = np.stack([found, np.roll(found, 3, axis=1)])
    rng = np.random.default_rng(1)
    channels = {name: rng.integers(0, 900, stack.shape, np.uint16) for name in ("a", "b")}
    size = {"scale": (1, 0.5, 0.5), "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}
    for name, pixels in channels.items():
        viewer.add_image(pixels, name=name, **size)
    layer = viewer.add_labels(stack, **size)
    tick(review, "a", "b")
    set_distances(review, 3)
    click_and_wait(qtbot, review, "measure")
    table = by_command(tmp_path, stack, channels, "ZYX", ring=3)
    assert_same_numbers(layer.features, table, ("z", "label"))


def test_channels_of_one_layer_are_offered_one_by_one(qtbot, viewer, review, found):
    viewer.add_image(np.stack([found, 2 * found, 3 * found]), name="multi")
    viewer.add_image(np.stack([found.astype(np.uint8)] * 3, axis=-1), name="photo", rgb=True)
    layer = viewer.add_labels(found)
    names = [f"multi: {n}" for n in range(3)] + [f"photo: {n}" for n in ("red", "green", "blue")]
    assert list(items(review)) == names
    tick(review, "multi: 1", "photo: red")
    click_and_wait(qtbot, review, "measure")
    table = layer.features
    np.testing.assert_allclose(table["mean_intensity_multi_1"], 2 * table["index"])
    np.testing.assert_allclose(table["mean_intensity_photo_red"], table["index"])
    assert "mean_intensity_multi_0" not in table


def test_names_that_would_meet_stay_apart(qtbot, viewer, review, found):
    viewer.add_image(np.stack([found] * 3), name="a")
    viewer.add_image(5 * found, name="a_0")
    layer = viewer.add_labels(found)
    tick(review, "a: 0", "a_0")
    click_and_wait(qtbot, review, "measure")
    np.testing.assert_allclose(layer.features["mean_intensity_a_0"], layer.features["index"])
    np.testing.assert_allclose(
        layer.features["mean_intensity_a_0 [1]"], 5 * layer.features["index"]
    )


def test_the_image_alone_is_measured_until_others_are_ticked(qtbot, review, labels):
    assert len(ticked(review)) == 1
    click_and_wait(qtbot, review, "measure")
    assert {"mean_intensity", "min_intensity"} <= set(labels.features)
    tick(review, "DAPI")
    click_and_wait(qtbot, review, "measure")
    tick(review, "DAPI", "Ki67")
    click_and_wait(qtbot, review, "measure")
    assert "min_intensity" not in labels.features, "of which channel nobody would know"
    means = labels.features[["mean_intensity_DAPI", "mean_intensity_Ki67"]].mean(axis=1)
    np.testing.assert_allclose(labels.features["mean_intensity"], means)


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((80, 120), SIZE, "has the shape"),
        (SHAPE, SIZE | {"scale": (1, 1)}, "same scale"),
        (SHAPE, {"scale": (0.5, 0.5), "units": ("mm", "mm")}, "same scale"),
        (SHAPE, SIZE | {"rotate": 90}, "direction"),
        (SHAPE, {"scale": (2, 2)}, "same scale"),
    ],
)
def test_what_does_not_fit_is_listed_with_the_reason(review, viewer, labels, shape, kind, words):
    viewer.add_image(np.zeros(shape), name="other", **kind)
    item = items(review)["other"]
    assert not item.flags() & Qt.ItemFlag.ItemIsEnabled
    assert words in item.toolTip()
    viewer.layers.selection.active = labels
    form = review.target_form
    form.set_value(type(form.value())(labels, viewer.layers["other"]))
    click(review, "measure")
    assert words in said(review)


def test_an_image_that_does_not_fit_is_not_taken_for_that_of_the_labels(
    qtbot, viewer, review, found
):
    viewer.add_image(found, name="other", scale=(2, 2))
    layer = viewer.add_labels(found)
    assert review.target_form.value().image is None
    click_and_wait(qtbot, review, "measure")
    assert len(layer.features) == len(CENTRES)


@pytest.mark.parametrize("unsized", ["labels", "image"])
def test_a_layer_without_a_size_fits(qtbot, viewer, review, found, unsized):
    """As plain TIFF has none."""
    viewer.add_image(found, name="cells", **({} if unsized == "image" else SIZE))
    layer = viewer.add_labels(found, **({} if unsized == "labels" else SIZE))
    set_distances(review, 2, unit="µm")
    click_and_wait(qtbot, review, "measure")
    rings = np.where(found > 0, 0, expand_labels(found, 4))
    np.testing.assert_array_equal(layer.features["ring_area"], np.bincount(rings.ravel())[1:])


@pytest.mark.parametrize(
    ("times", "is_offered"),
    [
        ({"units": ("s", "um", "um"), "scale": (30, 0.5, 0.5)}, True),
        ({"units": ("um", "um", "um"), "scale": (3, 0.5, 0.5)}, False),  # slices of a volume
    ],
)
def test_frames_have_no_size_but_slices_have(viewer, review, found, times, is_offered):
    stack = np.stack([found] * 3)
    viewer.add_image(stack, name="film", **times)
    viewer.add_labels(stack, units=("pixel", "um", "um"), scale=(1, 0.5, 0.5))
    offered = bool(items(review)["film"].flags() & Qt.ItemFlag.ItemIsEnabled)
    assert offered == is_offered


def test_rings_without_an_image_have_an_area(qtbot, viewer, review, found):
    layer = viewer.add_labels(found)
    set_distances(review, 3)
    click_and_wait(qtbot, review, "measure")
    assert (layer.features["ring_area"] > 0).all()
    assert not [name for name in layer.features if "intensity" in name]


def test_micrometers_without_a_size_get_a_sentence(review, viewer, found):
    viewer.add_labels(found)
    set_distances(review, 2, unit="µm")
    for button in ("measure", "add_cells"):
        click(review, button)
        assert "give distances in px" in said(review)


def test_states_classes_and_channels_of_before_stay(qtbot, review, labels):
    tick(review, "DAPI", "Ki67")
    set_distances(review, 3)
    click_and_wait(qtbot, review, "measure")
    labels.features = labels.features.assign(kind=["a", "b", "c", "d"])
    review.next()
    review.accept()
    before = labels.features
    tick(review, "DAPI")
    set_distances(review)
    click_and_wait(qtbot, review, "measure")
    for name in ("kind", "state", "mean_intensity_Ki67", "ring_area"):
        assert before[name].tolist() == labels.features[name].tolist()
    assert "accepted" in set(labels.features["state"])


def test_an_edited_nucleus_is_measured_in_all_channels(qtbot, review, labels, channels):
    tick(review, "DAPI", "Ki67")
    set_distances(review, 3)
    click_and_wait(qtbot, review, "measure")
    labels.fill((65, 50), 9)
    table = labels.features.set_index("index")
    mean = channels["Ki67"][labels.data == 9].mean()
    np.testing.assert_allclose(table.loc[9, "mean_intensity_Ki67"], mean)
    assert np.isnan(table.loc[9, "ring_mean_intensity_Ki67"]), "until it is measured again"
    assert table.drop(index=9)["ring_mean_intensity_Ki67"].notna().all()
    labels.undo()
    assert labels.features["ring_mean_intensity_Ki67"].notna().all()


def test_measuring_is_cancelled(qtbot, viewer, review, found):
    layer = viewer.add_labels(np.stack([found] * 60))
    button = review.findChild(QPushButton, "measure")
    with qtbot.waitSignal(review.finished):
        click(review, "measure")
        assert button.text() == "Cancel"
        click(review, "measure")
    assert review.state is RunState.IDLE
    assert button.text() == "Measure"
    assert len(layer.features.columns) < 3


# cells


def test_cells_have_the_numbers_and_the_place_of_their_nuclei(qtbot, viewer, review, found):
    where = {"scale": (0.5, 0.25), "units": ("um", "um"), "rotate": 30, "translate": (3, 4)}
    layer = viewer.add_labels(found, name="nuclei", **where)
    click(review, "add_cells")
    assert "width of the ring" in said(review)
    set_distances(review, 2, unit="µm")
    click_and_wait(qtbot, review, "add_cells")
    cells = viewer.layers["cells"]
    np.testing.assert_array_equal(cells.data, expand_labels(found, 2, (0.5, 0.25)))
    assert cells.data.dtype == found.dtype
    np.testing.assert_allclose(cells.data_to_world((7, 9)), layer.data_to_world((7, 9)))
    assert cells.units == layer.units
    assert viewer.layers.index("cells") < viewer.layers.index("nuclei")
    assert review.target_form.value().labels == layer == viewer.layers.selection.active
    set_distances(review, 1, unit="µm")
    click_and_wait(qtbot, review, "add_cells")
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(cells.data, expand_labels(found, 1, (0.5, 0.25)))


def test_cells_of_a_stack_stay_on_their_planes(qtbot, viewer, review, found):
    stack = np.stack([found, np.zeros_like(found)])
    viewer.add_labels(stack)
    set_distances(review, 5)
    click_and_wait(qtbot, review, "add_cells")
    np.testing.assert_array_equal(viewer.layers["cells"].data[0], expand_labels(found, 5))
    assert not viewer.layers["cells"].data[1].any()


def test_no_nuclei_have_no_cells(qtbot, viewer, review):
    layer = viewer.add_labels(np.zeros((20, 20), np.uint8), name="none")
    viewer.add_image(np.zeros((20, 20)), name="cells")
    viewer.layers.selection.active = layer
    set_distances(review, 5, 5)
    click_and_wait(qtbot, review, "measure")
    assert len(layer.features) == 0
    assert {"ring_area", "nearest_distance"} <= set(layer.features)
    click_and_wait(qtbot, review, "add_cells")
    assert "no nuclei" in said(review)


def test_nuclei_in_geojson_have_cells_where_rings_are_measured(qtbot, review, labels, tmp_path):
    for ring, kind in ((0, "detection"), (2, "cell")):
        set_distances(review, ring, unit="µm")
        with qtbot.waitSignal(review.finished, timeout=20_000):
            review.save(tmp_path / "a.geojson")
        features = json.loads((tmp_path / "a.geojson").read_text())["features"]
        assert {one["properties"]["objectType"] for one in features} == {kind}
