"""The widget "Review nuclei": tools, queue, table and files, on real layers and real threads."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import zarr
from conftest import discs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QLabel, QPushButton
from skimage.measure import label, regionprops_table

from napari_nuclei_unet.export.read import read_result
from napari_nuclei_unet.labels.masks import MASK_HINT
from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.samples.planted_errors import plant_errors
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.features import FeaturesTable
from napari_nuclei_unet.widgets.review.compare_task import ComparedLayers
from napari_nuclei_unet.widgets.review.exporter import add_suffix, suggest_file_name
from napari_nuclei_unet.widgets.review.measure_form import MeasureChoice
from napari_nuclei_unet.widgets.review.measure_task import (
    LABELS_CHANGED_WHILE_MEASURING,
    MeasureTask,
)
from napari_nuclei_unet.widgets.review.target_form import ReviewTarget
from widgets.conftest import click, click_and_wait, move, settle

DELETE, MERGE, SPLIT, ADD = "Delete", "Merge", "Split", "Add"


@pytest.fixture
def review(qtbot, viewer):
    made = ReviewWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def labels(qtbot, viewer, widget, review, disc_image):
    """Three discs that were segmented, on an image with pixels that are no squares."""
    viewer.add_image(disc_image, name="cells", scale=(0.5, 0.25), translate=(3, 4))
    click_and_wait(qtbot, widget)
    return viewer.layers["cells nuclei"]


@pytest.fixture
def disc_image(make_discs):
    return make_discs((90, 120), [(20, 25), (20, 80), (65, 50)])


@pytest.fixture
def make_discs():
    from conftest import discs

    return discs


def said(review):
    return review.findChild(QLabel, "review_status").text()


def world(layer, *points):
    return np.array([layer.data_to_world(point) for point in points])


def use(review, tool, layer, *points):
    assert review.target_form.value().labels == layer
    review.apply_tool(tool, world(layer, *points))
    return said(review)


def measure(qtbot, review):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        click(review, "measure")
    assert review.state is RunState.IDLE


def save(qtbot, review, path):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(path)


def rows(layer):
    return layer.features.set_index("index").sort_index()


def state(layer):
    """Labels and table, to be compared."""
    return layer.data.copy(), layer.features.copy()


def same(one, other):
    return np.array_equal(one[0], other[0]) and one[1].equals(other[1])


# the table


def test_a_result_fills_the_table_in_the_units_of_the_layer(labels):
    table = rows(labels)
    assert table.index.tolist() == [1, 2, 3]
    props = regionprops_table(
        labels.data,
        spacing=(0.5, 0.25),
        properties=["label", "area", "axis_major_length", "axis_minor_length", "centroid"],
    )
    np.testing.assert_allclose(table["area"], props["area"], rtol=1e-6)
    np.testing.assert_allclose(table["major_axis"], props["axis_major_length"], rtol=1e-6)
    np.testing.assert_allclose(table["minor_axis"], props["axis_minor_length"], rtol=1e-6)
    np.testing.assert_allclose(table["centroid_y"], props["centroid-0"] + 3, rtol=1e-6)
    np.testing.assert_allclose(table["centroid_x"], props["centroid-1"] + 4, rtol=1e-6)
    assert (table["confidence"] > 0.5).all()
    assert not table["touches_border"].any()
    assert labels.get_status(labels.data_to_world((20, 25)), world=True)["coordinates"]


@pytest.mark.parametrize("has_index", [True, False])
def test_columns_of_others_stay_with_their_nuclei(qtbot, viewer, review, labels, has_index):
    classes = pd.DataFrame({"index": [3, 1, 2], "kind": ["c", "a", "b"]})
    if not has_index:  # then napari takes the number of the row for the label
        classes = pd.DataFrame({"kind": ["background", "a", "b", "c"]})
    labels.features = classes
    viewer.layers.selection.active = labels
    measure(qtbot, review)
    assert rows(labels)["kind"].tolist() == ["a", "b", "c"]
    assert (rows(labels)["area"] > 0).all()
    use(review, DELETE, labels, (20, 80))
    assert rows(labels)["kind"].tolist() == ["a", "c"]
    labels.undo()
    assert rows(labels)["kind"].tolist() == ["a", "b", "c"]
    labels.features = labels.features.assign(kind=["x", "y", "z"], score=[1, 2, 3])
    measure(qtbot, review)
    assert sorted(rows(labels)["kind"]) == ["x", "y", "z"]
    labels.features = labels.features.drop(columns="kind")
    measure(qtbot, review)
    assert "kind" not in labels.features
    assert sorted(rows(labels)["score"]) == [1, 2, 3]


def test_columns_of_others_are_not_given_to_other_nuclei(qtbot, viewer, widget, labels, make_discs):
    settle(qtbot, widget)
    labels.features = labels.features.assign(kind=["a", "b", "c"])
    viewer.layers["cells"].data = make_discs((90, 120), [(20, 25), (65, 50)])
    click_and_wait(qtbot, widget)
    kinds = rows(labels)["kind"]
    assert kinds[1] == "a"
    assert np.isnan(kinds[2])  # was (20, 80)


def test_sliders_keep_the_table_in_step(qtbot, widget, labels):
    move(widget, "minimum_area", 500)
    settle(qtbot, widget)
    assert not labels.data.any()
    assert len(labels.features) == 0


@pytest.mark.parametrize("ask", ["accept", "save", "delete"])
def test_who_needs_the_table_right_after_a_slider_has_the_new_one(
    qtbot, widget, labels, review, tmp_path, ask
):
    move(widget, "minimum_area", 500)  # no disc is as large
    settle(qtbot, widget)
    assert not len(labels.features)
    move(widget, "minimum_area", 5)
    qtbot.waitUntil(lambda: not widget.retuner.is_busy)
    assert not len(labels.features)  # it is measured when the slider stays
    if ask == "accept":
        review.next()
        review.accept()
        assert "1 of 3 reviewed" in said(review)
    elif ask == "save":
        with qtbot.waitSignal(review.finished):
            review.save(tmp_path / "nuclei.csv")
        qtbot.waitUntil(lambda: "Saved" in said(review))
    else:
        use(review, DELETE, labels, (20, 25))
    before = said(review)
    settle(qtbot, widget)
    assert set(labels.features["index"]) == set(np.unique(labels.data)) - {0}
    assert said(review) == before


def test_channels_and_colours_are_measured_one_by_one(qtbot, viewer, review, make_discs):
    grey = make_discs((60, 60), [(30, 30)])
    mask = (grey > grey.mean()).astype(np.int32)
    viewer.add_image(np.stack([grey, 2.0 * grey]), name="two")
    layer = viewer.add_labels(mask, name="mask")
    measure(qtbot, review)
    table = rows(layer)
    np.testing.assert_allclose(table["mean_intensity_1"], 2 * table["mean_intensity_0"])
    viewer.layers.remove("two")
    viewer.add_image(np.stack([grey] * 3, axis=-1).astype(np.uint8), name="rgb", rgb=True)
    measure(qtbot, review)
    assert {"mean_intensity_red", "std_intensity_blue"} <= set(layer.features)


def test_a_stack_has_a_row_for_each_nucleus_and_plane(qtbot, viewer, widget, review, disc_image):
    viewer.add_image(np.stack([disc_image] * 6), name="stack")
    widget.source_form.planes.kind.value = "all"
    click_and_wait(qtbot, widget)
    layer = viewer.layers["stack nuclei"]
    assert len(layer.features) == 18
    assert layer.features["z"].tolist() == np.repeat(range(6), 3).tolist()
    viewer.dims.set_point(0, 1)
    use(review, DELETE, layer, (1, 20, 25))
    assert layer.features["z"].value_counts().to_dict() == {0: 3, 1: 2, 2: 3, 3: 3, 4: 3, 5: 3}
    layer.undo()
    assert len(layer.features) == 18


# the tools


def test_each_tool_does_and_undoes_labels_and_table(labels, review):
    steps = [
        (DELETE, [(20, 25)], "Nucleus 1 deleted"),
        (MERGE, [(20, 80), (65, 50)], "Merged into nucleus"),
        (SPLIT, [(20, 68), (20, 92)], "Split into"),
        (ADD, [(20, 25)], "added"),
    ]
    past = [state(labels)]
    for tool, points, words in steps:
        assert words in use(review, tool, labels, *points)
        past.append(state(labels))
        assert set(np.unique(labels.data)) - {0} == set(labels.features["index"])
    assert len({len(one[1]) for one in past}) > 1
    for before in past[-2::-1]:
        labels.undo()
        assert same(state(labels), before)
    for after in past[1:]:
        labels.redo()
        assert same(state(labels), after)


def test_ids_are_never_given_twice(labels, review):
    use(review, SPLIT, labels, (5, 25), (35, 25))
    use(review, DELETE, labels, (20, 80))
    use(review, ADD, labels, (20, 80))
    assert len(np.unique(labels.data)) == 5
    assert labels.data[20, 80] == 5  # above 4, which the cut has made


def test_what_is_painted_is_in_the_table_and_undone(labels):
    before = state(labels)
    labels.mode = "paint"
    labels.brush_size = 8
    labels.paint((50, 100), 9)
    assert rows(labels).loc[9, "state"] == "edited"
    labels.paint((20, 25), 9)  # in two pieces, and a hole in nucleus 1
    table = rows(labels)
    assert table.loc[9, "solidity"] < 0.5
    assert table.loc[1, "state"] == "edited"
    for _ in range(2):
        labels.undo()
    assert same(state(labels), before)


@pytest.mark.parametrize(
    ("tool", "points", "words"),
    [
        (DELETE, [(50, 100)], "no nucleus"),
        (DELETE, [(-40, 500)], "no nucleus"),
        (MERGE, [(20, 20), (20, 30)], "one nucleus only"),
        (MERGE, [(50, 100), (55, 110)], "no nucleus"),
        (SPLIT, [(20, 24), (20, 26)], "does not cut"),
        (ADD, [(50, 110)], "sees nothing"),
        (ADD, [(20, 25)], "nucleus already"),
    ],
)
def test_mistakes_are_told_and_change_nothing(labels, review, tool, points, words):
    before = state(labels)
    assert words in use(review, tool, labels, *points)
    assert same(state(labels), before)
    labels.undo()  # there is nothing to undo
    assert same(state(labels), before)


def test_nothing_is_grown_on_a_plane_that_was_not_predicted(viewer, review, disc_image):
    viewer.add_image(disc_image, name="cells")
    layer = viewer.add_labels(np.zeros(disc_image.shape, np.int32))
    assert "click Segment" in use(review, ADD, layer, (20, 25))


def test_annotated_labels_can_be_corrected_with_the_prediction_of_their_image(
    viewer, labels, review
):
    layer = viewer.add_labels(np.zeros(labels.data.shape, np.uint16), name="by hand",
                              scale=labels.scale, translate=labels.translate)  # fmt: skip
    use(review, ADD, layer, (65, 50))
    assert layer.data[65, 50] == 1
    assert np.abs((layer.data > 0).sum() - (labels.data == labels.data[65, 50]).sum()) < 60


def test_labels_that_have_no_id_left_are_refused(viewer, review, disc_image):
    data = (disc_image > disc_image.mean()).astype(np.uint8) * 255
    layer = viewer.add_labels(data, name="mask")
    assert "used up all ids" in use(review, SPLIT, layer, (5, 25), (35, 25))
    assert set(np.unique(layer.data)) == {0, 255}


def test_locked_labels_and_files_that_cannot_be_written_are_refused(
    viewer, review, messages, labels, tmp_path
):
    labels.editable = False
    click(review, "tool_delete")
    assert "locked" in messages[-1][1]
    assert not review.findChild(QPushButton, "tool_delete").isChecked()
    zarr.save_array(tmp_path / "a.zarr", labels.data)
    layer = viewer.add_labels(zarr.open_array(tmp_path / "a.zarr", mode="r"), name="file")
    assert "cannot be written" in use(review, DELETE, layer, (20, 25))
    assert layer.data[20, 25] == 1


def test_labels_in_a_file_are_corrected_in_the_file(viewer, review, labels, tmp_path):
    zarr.save_array(tmp_path / "a.zarr", labels.data)
    layer = viewer.add_labels(zarr.open_array(tmp_path / "a.zarr", mode="r+"), name="file")
    use(review, DELETE, layer, (20, 25))
    use(review, SPLIT, layer, (20, 68), (20, 92))
    use(review, SPLIT, layer, (65, 38), (65, 62))
    layer.paint((80, 100), 17)
    stored = zarr.open_array(tmp_path / "a.zarr", mode="r")[:]
    assert set(np.unique(stored)) == {0, 2, 3, 4, 5, 17}
    use(review, SPLIT, layer, (14, 75), (14, 85))  # cuts nothing
    use(review, SPLIT, layer, (8, 80), (32, 80))
    assert 18 in layer.data[:]
    for _ in range(5):
        layer.undo()
    layer.undo()
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "a.zarr", mode="r")[:], labels.data
    )  # fmt: skip


def test_the_image_may_go_while_labels_stay(viewer, labels, review):
    viewer.layers.remove("cells")
    assert "no image" not in use(review, DELETE, labels, (20, 25))
    assert "at 'Measure in'" in use(review, ADD, labels, (20, 25))
    use(review, SPLIT, labels, (20, 68), (20, 92))
    assert len(labels.features) == 3
    labels.undo()
    labels.undo()
    assert len(labels.features) == 3


def test_a_tool_takes_the_mouse_and_gives_it_back(viewer, labels, review):
    click(review, "tool_split")
    assert not labels.mouse_pan
    assert len(labels.mouse_drag_callbacks) == 1 + len(Labels(labels.data).mouse_drag_callbacks)
    click(review, "tool_merge")  # another one instead
    assert not review.findChild(QPushButton, "tool_split").isChecked()
    labels.mode = "paint"  # napari's own
    assert not review.findChild(QPushButton, "tool_merge").isChecked()
    assert "paint" in str(labels.mode)
    click(review, "tool_merge")
    viewer.layers.selection.active = viewer.layers["cells"]
    assert labels.mouse_pan
    assert not review.findChild(QPushButton, "tool_merge").isChecked()


def test_keys_are_the_layers_while_it_is_chosen(viewer, labels, review):
    keys = {str(key) for key in labels.keymap}
    assert {"N", "Y", "D", "J", "S", "A"} <= keys
    other = viewer.add_labels(np.zeros_like(labels.data), name="other")
    assert not {"N", "D"} & {str(key) for key in labels.keymap}
    assert "N" in {str(key) for key in other.keymap}


def test_escape_is_ours_only_while_a_tool_is_in_use(labels, review):
    click(review, "tool_split")
    assert "Escape" in {str(key) for key in labels.keymap}
    next(act for key, act in labels.keymap.items() if str(key) == "Escape")(labels)
    assert not review.findChild(QPushButton, "tool_split").isChecked()
    assert "Escape" not in {str(key) for key in labels.keymap}  # napari's polygon needs it


def test_hidden_labels_are_not_corrected(labels, review):
    labels.visible = False
    assert "hidden" in use(review, DELETE, labels, (20, 25))
    assert labels.data[20, 25]


def test_columns_of_others_stay(labels, review):
    labels.features = labels.features.assign(kind=["a", "b", "c"])
    use(review, DELETE, labels, (20, 80))
    kinds = rows(labels)["kind"]
    assert kinds.loc[1] == "a"
    assert kinds.loc[3] == "c"


def test_a_deleted_nucleus_leaves_the_rows_of_others_as_they_are(viewer, labels, review):
    before = rows(labels)
    use(review, DELETE, labels, (20, 80))
    gone = before.index.difference(rows(labels).index)
    assert len(gone) == 1
    assert rows(labels).equals(before.drop(gone))
    labels.translate = labels.translate + 7
    use(review, DELETE, labels, (20, 25))
    (nucleus,) = rows(labels).index
    moved = ["centroid_y", "centroid_x"]
    np.testing.assert_allclose(rows(labels).loc[nucleus, moved], before.loc[nucleus, moved] + 7)


def test_a_nucleus_of_several_planes_is_deleted_from_one(qtbot, viewer, labels, review):
    volume = viewer.add_labels(np.stack([labels.data] * 3), name="volume")
    measure(qtbot, review)
    viewer.dims.set_point(0, 1)
    before = volume.features.copy()
    use(review, DELETE, volume, (1, 20, 25))
    nucleus = labels.data[20, 25]
    kept = before[(before["index"] != nucleus) | (before["z"] != 1)].reset_index(drop=True)
    assert volume.features.equals(kept)
    volume.undo()
    assert volume.features.equals(before)


# undo, hammered


def test_what_was_edited_before_measuring_is_noticed_when_it_is_undone(
    qtbot, viewer, labels, review
):
    layer = viewer.add_labels(labels.data.copy(), name="copy", scale=labels.scale)
    use(review, DELETE, layer, (20, 25))
    measure(qtbot, review)
    assert len(layer.features) == 2
    layer.undo()
    assert len(layer.features) == 3
    use(review, DELETE, layer, (20, 25))
    assert not (layer.data == 1).any()


def test_many_long_strokes_are_all_undone(labels):
    before = state(labels)
    for stroke in range(5):
        with labels.block_history():  # as napari does it while the mouse is dragged
            for dab in range(60):
                labels.paint((30 + 12 * stroke, 20 + dab), 10 + stroke)
    assert len(labels.features) > 3
    for _ in range(5):
        labels.undo()
    assert same(state(labels), before)


def test_an_undo_of_hidden_labels_is_noticed_later(labels, review):
    before = state(labels)
    use(review, DELETE, labels, (20, 25))
    labels.visible = False
    labels.undo()
    labels.paint((80, 110), 9)
    labels.visible = True
    assert {1, 9} <= set(labels.features["index"])
    labels.undo()
    assert same(state(labels), before)


def test_steps_that_belong_to_other_labels_are_dropped(qtbot, widget, labels, review):
    use(review, DELETE, labels, (20, 25))
    labels.undo()
    move(widget, "minimum_area", 5)
    settle(qtbot, widget)
    after = state(labels)
    assert not labels.features["state"].any()
    labels.redo()
    assert same(state(labels), after)


def test_filling_the_background_is_undone_quickly(viewer, labels):
    before = state(labels)
    for number in range(3):
        labels.fill((50, 100), 50 + number)
        assert 50 + number in set(labels.features["index"])
    for _ in range(3):
        labels.undo()
    assert same(state(labels), before)


def test_three_dimensional_edits_of_a_stack(qtbot, viewer, review, labels):
    stack = viewer.add_labels(np.stack([labels.data] * 6), name="stack")
    measure(qtbot, review)
    before = state(stack)
    stack.n_edit_dimensions = 3
    stack.brush_size = 5
    stack.paint((3, 20, 25), 77)
    assert set(stack.features.loc[stack.features["index"] == 77, "z"]) == {1, 2, 3, 4, 5}
    stack.undo()
    assert same(state(stack), before)


def test_labels_are_saved_once_they_are_measured_themselves(qtbot, viewer, review, tmp_path):
    first = np.zeros((40, 40), np.int32)
    first[2:8, 2:8], first[20:30, 20:30] = 1, 2
    one, other = viewer.add_labels(first), viewer.add_labels(np.where(first == 2, 7, 0))
    review.target_form.set_value(ReviewTarget(one, None))
    review.measure()
    review.target_form.set_value(ReviewTarget(other, None))
    save(qtbot, review, tmp_path / "other.csv")
    with (tmp_path / "other.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["7"]
    assert one.features["index"].tolist() == [1, 2]


def test_a_mask_is_told_when_it_is_measured(qtbot, viewer, review, messages):
    mask = discs((60, 80), [(20, 20), (20, 50), (40, 35)]) > 0
    layer = viewer.add_labels(mask.astype(np.uint8), name="thresholded")
    review.target_form.set_value(ReviewTarget(layer, None))
    measure(qtbot, review)
    assert said(review) == f"'thresholded' is {MASK_HINT}"
    assert messages == [("warning", said(review))]
    assert layer.features["index"].tolist() == [1]
    layer.data = label(mask)
    measure(qtbot, review)
    assert said(review).startswith("3 nuclei measured")


# the queue


def test_the_least_confident_come_first_and_their_state_is_kept(viewer, labels, review):
    order = rows(labels)["confidence"].sort_values().index.tolist()
    click(review, "next_doubtful")
    assert labels.selected_label == order[0]
    centre = rows(labels).loc[order[0], ["centroid_y", "centroid_x"]]
    np.testing.assert_allclose(viewer.camera.center[-2:], centre, atol=0.5)
    click(review, "accept")
    assert rows(labels).loc[order[0], "state"] == "accepted"
    assert labels.selected_label == order[1]
    click(review, "remove")
    assert order[1] not in rows(labels).index
    assert labels.selected_label == order[2]
    labels.undo()
    assert rows(labels).loc[order[0], "state"] == "accepted"
    click(review, "next_doubtful")
    assert labels.selected_label == order[1]
    click(review, "accept")
    click(review, "accept")
    assert "have been reviewed" in said(review)


def test_a_nucleus_that_was_corrected_needs_no_review(labels, review):
    use(review, SPLIT, labels, (5, 25), (35, 25))
    seen = set()
    for _ in range(2):
        click(review, "next_doubtful")
        seen.add(labels.selected_label)
    assert seen == {2, 3}


def test_the_queue_says_what_is_missing(viewer, review):
    for name in ("next_doubtful", "accept", "tool_merge"):
        button = review.findChild(QPushButton, name)
        assert not button.isEnabled()
        assert "Choose a labels layer" in button.toolTip()
    viewer.add_labels(np.ones((9, 9), np.int32))
    click(review, "next_doubtful")
    assert "Measure" in said(review)
    click(review, "accept")
    assert "press N" in said(review)


def test_back_takes_back_what_was_accepted(labels, review):
    click(review, "back")
    assert "no nucleus to go back to" in said(review)
    click(review, "next_doubtful")
    first = labels.selected_label
    click(review, "accept")
    click(review, "accept")
    click(review, "back")
    click(review, "back")
    assert labels.selected_label == first
    assert not rows(labels)["state"].any()


def test_the_queue_is_walked_by_methods(labels, review):
    order = rows(labels)["confidence"].sort_values().index.tolist()
    review.next()
    review.accept()
    assert rows(labels)["state"].to_dict() == dict.fromkeys(order, "") | {order[0]: "accepted"}
    review.delete()
    assert sorted(rows(labels).index) == sorted([order[0], order[2]])
    review.back()
    assert labels.selected_label == order[0]
    assert not rows(labels)["state"].any()


def test_what_is_said_does_not_outlive_an_undo(labels, review):
    assert "deleted" in use(review, DELETE, labels, (20, 25))
    labels.undo()
    assert said(review) == ""


def test_comparing_judges_the_nuclei_that_are_reviewed(viewer, labels, review):
    truth = viewer.add_labels(labels.data.copy(), name="truth")
    panel, form = review.compare_panel, review.target_form
    again = viewer.add_labels(labels.data.copy(), metadata=labels.metadata, name="again")
    form.set_value(replace(form.value(), labels=labels))
    assert panel.value() == ComparedLayers(labels, truth)
    form.set_value(replace(form.value(), labels=again))
    assert panel.value() == ComparedLayers(again, truth)


def test_an_annotation_that_is_selected_is_what_the_result_is_compared_with(viewer, labels, review):
    form, panel = review.target_form, review.compare_panel
    truth = viewer.add_labels(labels.data.copy(), name="truth")
    form.set_value(replace(form.value(), labels=truth))
    assert panel.value() == ComparedLayers(labels, truth)
    panel.set_value(ComparedLayers(truth, labels))
    form.set_value(replace(form.value(), labels=labels))
    assert panel.value() == ComparedLayers(truth, labels)


def test_labels_that_are_reviewed_are_the_result_where_none_were_segmented(viewer, review):
    first, second = (viewer.add_labels(np.eye(9, dtype=int), name=name) for name in "ab")
    form = review.target_form
    form.set_value(replace(form.value(), labels=first))
    assert review.compare_panel.value() == ComparedLayers(first, second)


def test_a_nucleus_of_labels_that_are_no_more_is_not_touched(qtbot, widget, labels, review):
    click(review, "next_doubtful")
    move(widget, "minimum_area", 5)
    settle(qtbot, widget)
    after = state(labels)
    click(review, "accept")
    assert "press N" in said(review)
    click(review, "remove")
    assert same(state(labels), after)


def test_the_state_survives_measuring_again(qtbot, labels, review):
    use(review, SPLIT, labels, (5, 25), (35, 25))
    click(review, "next_doubtful")
    click(review, "accept")
    before = rows(labels)
    measure(qtbot, review)
    assert rows(labels)["state"].equals(before["state"])


def test_labels_that_are_edited_while_they_are_measured_are_told(qtbot, labels, review):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.measure()
        labels.paint((50, 100), 9)
    assert "changed while they were measured" in said(review)
    measure(qtbot, review)
    assert said(review).startswith("4 nuclei measured")


def test_what_a_script_writes_while_labels_are_measured_is_told(viewer, labels):
    task = MeasureTask(viewer, labels, None, MeasureChoice())
    measured = run(task.steps())
    labels.data[80:85, 100:110] = 7  # napari has no event of it
    task.on_result(measured)
    assert task.message == LABELS_CHANGED_WHILE_MEASURING
    assert not task.is_measured
    assert len(labels.features) == 3


def test_labels_are_measured_and_compared_side_by_side(qtbot, viewer, labels, review):
    viewer.add_labels(labels.data.copy(), name="truth", scale=labels.scale,
                      translate=labels.translate)  # fmt: skip
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.measure()
        review.compare()
        assert review.state is RunState.RUNNING
    assert review.state is RunState.IDLE
    assert len(viewer.layers["truth"].features) == 3
    assert "3 right" in review.findChild(QLabel, "compare_counts").text()


# the end of it


@pytest.mark.parametrize("close", [True, False])
def test_a_widget_that_goes_leaves_keys_and_mouse_as_they_were(qtbot, viewer, labels, close):
    first, second = ReviewWidget(viewer), ReviewWidget(viewer)
    qtbot.addWidget(first)
    keys = set(labels.keymap)
    click(second, "tool_split")
    assert not labels.mouse_pan
    if close:
        with qtbot.waitSignal(second.destroyed):
            second.deleteLater()
    else:
        click(second, "tool_split")
    assert labels.mouse_pan
    assert set(labels.keymap) == keys
    next(act for key, act in labels.keymap.items() if str(key) == "N")(labels)
    assert labels.selected_label in {1, 2, 3}


# files


def test_everything_is_saved(qtbot, labels, review, tmp_path):
    click(review, "next_doubtful")
    click(review, "accept")
    for name in ("a.csv", "a.geojson", "a.zip", "a.ome.tif"):
        save(qtbot, review, tmp_path / name)
        assert said(review) == f"Saved {name}"
    table = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(table) == 3
    assert {row["state"] for row in table} == {"accepted", ""}
    assert len(json.loads((tmp_path / "a.geojson").read_text())["features"]) == 3


def test_labels_are_saved_with_their_table_if_they_are_named_so(qtbot, labels, review, tmp_path):
    click(review, "next_doubtful")
    click(review, "accept")
    save(qtbot, review, tmp_path / "a_labels.ome.tif")
    assert said(review) == "Saved a_labels.ome.tif and a_nuclei.csv"
    saved = read_result(tmp_path / "a_labels.ome.tif")
    np.testing.assert_array_equal(saved.labels, labels.data)
    assert sorted(saved.table["state"].fillna("")) == ["", "", "accepted"]
    assert {"area", "confidence"} < set(saved.table)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("cells nuclei", "cells_labels.ome.tif"),
        ("a.ome nuclei", "a_labels.ome.tif"),
        ("a/b?", "a_b__labels.ome.tif"),
    ],
)
def test_the_name_of_a_file_that_is_offered(layer, name):
    assert suggest_file_name(layer) == name


def test_labels_by_hand_are_measured_before_they_are_saved(qtbot, viewer, review, tmp_path):
    viewer.add_labels(np.eye(30, dtype=np.int32).repeat(2, 0), name="a/b?")
    save(qtbot, review, tmp_path / "a.csv")
    assert len(list(csv.DictReader((tmp_path / "a.csv").open()))) == 1


@pytest.mark.parametrize(
    ("path", "chosen", "expected"),
    [
        ("a", ".csv", "a.csv"),
        ("a.tif", ".ome.tif", "a.tif"),
        ("a.ome.tiff", ".csv", "a.ome.tiff"),
        ("a.tif", ".csv", "a.tif"),
        ("a.xlsx", ".csv", "a.xlsx"),  # saving says which suffixes there are
        ("dose 0.5", ".csv", "dose 0.5.csv"),
        ("3.control_cells", ".csv", "3.control_cells.csv"),
        ("a.GeoJSON", ".csv", "a.GeoJSON"),
    ],
)
def test_the_extension_of_a_dialog(path, chosen, expected):
    assert add_suffix(path, chosen) == expected


def test_a_save_waits_for_what_is_being_measured(qtbot, labels, review, tmp_path):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        click(review, "measure")
        assert review.state is RunState.RUNNING
        review.save(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").exists()


def test_what_a_script_wrote_is_measured_before_it_is_saved(qtbot, labels, review, tmp_path):
    labels.data[20, 25] = 0
    labels.data[labels.data == 2] = 0
    labels.data[80:85, 100:110] = 7
    save(qtbot, review, tmp_path / "a.csv")
    assert [row["label"] for row in csv.DictReader((tmp_path / "a.csv").open())] == ["1", "3", "7"]
    use(review, SPLIT, labels, (5, 25), (35, 25))
    assert set(np.unique(labels.data)) == {0, 1, 3, 7, 8}


def test_planes_of_a_film_keep_their_own_measurements(qtbot, viewer, review, tmp_path):
    data = np.zeros((2, 40, 40), np.int32)
    data[0, 5:9, 5:9] = data[1, 5:25, 5:25] = 1
    viewer.add_labels(data, name="film", axis_labels=("time", "y", "x"))
    save(qtbot, review, tmp_path / "a.geojson")
    told = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [one["properties"]["measurements"]["area"] for one in told] == [16, 400]
    save(qtbot, review, tmp_path / "a.csv")
    assert [row["t"] for row in csv.DictReader((tmp_path / "a.csv").open())] == ["0", "1"]


def test_axes_in_another_order_are_saved(qtbot, viewer, review, tmp_path):
    data = np.zeros((30, 4, 40), np.int32)
    data[5:9, 2, 5:9] = 1
    viewer.add_labels(data, axis_labels=("y", "z", "x"), name="rolled")
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 2)
    for name in ("a.csv", "a.geojson", "a.ome.tif"):
        save(qtbot, review, tmp_path / name)
        assert said(review) == f"Saved {name}"
    assert next(csv.DictReader((tmp_path / "a.csv").open()))["z"] == "2"


def test_no_nucleus_at_all_gives_empty_files(qtbot, viewer, review, tmp_path):
    layer = viewer.add_labels(np.zeros((40, 40), np.int32), name="none")
    measure(qtbot, review)
    assert len(layer.features) == 0
    for name in ("a.csv", "a.geojson", "a.zip", "a.ome.tif"):
        save(qtbot, review, tmp_path / name)
        assert (tmp_path / name).stat().st_size
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []


@pytest.mark.parametrize("name", ["a", "a.png", "no/such/folder\0.csv"])
def test_a_file_that_cannot_be_saved_is_told(qtbot, labels, review, messages, tmp_path, name):
    save(qtbot, review, f"{tmp_path}/{name}")
    assert messages[-1][0] == "error"
    assert not list(tmp_path.glob("a*"))


def test_labels_of_another_shape_than_the_image_are_told(qtbot, viewer, review, disc_image):
    viewer.add_image(disc_image[:-1], name="cells")
    viewer.add_labels(np.ones(disc_image.shape, np.int32))
    form = review.target_form
    form.set_value(replace(form.value(), image=viewer.layers["cells"]))
    click(review, "measure")
    assert "the image that they belong to" in said(review)


# ten errors, corrected with the tools


def test_ten_planted_errors_are_corrected_with_the_tools(qtbot, viewer, widget, review):
    image, truth = read_sample("fluorescence_small")
    viewer.add_image(image, name="cells")
    click_and_wait_for_prediction(qtbot, widget)
    layer = viewer.add_labels(plant_errors(truth), name="with errors")
    before = compare(truth, layer.data)
    assert before.numbers == {"missed": 2, "false": 2, "split": 3, "merged": 3}
    measure(qtbot, review)
    for nucleus in before.false:
        use(review, DELETE, layer, middle(layer.data == nucleus))
    for parts in before.split.values():
        use(review, MERGE, layer, *(middle(layer.data == part) for part in parts))
    for members in before.merged.values():
        words = use(review, SPLIT, layer, *between(*(truth == one for one in members)))
        assert words.startswith("Split into")
    for nucleus in before.missed:
        use(review, ADD, layer, middle(truth == nucleus))
    assert sum(compare(truth, layer.data).numbers.values()) == 0


def click_and_wait_for_prediction(qtbot, widget):
    widget.model_form.use_file(next(iter(widget.model_form.model.choices)))
    with qtbot.waitSignal(widget.finished, timeout=20_000):
        click(widget, "segment")


def middle(mask):
    rows, columns = np.nonzero(mask)
    best = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return rows[best], columns[best]


def between(one, other):
    """Ends of a line where two nuclei meet, as somebody would draw it who looks at them."""
    a, b = (np.stack(np.nonzero(mask), 1).astype(float) for mask in (one, other))
    gaps = np.linalg.norm(a[:, None] - b[None], axis=2)
    i, j = np.nonzero(gaps < gaps.min() + 3)
    seam = (a[i] + b[j]) / 2
    _, _, directions = np.linalg.svd(seam - seam.mean(axis=0), full_matrices=False)
    reach = np.abs((seam - seam.mean(axis=0)) @ directions[0]).max() + 12
    return seam.mean(axis=0) - reach * directions[0], seam.mean(axis=0) + reach * directions[0]


# any sequence


moves = st.lists(
    st.tuples(
        st.sampled_from(["delete", "merge", "split", "add", "paint", "erase", "undo", "redo"]),
        st.tuples(st.integers(0, 89), st.integers(0, 119)),
        st.tuples(st.integers(0, 89), st.integers(0, 119)),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves=moves)
def test_after_any_sequence_the_table_is_that_of_the_labels(qtbot, viewer, labels, review, moves):
    """Tools, napari's own brush, undo and redo: the table is what measuring anew would give."""
    start, place = labels.data.copy(), {"scale": labels.scale, "translate": labels.translate}
    layer = viewer.add_labels(start.copy(), name="example", **place)
    measure(qtbot, review)
    try:
        play(layer, review, moves)
        for _ in moves:
            layer.undo()
        np.testing.assert_array_equal(layer.data, start)
        check_table(layer)
        assert not layer.features["state"].any()
    finally:
        viewer.layers.remove(layer)


