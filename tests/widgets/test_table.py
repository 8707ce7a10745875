"""The dock "Nuclei table": rows, statistics, histogram, classes and colours, on real layers."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from conftest import discs
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPushButton, QTableView
from skimage.measure import label

from napari_nuclei_unet.widgets import ReviewWidget, TableWidget
from napari_nuclei_unet.widgets.table.column_form import ColumnChoice
from napari_nuclei_unet.widgets.table.column_summary import ColumnSummary, ValueLimits
from napari_nuclei_unet.widgets.table.nuclei_rows import NumberFormat, select_nuclei_rows
from widgets.conftest import click, click_and_wait, select

CENTRES = [(20, 25), (20, 80), (65, 50)]
BRIGHTNESS = [200, 50, 120]


@pytest.fixture
def labels(viewer):
    """Three nuclei of different brightness, on pixels that are no squares."""
    found = label(discs((90, 120), CENTRES)).astype(np.int32)
    image = np.array([10, *BRIGHTNESS], np.uint8)[found]
    viewer.add_image(image, name="cells", scale=(0.5, 0.25), translate=(3, 4))
    return viewer.add_labels(found, name="nuclei", scale=(0.5, 0.25), translate=(3, 4))


@pytest.fixture
def review(qtbot, viewer, labels):
    made = ReviewWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def measured(qtbot, review, table, labels):
    """The table of the three nuclei."""
    click_and_wait(qtbot, review, "measure")
    qtbot.waitUntil(lambda: len(table.rows) == 3)
    return table


def view(table):
    return table.findChild(QTableView, "nuclei_view")


def text(table, name):
    return table.findChild(QLabel, name).text()


def cells(table, column):
    """Return what a column shows, from the top."""
    model = view(table).model()
    names = [model.headerData(n, Qt.Orientation.Horizontal) for n in range(model.columnCount())]
    at = names.index(column)
    return [model.index(row, at).data() for row in range(model.rowCount())]


def click_row(table, row, modifier=Qt.KeyboardModifier.NoModifier):
    shown = view(table)
    at = shown.visualRect(shown.model().index(row, 0)).center()
    QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, modifier, at)


def clipboard():
    return QGuiApplication.clipboard().text()


def limit(table, column, low=-np.inf, high=np.inf, color_by=""):
    table.column_form.set_value(ColumnChoice(column, ValueLimits(low, high), color_by))


def centre_of(viewer):
    return np.array(viewer.camera.center[-2:])


# rows


def test_a_table_without_labels_or_measurements_says_what_to_do(qtbot, viewer, table):
    assert "labels layer" in text(table, "table_message")
    layer = viewer.add_labels(np.zeros((20, 20), int))
    assert table.layer is layer
    assert "Measure" in text(table, "table_message")
    layer.features = pd.DataFrame({"index": np.zeros(0, int), "area": np.zeros(0)})
    qtbot.waitUntil(lambda: "no nuclei" in text(table, "table_message"))
    assert table.summary.count == 0
    table.write_class()
    table.copy_all()
    assert clipboard() == "index\tarea\n"


def test_it_shows_the_nuclei_by_label_and_sorts_by_any_column(measured):
    assert cells(measured, "index") == ["1", "2", "3"]
    assert cells(measured, "touches_border") == ["no"] * 3
    measured.sort_by("mean_intensity")
    assert measured.rows["index"].tolist() == [2, 3, 1]
    assert cells(measured, "index") == ["2", "3", "1"]
    measured.sort_by("mean_intensity", descending=True)
    assert cells(measured, "mean_intensity") == ["200", "120", "50"]
    assert measured.column_form.value().column == "mean_intensity"


def test_numbers_are_aligned_at_the_right_and_text_at_the_left(measured):
    model = view(measured).model()
    for name, side in (("index", "Right"), ("area", "Right"), ("state", "Left")):
        column = measured.rows.columns.get_loc(name)
        alignment = model.index(0, column).data(Qt.ItemDataRole.TextAlignmentRole)
        assert alignment & getattr(Qt.AlignmentFlag, f"Align{side}")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 22.0, 333.0], ["1", "22", "333"]),
        ([0.51234, 0.6, np.nan], ["0.5123", "0.6000", ""]),
        ([12.3456, 99.9], ["12.35", "99.90"]),
        ([123456.7, 223456.2], ["123457", "223456"]),
        ([1.5e-9], ["1.500e-09"]),
        ([0.0, 0.0], ["0", "0"]),
        ([], []),
    ],
)
def test_a_column_has_digits_that_make_sense(values, texts):
    number = NumberFormat(values)
    assert [number(value) for value in values] == texts


def test_missing_values_are_last_in_both_directions(qtbot, labels, table):
    labels.features = pd.DataFrame({"index": [1, 2, 3], "score": [np.nan, 5.0, 7.0]})
    qtbot.waitUntil(lambda: len(table.rows) == 3)
    table.sort_by("score")
    assert table.rows["index"].tolist() == [2, 3, 1]
    table.sort_by("score", descending=True)
    assert table.rows["index"].tolist() == [3, 2, 1]


def test_a_column_of_several_types_is_sorted_as_text(qtbot, labels, table):
    labels.features = pd.DataFrame({"index": [1, 2, 3], "note": ["b", None, 5]})
    qtbot.waitUntil(lambda: len(table.rows) == 3)
    table.sort_by("note")
    assert table.rows["index"].tolist() == [3, 1, 2]


def test_features_without_index_have_a_row_for_each_label_as_napari_reads_them():
    rows = select_nuclei_rows(pd.DataFrame({"kind": ["background", "a", "b"]}))
    assert rows["index"].tolist() == [1, 2]
    assert rows["kind"].tolist() == ["a", "b"]


def test_odd_ids_are_left_out():
    odd = pd.DataFrame({"area": range(5), "index": [3.0, np.nan, "2", np.inf, "x"]})
    rows = select_nuclei_rows(odd)
    assert rows["index"].tolist() == [3, 2]
    assert rows["area"].tolist() == [0, 2]


# selection


def test_a_click_on_a_row_selects_and_centres_its_nucleus(viewer, measured, labels):
    measured.sort_by("mean_intensity", descending=True)
    click_row(measured, 2)
    assert labels.selected_label == 2
    row = measured.rows.iloc[2]
    np.testing.assert_allclose(
        centre_of(viewer), row[["centroid_y", "centroid_x"]].to_numpy(float), atol=0.3
    )
    assert viewer.layers.selection.active == labels
    measured.select(3)
    assert measured.selected_rows["index"].tolist() == [3]
    np.testing.assert_allclose(centre_of(viewer), labels.data_to_world((65, 50)), atol=0.3)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_nucleus_that_is_split_while_its_row_is_selected_is_two(
    qtbot, measured, review, labels, row
):
    click_row(measured, row)
    stroke = [labels.data_to_world(at) for at in ((5, 25), (35, 25))]
    review.apply_tool("Split", np.array(stroke))
    qtbot.waitUntil(lambda: len(measured.rows) == 4)
    assert "n 4" in text(measured, "table_summary")
    labels.undo()
    qtbot.waitUntil(lambda: len(measured.rows) == 3)


def test_a_nucleus_chosen_in_the_canvas_selects_its_row(viewer, measured, labels):
    before = centre_of(viewer)
    labels.selected_label = 3
    assert measured.selected_rows["index"].tolist() == [3]
    np.testing.assert_array_equal(centre_of(viewer), before)
    labels.selected_label = 77  # for the next nucleus to be painted
    assert measured.selected_rows.empty


def test_several_rows_stay_selected_when_they_are_sorted(measured):
    click_row(measured, 0)
    click_row(measured, 2, Qt.KeyboardModifier.ControlModifier)
    assert set(measured.selected_rows["index"]) == {1, 3}
    measured.sort_by("mean_intensity")
    assert measured.selected_rows["index"].tolist() == [3, 1]


def test_nuclei_of_a_stack_are_shown_on_their_plane(qtbot, viewer, table):
    planes = [label(discs((60, 80), centres)) for centres in ([(15, 15)], [(40, 60)])]
    layer = viewer.add_labels(np.stack(planes).astype(np.int32))  # the same id in both planes
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.measure()
    viewer.dims.set_point(0, 1)
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.measure()
    qtbot.waitUntil(lambda: len(table.rows) == 2)
    for plane, centre in enumerate([(15, 15), (40, 60)]):
        click_row(table, plane)
        assert viewer.dims.current_step[0] == plane
        np.testing.assert_allclose(centre_of(viewer), centre, atol=0.6)
        assert table.selected_rows["z"].tolist() == [plane]
    layer.selected_label = 5
    layer.selected_label = 1
    assert table.selected_rows["z"].tolist() == [1]


def test_nuclei_that_others_have_measured_are_found_too(qtbot, viewer, table):
    data = np.zeros((3, 60, 80), np.int32)
    data[2, 10:20, 50:60] = 4
    layer = viewer.add_labels(data, features=pd.DataFrame({"index": [4, 9], "score": [1, 2]}))
    table.select(4)
    assert layer.selected_label == 4
    assert viewer.dims.current_step[0] == 2
    np.testing.assert_allclose(centre_of(viewer), (14.5, 54.5))
    table.select(9)
    assert layer.selected_label == 4
    assert "not found in the labels" in text(table, "table_summary")


def test_a_table_that_is_updated_stays_where_it_was_scrolled_to(qtbot, viewer, table):
    count = 200
    features = pd.DataFrame({"index": np.arange(1, count + 1), "score": 1.0})
    layer = viewer.add_labels(np.arange(count + 1).reshape(1, -1), features=features)
    layer.selected_label = 2
    bar = view(table).verticalScrollBar()
    bar.setValue(100)
    layer.features = features.assign(score=2.0)
    qtbot.waitUntil(lambda: table.rows["score"].iloc[0] == 2)
    assert bar.value() == 100
    assert table.selected_rows["index"].tolist() == [2]
    layer.selected_label = 180
    assert bar.value() > 100


# statistics and the clipboard


def test_the_footer_has_the_statistics_of_pandas(measured, labels):
    measured.sort_by("mean_intensity")
    values, summary = labels.features["mean_intensity"], measured.summary
    assert summary.count == 3
    assert [summary.mean, summary.std, summary.median] == pytest.approx(
        [values.mean(), values.std(), values.median()]
    )
    said = text(measured, "table_summary")
    assert said == "mean_intensity: n 3 · mean 123.3 · SD 75.06 · median 120"
    click_row(measured, 0)
    click_row(measured, 1, Qt.KeyboardModifier.ShiftModifier)
    assert measured.summary.mean == pytest.approx(85)
    assert "selected" in text(measured, "table_summary")


def test_missing_values_do_not_count():
    values = np.array([1.0, np.nan, 4.0])
    assert ColumnSummary.of(values) == ColumnSummary(2, 2.5, pytest.approx(4.5**0.5), 2.5)
    assert ColumnSummary.of(np.array([np.nan])).describe() == "n 0"
    assert ColumnSummary.of(np.array([3.0])).describe() == "n 1 · mean 3 · median 3"


def test_rows_are_copied_for_spreadsheets(measured):
    measured.sort_by("mean_intensity")
    click(measured, "copy_table")
    lines = [line.split("\t") for line in clipboard().splitlines()]
    assert [name.split(" (")[0] for name in lines[0]] == list(measured.rows)
    assert "orientation (rad)" in lines[0]
    assert [line[0] for line in lines[1:]] == ["2", "3", "1"]
    click_row(measured, 1)
    QTest.keyClick(view(measured), Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = [line.split("\t") for line in clipboard().splitlines()]
    assert [line[0] for line in lines[1:]] == ["3"]
    assert float(lines[1][lines[0].index("mean_intensity")]) == 120


# histogram, classes and colours


def test_the_histogram_offers_numbers_only(measured):
    combo = measured.findChild(QComboBox, "histogram_column")
    names = [combo.itemText(number) for number in range(combo.count())]
    assert "area" in names
    assert not {"index", "state", "touches_border"} & set(names)


def test_limits_count_nuclei_and_mark_their_rows(measured):
    assert not measured.findChild(QPushButton, "write_class").isEnabled()
    limit(measured, "mean_intensity", low=80)
    assert text(measured, "within_limits") == "2 of 3 (67 %) above 80"
    model = view(measured).model()
    marked = [
        model.index(row, 0).data(Qt.ItemDataRole.BackgroundRole) is not None for row in range(3)
    ]
    assert marked == [True, False, True]
    limit(measured, "mean_intensity", low=80, high=150)
    assert text(measured, "within_limits") == "1 of 3 (33 %) between 80 and 150"
    limit(measured, "mean_intensity", high=120)
    assert text(measured, "within_limits") == "2 of 3 (67 %) below 120"
    click(measured, "reset_limits")
    assert text(measured, "within_limits") == "3 nuclei"


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [
        ("80", "", (80, np.inf)),
        ("80,5", "120", (80.5, 120)),
        ("150", "60", (60, 150)),
        ("many", "120", (-np.inf, 120)),
        ("nan", "inf", (-np.inf, np.inf)),
        ("-1e3", "1e3", (-1000, 1000)),
    ],
)
def test_limits_are_typed(measured, low, high, limits):
    select(measured, "histogram_column", "mean_intensity")
    for name, typed in (("low_limit", low), ("high_limit", high)):
        field = measured.findChild(QLineEdit, name)
        QTest.keyClicks(field, typed)
        QTest.keyClick(field, Qt.Key.Key_Return)
    assert measured.column_form.value().limits == ValueLimits(*limits)


def test_a_limit_that_is_only_looked_at_stays_exact(measured):
    limit(measured, "mean_intensity", low=80.123456789)
    field = measured.findChild(QLineEdit, "low_limit")
    assert field.text() == "80.12"
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert measured.column_form.value().limits.low == 80.123456789
    QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(field, Qt.Key.Key_Backspace)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert measured.column_form.value().limits == ValueLimits()


def test_limits_are_dragged_by_the_mouse(qtbot, measured):
    select(measured, "histogram_column", "mean_intensity")
    histogram = measured.column_form.histogram
    box = histogram.getPlotItem().getViewBox()

    def at(value):
        scene = box.mapViewToScene(QPointF(value, 0.5))
        return histogram.mapFromScene(scene)

    QTest.mousePress(histogram.viewport(), Qt.MouseButton.LeftButton, pos=at(50))
    for value in (55, 70, 90, 100):
        QTest.mouseMove(histogram.viewport(), at(value))
        QApplication.processEvents()
    QTest.mouseRelease(histogram.viewport(), Qt.MouseButton.LeftButton, pos=at(100))
    limits = measured.column_form.value().limits
    assert limits.low == pytest.approx(100, abs=5)
    assert limits.high == np.inf


def test_classes_stay_with_their_nuclei(qtbot, measured, review, labels):
    limit(measured, "mean_intensity", low=80)
    click(measured, "write_class")
    name = "mean_intensity_class"
    expected = [f"intensity: {word}" for word in ("positive", "negative", "positive")]
    assert labels.features[name].tolist() == expected
    assert cells(measured, name) == expected
    click_and_wait(qtbot, review, "measure")
    assert labels.features[name].tolist() == expected
    review.apply_tool("Delete", np.array([labels.data_to_world(CENTRES[0])]))
    qtbot.waitUntil(lambda: cells(measured, name) == expected[1:])
    labels.undo()
    qtbot.waitUntil(lambda: cells(measured, name) == expected)
    assert text(measured, "within_limits") == "2 of 3 (67 %) above 80"


def test_classes_follow_corrections(qtbot, measured, labels):
    limit(measured, "area", low=2 * labels.features["area"].max())
    click(measured, "write_class")
    assert set(labels.features["area_class"]) == {"area: negative"}
    rows, columns = (at.ravel() for at in np.indices((85, 40)))
    labels.data_setitem((rows, columns), 1)
    labels.data_setitem((np.array([80, 80]), np.array([100, 101])), 12)
    qtbot.waitUntil(lambda: "area: positive" in set(labels.features["area_class"]))
    classes = labels.features.set_index("index")["area_class"]
    assert (classes[1], classes[12]) == ("area: positive", "area: negative")
    labels.undo()
    labels.undo()
    qtbot.waitUntil(lambda: set(labels.features["area_class"]) == {"area: negative"})


@pytest.mark.parametrize("column", ["mean_Ki67", "mean_intensity_Ki67", "Ki67"])
def test_a_class_has_the_name_of_its_channel(qtbot, labels, table, column):
    labels.features = pd.DataFrame({"index": [1, 2], column: [1.0, 2.0]})
    qtbot.waitUntil(lambda: len(table.rows) == 2)
    limit(table, column, low=1.5)
    table.write_class()
    assert labels.features[f"{column}_class"].tolist() == ["Ki67: negative", "Ki67: positive"]


def test_a_nucleus_on_several_planes_has_one_class_and_one_colour(qtbot, viewer, table):
    data = np.zeros((2, 20, 20), np.int32)
    data[:, 2:5, 2:5], data[:, 12:15, 12:15] = 1, 2
    features = pd.DataFrame({"index": [1, 2, 1, 2], "z": [0, 0, 1, 1], "score": [1.0, 5, 2, 1]})
    layer = viewer.add_labels(data, features=features)
    limit(table, "score", low=1.6)
    assert text(table, "within_limits") == "2 of 4 (50 %) above 1.6"
    table.write_class()
    words = [f"score: {word}" for word in ("negative", "positive")]
    assert layer.features["score_class"].tolist() == words * 2
    qtbot.waitUntil(lambda: isinstance(layer.colormap, DirectLabelColormap))
    assert not np.array_equal(layer.get_color(1), layer.get_color(2))


def test_classes_are_saved(qtbot, measured, review, tmp_path):
    limit(measured, "mean_intensity", low=80)
    measured.write_class()
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(tmp_path / "a.csv")
    saved = pd.read_csv(tmp_path / "a.csv")
    assert saved["mean_intensity_class"].str.endswith("positive").tolist() == [True, False, True]
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(tmp_path / "a.geojson")
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == saved["mean_intensity_class"].tolist()


def test_classes_of_features_without_index_are_of_their_rows(qtbot, labels, table):
    labels.features = pd.DataFrame({"score": [0.0, 1.0, 2.0, np.nan]})
    qtbot.waitUntil(lambda: len(table.rows) == 3)
    limit(table, "score", low=1.5)
    table.write_class()
    assert labels.features["score_class"].tolist() == [
        "", "score: negative", "score: positive", ""
    ]  # fmt: skip


def test_nuclei_within_limits_are_coloured_until_the_limits_are_reset(qtbot, measured, labels):
    own, colors = labels.colormap, labels.get_color(1)
    limit(measured, "mean_intensity", low=80)
    qtbot.waitUntil(lambda: isinstance(labels.colormap, DirectLabelColormap))
    inside, outside = labels.get_color(1), labels.get_color(2)
    np.testing.assert_array_equal(labels.get_color(3), inside)
    assert not np.array_equal(inside, outside)
    assert measured.findChild(QPushButton, "reset_limits").isEnabled()
    click(measured, "reset_limits")
    qtbot.waitUntil(lambda: labels.colormap is own)
    np.testing.assert_array_equal(labels.get_color(1), colors)


def test_nuclei_have_the_colours_of_a_column(qtbot, viewer, measured, labels):
    own = labels.colormap
    select(measured, "color_by", "mean_intensity")
    qtbot.waitUntil(lambda: isinstance(labels.colormap, DirectLabelColormap))
    brightness = [labels.get_color(one)[:3].sum() for one in (2, 3, 1)]
    assert brightness == sorted(brightness)  # viridis
    assert labels.selected_label == 1  # new colours select nothing
    select(measured, "color_by", "off")
    qtbot.waitUntil(lambda: labels.colormap is own)


def test_colours_that_the_user_sets_meanwhile_are_kept(qtbot, measured, labels):
    select(measured, "color_by", "area")
    qtbot.waitUntil(lambda: isinstance(labels.colormap, DirectLabelColormap))
    labels.colormap = DirectLabelColormap(color_dict={None: "red", 1: "blue"})
    chosen = labels.colormap
    measured.hide()
    assert labels.colormap is chosen


@pytest.mark.parametrize("leave", ["close", "remove", "other labels"])
def test_the_layer_gets_its_colours_back(qtbot, viewer, measured, labels, leave):
    own = labels.colormap
    select(measured, "color_by", "area")
    qtbot.waitUntil(lambda: isinstance(labels.colormap, DirectLabelColormap))
    if leave == "close":
        measured.close()
    elif leave == "remove":
        viewer.layers.remove(labels)
        assert measured.layer is None
        assert "labels layer" in text(measured, "table_message")
    else:
        other = viewer.add_labels(np.ones((5, 5), int))
        assert measured.layer is other
    qtbot.waitUntil(lambda: labels.colormap is own)


def test_a_column_that_vanishes_is_shown_no_more(qtbot, labels, table):
    labels.features = pd.DataFrame({"index": [1, 2], "a": [1.0, 2.0], "b": [3.0, 4.0]})
    qtbot.waitUntil(lambda: len(table.rows) == 2)
    table.sort_by("b", descending=True)
    limit(table, "b", low=3.5, color_by="b")
    labels.features = pd.DataFrame({"index": [1, 2], "a": [1.0, 2.0]})
    qtbot.waitUntil(lambda: list(table.rows) == ["index", "a"])
    assert table.column_form.value() == ColumnChoice("a")
    assert table.rows["index"].tolist() == [1, 2]
    assert text(table, "within_limits") == "2 nuclei"


def test_a_destroyed_table_listens_no_more(qtbot, viewer, labels):
    made = TableWidget(viewer)
    made.deleteLater()
    with qtbot.waitSignal(made.destroyed):
        pass
    labels.features = pd.DataFrame({"index": [1], "area": [2.0]})
    labels.selected_label = 3
    viewer.layers.remove(labels)


def test_ten_thousand_nuclei_open_in_half_a_second(qtbot, viewer):
    count = 10_000
    rng = np.random.default_rng(0)
    features = (
        pd.DataFrame(rng.normal(100, 20, (count, 25)))
        .add_prefix("c")
        .assign(index=np.arange(1, count + 1), state="")
    )
    viewer.add_labels(np.arange(count + 1).reshape(1, -1), features=features)
    start = time.perf_counter()
    table = TableWidget(viewer)
    qtbot.addWidget(table)
    table.resize(1000, 300)
    table.show()
    opened = time.perf_counter() - start
    assert len(table.rows) == count
    limit(table, "c3", low=90)
    start = time.perf_counter()
    limit(table, "c3", low=100)
    moved = time.perf_counter() - start
    assert opened < 2  # half a second on a machine that has nothing else to do
    assert moved < 0.5
