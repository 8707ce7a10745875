"""The dock "Nuclei table": units, nuclei at the edge, deleting by limits, and regions."""

import numpy as np
import pandas as pd
import pytest
from conftest import discs
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QTableView, QTableWidget, QTabWidget
from skimage.measure import label

from napari_nuclei_unet.widgets.table.column_form import ColumnChoice
from napari_nuclei_unet.widgets.table.column_summary import ValueLimits
from widgets.conftest import click, click_and_wait

CENTRES = [(20, 25), (20, 80), (65, 50), (2, 50)]
SIZE = {"scale": (0.5, 0.5), "units": ("um", "um")}


def found():
    """Four nuclei, of which one touches the edge."""
    return label(discs((90, 120), CENTRES)).astype(np.int32)


@pytest.fixture
def labels(viewer):
    viewer.add_image(10 * found(), name="cells", **SIZE)
    return viewer.add_labels(found(), name="nuclei", **SIZE)


@pytest.fixture
def measured(qtbot, review, table, labels):
    click_and_wait(qtbot, review, "measure")
    qtbot.waitUntil(lambda: len(table.rows) == 4)
    return table


def header(table):
    model = table.findChild(QTableView, "nuclei_view").model()
    across = Qt.Orientation.Horizontal
    return [model.headerData(n, across) for n in range(model.columnCount())]


def text(table, name):
    return table.findChild(QLabel, name).text()


def limit(table, column="mean_intensity", **limits):
    table.column_form.set_value(ColumnChoice(column, ValueLimits(**limits)))


def delete(table, which):
    table.findChild(QAction, f"delete_{which}").trigger()


def on_view(labels):
    return set(np.unique(labels.data)) - {0}


# units


def test_headers_have_the_units_of_the_layer(measured):
    assert {"area (µm²)", "perimeter (µm)", "orientation (rad)", "index", "solidity"} <= set(
        header(measured)
    )
    measured.column_form.set_column("perimeter")
    assert text(measured, "table_summary").startswith("perimeter (µm): n 4")


@pytest.mark.parametrize(
    ("about", "titles"),
    [
        ({}, {"area (px²)", "perimeter (px)"}),
        ({"scale": (2, 2)}, {"area", "perimeter"}),
        ({"scale": (2, 2), "units": ("nm", "nm")}, {"area (nm²)", "perimeter (nm)"}),
    ],
)
def test_units_that_are_not_known_are_not_claimed(qtbot, viewer, review, table, about, titles):
    viewer.add_labels(found(), **about)
    click_and_wait(qtbot, review, "measure")
    qtbot.waitUntil(lambda: len(table.rows) == 4)
    assert titles <= set(header(table))


def test_columns_of_others_have_no_unit(viewer, table):
    viewer.add_labels(found(), features=pd.DataFrame({"index": [1], "area": [5.0]}), **SIZE)
    assert header(table) == ["index", "area"]


# the edge


def test_nuclei_at_the_edge_are_left_out_everywhere(qtbot, labels, measured):
    tick = measured.findChild(QCheckBox, "leave_out_border")
    (at_edge,) = labels.features["index"][labels.features["touches_border"]]
    measured.column_form.set_column("mean_intensity")
    assert measured.summary.count == 4
    tick.click()
    assert measured.summary.count == 3
    assert measured.summary.mean == pytest.approx(
        labels.features["mean_intensity"][~labels.features["touches_border"]].mean()
    )
    limit(measured, low=0)
    assert text(measured, "within_limits").startswith("3 of 3")
    click(measured, "write_class")
    classes = labels.features.set_index("index")["mean_intensity_class"]
    assert classes[at_edge] == ""
    assert (classes.drop(at_edge) == "intensity: positive").all()
    delete(measured, "inside")
    assert on_view(labels) == {at_edge}
    tick.click()
    qtbot.waitUntil(lambda: measured.summary.count == 1)