def play(labels, review, moves):
    """Make moves; whatever is undone, or done again, is as it was."""
    tools = {tool.lower(): tool for tool in (DELETE, MERGE, SPLIT, ADD)}
    history, future = [state(labels)], []
    for name, one, other in moves:
        if name == "undo":
            labels.undo()
            if len(history) > 1:
                future.append(history.pop())
            assert same(state(labels), history[-1])
        elif name == "redo":
            labels.redo()
            if future:
                history.append(future.pop())
            assert same(state(labels), history[-1])
        else:
            if name in tools:
                use(review, tools[name], labels, one, other)
            else:
                labels.paint(one, int(labels.data.max()) + 1 if name == "paint" else 0)
            if not np.array_equal(labels.data, history[-1][0]):
                history.append(state(labels))
                future = []
        check_table(labels)


def check_table(layer):
    props = regionprops_table(
        layer.data,
        spacing=(0.5, 0.25),
        properties=["label", "area", "centroid", "axis_major_length"],
    )
    table = layer.features
    np.testing.assert_array_equal(table["index"], props["label"])
    np.testing.assert_allclose(table["area"], props["area"])
    np.testing.assert_allclose(table["centroid_y"], props["centroid-0"] + 3)
    np.testing.assert_allclose(table["major_axis"], props["axis_major_length"], atol=1e-6)