def test_the_tick_needs_to_know_the_edge(viewer, table):
    viewer.add_labels(found(), features=pd.DataFrame({"index": [1], "area": [5.0]}))
    assert not table.findChild(QCheckBox, "leave_out_border").isEnabled()


def test_a_nucleus_of_several_planes_is_left_out_as_a_whole(viewer, table):
    features = pd.DataFrame(
        {"index": [1, 1, 2], "z": [0, 1, 0], "v": [1.0, 2, 3], "touches_border": [True, False, 0]}
    )
    viewer.add_labels(np.zeros((2, 9, 9), int), features=features)
    table.column_form.set_column("v")
    table.findChild(QCheckBox, "leave_out_border").click()
    assert (table.summary.count, table.summary.mean) == (1, 3)


# deleting


@pytest.mark.parametrize(("which", "left"), [("inside", {1, 2}), ("outside", {3, 4})])
def test_deleting_by_limits_is_one_step_of_undo(qtbot, labels, measured, which, left):
    before, features = labels.data.copy(), labels.features.copy()
    limit(measured, low=25)
    delete(measured, which)
    assert on_view(labels) == left
    np.testing.assert_array_equal(labels.data, np.where(np.isin(before, list(left)), before, 0))
    assert set(labels.features["index"]) == left
    qtbot.waitUntil(lambda: len(measured.rows) == 2)
    labels.undo()
    np.testing.assert_array_equal(labels.data, before)
    pd.testing.assert_frame_equal(labels.features, features)
    labels.redo()
    assert on_view(labels) == left


def test_nuclei_without_a_value_stay(viewer, table):
    features = pd.DataFrame({"index": [1, 2, 3, 4], "v": [1.0, 2, np.nan, np.inf]})
    layer = viewer.add_labels(found(), features=features)
    limit(table, "v", low=1.5)
    delete(table, "outside")
    assert on_view(layer) == {2, 3, 4}


def test_nuclei_are_deleted_on_all_planes(qtbot, viewer, review, table):
    stack = np.stack([found(), np.roll(found(), 5, axis=0), np.zeros_like(found())])
    layer = viewer.add_labels(stack.copy())
    click_and_wait(qtbot, review, "measure")
    qtbot.waitUntil(lambda: len(table.rows) == 8)
    areas = layer.features.groupby("index")["area"].mean()
    limit(table, "area", high=areas.max() - 1)
    delete(table, "inside")
    assert 0 < len(on_view(layer)) < 4
    assert on_view(layer) == set(areas.index[areas == areas.max()])
    layer.undo()
    np.testing.assert_array_equal(layer.data, stack)


def test_labels_that_cannot_be_edited_get_a_sentence(labels, measured, messages):
    limit(measured, low=25)
    labels.editable = False
    delete(measured, "inside")
    assert len(on_view(labels)) == 4
    assert "locked" in messages[-1][1]


def test_nothing_is_deleted_without_limits(labels, measured):
    assert not measured.findChild(QPushButton, "delete_by_limits").isEnabled()
    delete(measured, "inside")
    assert len(on_view(labels)) == 4


@pytest.mark.parametrize(
    ("column", "words"), [("state", "holds text"), ("touches_border", "holds yes or no")]
)
def test_a_column_without_numbers_gets_a_sentence(measured, column, words):
    measured.sort_by(column)
    assert words in text(measured, "within_limits")
    measured.column_form.set_value(ColumnChoice(column))
    assert words in text(measured, "within_limits")


# regions


@pytest.fixture
def regions(measured, viewer, labels):
    """A rectangle around one nucleus, an ellipse around another, and a line."""
    outlines = [
        np.array([[5, 5], [5, 20], [15, 20], [15, 5]]),
        np.array([[25, 15], [25, 35], [40, 35], [40, 15]]),
        np.array([[0, 0], [9, 9]]),
    ]
    kinds = ["rectangle", "ellipse", "line"]
    made = viewer.add_shapes(outlines, shape_type=kinds, units=("um", "um"), name="regions")
    viewer.layers.selection.active = labels
    measured.findChild(QTabWidget, "table_tabs").setCurrentIndex(1)
    return made