def test_a_table_does_not_keep_its_layer(viewer):
    import gc
    import weakref

    layer = Labels(np.ones((4, 4), np.int32))
    table, ref = FeaturesTable(layer), weakref.ref(layer)
    del layer
    gc.collect()
    assert ref() is None
    assert not table.planes


def test_a_viewer_without_labels_is_no_mistake(qtbot, messages):
    made = ReviewWidget(ViewerModel())
    qtbot.addWidget(made)
    for button in made.findChildren(QPushButton):
        if button.objectName() and not button.text().endswith("…"):  # which opens a dialog
            button.click()
    assert all(severity != "error" for severity, _ in messages)


def test_the_dock_opens_on_the_result_of_the_image_in_segment(qtbot, viewer, widget):
    """Not on what somebody painted, nor on what is hidden."""
    for name in ("one", "two"):
        viewer.add_image(discs((60, 80), [(15, 15), (40, 30)]), name=name)
        click_and_wait(qtbot, widget)
    painted = viewer.add_labels(np.ones((60, 80), int), name="painted")
    one, two = viewer.layers["one nuclei"], viewer.layers["two nuclei"]
    opened = []

    def review_opens():
        made = ReviewWidget(viewer)
        qtbot.addWidget(made)
        opened.append(made)
        return made.target_form.value().labels

    assert viewer.layers.selection.active == painted
    assert review_opens() == two
    one.visible, two.visible = True, False
    viewer.layers.selection.active = two
    assert review_opens() != two
    for layer in (one, two, painted):
        layer.visible = False
    viewer.layers.selection.active = viewer.layers["one"]
    assert review_opens() == one
    assert one.visible