def shown(table):
    table.regions_panel.refresh()
    return table.regions_panel.table.set_index("region")


def test_regions_have_counts_densities_and_means(qtbot, regions, labels, measured):
    limit(measured, low=25)
    summary = shown(measured)
    assert summary.index.tolist() == ["rectangle 1", "ellipse 2", "whole field"]
    assert summary["nuclei"].tolist() == [1, 1, 4]
    assert summary["within limits"].tolist() == [0, 1, 2]
    assert summary["% within"].tolist() == [0, 100, 50]
    areas = [150e-6, np.pi * 10 * 7.5 * 1e-6, 90 * 120 * 0.25e-6]
    np.testing.assert_allclose(summary["area (mm²)"], areas, rtol=2e-3)
    np.testing.assert_allclose(summary["nuclei per mm²"], summary["nuclei"] / areas, rtol=2e-3)
    at = [labels.data[20, 25], labels.data[65, 50]]
    means = [10 * at[0], 10 * at[1], labels.features["mean_intensity"].mean()]
    np.testing.assert_allclose(summary["mean of mean_intensity"], means)
    assert "1 of the shapes" in text(measured, "regions_message")
    view = measured.findChild(QTableWidget, "regions_table")
    assert view.item(2, 0).text() == "whole field"
    click(measured, "copy_regions")
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:2] == ["region", "nuclei"]
    assert len(lines) == 4


def test_regions_follow_their_shapes_the_edge_and_the_layers(qtbot, regions, measured, viewer):
    view = measured.findChild(QTableWidget, "regions_table")
    qtbot.waitUntil(lambda: view.rowCount() == 3)
    regions.data = [np.array([[0, 0], [0, 60], [45, 60], [45, 0]])]
    qtbot.waitUntil(lambda: view.rowCount() == 2)
    assert shown(measured)["nuclei"].tolist() == [4, 4]
    measured.findChild(QCheckBox, "leave_out_border").click()
    assert shown(measured)["nuclei"].tolist() == [3, 3]
    viewer.layers.remove(regions)
    qtbot.waitUntil(lambda: view.rowCount() == 1)


def test_of_a_stack_the_plane_on_view_is_summarized(qtbot, viewer, review, table):
    stack = np.stack([found(), np.where(found() == 1, 1, 0)])
    viewer.add_labels(stack, axis_labels=("z", "y", "x"))
    click_and_wait(qtbot, review, "measure")
    qtbot.waitUntil(lambda: len(table.rows) == 5)
    table.findChild(QTabWidget, "table_tabs").setCurrentIndex(1)
    viewer.dims.set_point(0, 0)
    assert shown(table)["nuclei"].tolist() == [4]
    viewer.dims.set_point(0, 1)
    assert shown(table)["nuclei"].tolist() == [1]
    assert "plane on view" in text(table, "regions_message")


def test_regions_of_features_of_others_are_found_in_the_labels(viewer, table):
    viewer.add_labels(found(), features=pd.DataFrame({"index": [1, 3], "v": [5.0, 7.0]}))
    table.findChild(QTabWidget, "table_tabs").setCurrentIndex(1)
    whole = shown(table).loc["whole field"]
    assert (whole["nuclei"], whole["mean of v"]) == (2, 6)


@pytest.mark.parametrize("is_measured", [True, False])
def test_no_nuclei_are_no_error(qtbot, viewer, review, table, is_measured):
    viewer.add_labels(np.zeros((20, 20), np.int32))
    if is_measured:
        click_and_wait(qtbot, review, "measure")
    table.findChild(QTabWidget, "table_tabs").setCurrentIndex(1)
    table.regions_panel.refresh()
    if is_measured:
        qtbot.waitUntil(lambda: len(table.regions_panel.table) == 1)
    else:
        assert "measured" in text(table, "regions_message")
