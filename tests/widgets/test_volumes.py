"""Nuclei that are objects along z in the docks: corrected, reviewed, measured and compared."""

import numpy as np
import pandas as pd
import pytest
import zarr
from napari.layers import Labels
from qtpy.QtWidgets import QCheckBox, QLabel

from napari_nuclei_unet.export.read import read_result
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.layers.reader import labels_layer_data
from napari_nuclei_unet.widgets.review.measure_form import MeasureChoice
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import choose, click, settle

DELETE, MERGE, SPLIT, ADD = "Delete", "Merge", "Split", "Add"
SHAPE, STEP = (16, 60, 100), (2.0, 0.5, 0.5)
CENTRES = [(7, 20, 20), (8, 20, 50), (6, 42, 40)]
RADII = (5, 9, 9)


def ball(centre, shape=SHAPE):
    grid = np.ogrid[tuple(slice(0, length) for length in shape)]
    parts = zip(grid, centre, RADII, strict=True)
    return sum(((at - c) / r) ** 2 for at, c, r in parts) <= 1


def three_balls():
    labels = np.zeros(SHAPE, np.int32)
    for number, centre in enumerate(CENTRES, 1):
        labels[ball(centre)] = number
    return labels


def add_volume(viewer, data, record=None, **options):
    layer = Labels(
        data,
        name="cells nuclei",
        metadata={METADATA_KEY: {"volume": True} if record is None else record},
        **{"scale": STEP, "units": ("um",) * 3, "axis_labels": ("z", "y", "x")} | options,
    )
    return viewer.add_layer(layer)


@pytest.fixture
def image(viewer):
    pixels = (three_balls() > 0).astype(np.uint8) * 100
    return viewer.add_image(
        pixels, name="cells", scale=STEP, units=("um",) * 3, axis_labels=("z", "y", "x")
    )


@pytest.fixture
def volume(viewer, image, review):
    return add_volume(viewer, three_balls())


def said(review):
    return review.findChild(QLabel, "review_status").text()


def use(review, viewer, tool, layer, *points):
    """Use a tool at voxels of one slice, which is brought on view."""
    viewer.dims.set_point(0, layer.data_to_world(points[0])[0])
    review.apply_tool(tool, np.array([layer.data_to_world(point) for point in points]))
    return said(review)


def measure(qtbot, review):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        click(review, "measure")


def rows(layer):
    return layer.features.set_index("index").sort_index()


@pytest.mark.parametrize("is_measured", [False, True])
def test_tools_act_on_a_nucleus_in_all_its_slices_and_undo_in_one_step(
    qtbot, viewer, review, volume, is_measured
):
    start = volume.data.copy()
    if is_measured:
        measure(qtbot, review)
        assert rows(volume).index.tolist() == [1, 2, 3]
    text = use(review, viewer, DELETE, volume, (5, 20, 20))
    assert text == "Nucleus 1 deleted, slices 2 to 12. Ctrl+Z undoes."
    assert set(np.unique(volume.data)) == {0, 2, 3}
    volume.undo()
    np.testing.assert_array_equal(volume.data, start)
    assert "in all slices" in use(review, viewer, MERGE, volume, (8, 20, 20), (8, 20, 50))
    assert set(np.unique(volume.data)) == {0, 1, 3}
    volume.undo()
    np.testing.assert_array_equal(volume.data, start)
    text = use(review, viewer, SPLIT, volume, (7, 8, 22), (7, 32, 22))
    assert "Split into 1 and 4, in all slices" in text
    assert np.unique(np.nonzero(volume.data == 4)[0]).size >= 9
    if is_measured:
        table = rows(volume)
        assert table.index.tolist() == [1, 2, 3, 4]
        assert table["state"].tolist() == ["edited", "", "", "edited"]
        sizes = [int((volume.data == nucleus).sum()) for nucleus in (1, 2, 3, 4)]
        np.testing.assert_allclose(table["volume"], np.multiply(sizes, np.prod(STEP)))
    volume.undo()
    np.testing.assert_array_equal(volume.data, start)
    if is_measured:
        assert rows(volume)["state"].tolist() == ["", "", ""]


def test_a_view_from_the_side_is_corrected_too(viewer, review, volume):
    volume.data[:, :, 48:53][volume.data[:, :, 48:53] == 2] = 2
    viewer.dims.order = (1, 0, 2)  # slices along y
    viewer.dims.set_point(1, volume.data_to_world((0, 20, 0))[1])
    cut = np.array([volume.data_to_world((8, 20, column)) for column in (36, 64)])
    review.apply_tool(SPLIT, cut)
    assert "Split into 2 and 4" in said(review)
    low, high = (np.nonzero(volume.data == nucleus)[0] for nucleus in (2, 4))
    assert max(low.min(), high.min()) >= min(low.max(), high.max())  # one lies above the other
    volume.undo()
    review.apply_tool(DELETE, cut.mean(axis=0, keepdims=True))
    assert not (volume.data == 2).any()


def test_strokes_on_nothing_change_nothing(viewer, review, volume):
    start = volume.data.copy()
    assert "no nucleus" in use(review, viewer, DELETE, volume, (5, 55, 90))
    assert "no nucleus" in use(review, viewer, DELETE, volume, (5, 99, 300))
    assert "no nucleus" in use(review, viewer, SPLIT, volume, (5, 55, 90), (5, 58, 95))
    assert "one nucleus only" in use(review, viewer, MERGE, volume, (7, 20, 18), (7, 20, 22))
    assert "does not cut" in use(review, viewer, SPLIT, volume, (7, 12, 20), (7, 20, 20))
    volume.editable = False
    assert "locked" in use(review, viewer, DELETE, volume, (5, 20, 20))
    volume.editable = True
    LabelsState.of(volume).busy = "joining slices"
    assert "busy" in use(review, viewer, DELETE, volume, (5, 20, 20))
    LabelsState.of(volume).busy = ""
    np.testing.assert_array_equal(volume.data, start)


def test_an_id_in_two_places_is_one_nucleus_once_it_is_measured(qtbot, viewer, review, volume):
    volume.data[ball((8, 42, 85))] = 1
    measure(qtbot, review)
    assert rows(volume).index.tolist() == [1, 2, 3]
    use(review, viewer, DELETE, volume, (7, 20, 20))
    assert set(np.unique(volume.data)) == {0, 2, 3}


def test_joined_slices_are_corrected_along_z_and_measured_by_section(qtbot, viewer, image, review):
    layer = add_volume(viewer, three_balls(), {"join": "Z"})
    measure(qtbot, review)
    assert "area" in layer.features
    assert len(layer.features) > 20
    use(review, viewer, DELETE, layer, (5, 20, 20))
    assert set(np.unique(layer.data)) == {0, 2, 3}
    assert 1 not in layer.features["index"].tolist()


def test_labels_that_are_no_volume_are_corrected_in_the_slice_on_view(viewer, image, review):
    layer = add_volume(viewer, three_balls(), {})
    use(review, viewer, DELETE, layer, (5, 20, 20))
    assert not (layer.data[5] == 1).any()
    assert (layer.data[6] == 1).any()


def test_labels_of_others_become_volumes_by_a_tick(qtbot, viewer, image, review):
    layer = add_volume(viewer, three_balls(), {})
    box = review.findChild(QCheckBox, "nuclei_along_z")
    assert not box.isHidden()
    assert not box.isChecked()
    box.click()
    assert layer.metadata[METADATA_KEY]["volume"]
    measure(qtbot, review)
    assert rows(layer).index.tolist() == [1, 2, 3]
    box.click()
    measure(qtbot, review)
    assert len(layer.features) > 20
    viewer.add_labels(three_balls()[8])
    assert box.isHidden()


def test_one_time_point_is_corrected_and_measured_alone(qtbot, viewer, review):
    data = np.stack([three_balls(), three_balls()])
    layer = add_volume(
        viewer, data, scale=(1, *STEP), units=("s", "um", "um", "um"), axis_labels=tuple("tzyx")
    )
    measure(qtbot, review)
    table = layer.features
    assert table["t"].tolist() == [0, 0, 0, 1, 1, 1]
    assert "z" not in table
    viewer.dims.set_point(0, 1)
    viewer.dims.set_point(1, layer.data_to_world((1, 7, 20, 20))[1])
    review.apply_tool(DELETE, np.array([layer.data_to_world((1, 7, 20, 20))]))
    assert (data[0] == 1).any()
    assert not (data[1] == 1).any()
    assert layer.features["index"].tolist() == [1, 2, 3, 2, 3]


def test_a_stack_of_one_slice(qtbot, viewer, review):
    layer = add_volume(viewer, three_balls()[7:8])
    measure(qtbot, review)
    assert rows(layer)["sections"].tolist() == [1, 1, 1]
    assert "slice 0." in use(review, viewer, DELETE, layer, (0, 20, 20))
    assert "Split" in use(review, viewer, SPLIT, layer, (0, 20, 38), (0, 20, 62))


def test_labels_in_a_file_are_corrected_where_the_nucleus_is(tmp_path, viewer, review):
    stored = zarr.create_array(
        str(tmp_path / "labels.zarr"), shape=SHAPE, chunks=(1, 60, 100), dtype="int32"
    )
    stored[:] = three_balls()
    layer = add_volume(viewer, stored)
    text = use(review, viewer, DELETE, layer, (5, 20, 20))
    assert "slices 2 to 12" in text, text
    assert set(np.unique(stored[:])) == {0, 2, 3}
    layer.undo()
    assert set(np.unique(stored[:])) == {0, 1, 2, 3}
    assert "all slices" in use(review, viewer, SPLIT, layer, (8, 8, 52), (8, 32, 52))


# the 3-D view


def look_from_above(viewer, review, tool, layer, *points):
    """Use a tool in the 3-D view, with the camera above the first slice."""
    world = np.array([layer.data_to_world((-1, *point)) for point in points])
    review.apply_tool(tool, world, np.array([1.0, 0, 0]))
    return said(review)


def test_nuclei_are_deleted_and_merged_in_the_3d_view(viewer, review, volume):
    volume.data[:, 20:, 50:][volume.data[:, 20:, 50:] == 2] = 4  # two that touch
    viewer.dims.ndisplay = 3
    text = look_from_above(viewer, review, DELETE, volume, (20, 20))
    assert text == "Nucleus 1 deleted, slices 2 to 12. Ctrl+Z undoes."
    assert "Merged into nucleus 2" in look_from_above(
        viewer, review, MERGE, volume, (15, 45), (24, 54)
    )
    assert set(np.unique(volume.data)) == {0, 2, 3}
    assert "do not touch" in look_from_above(viewer, review, MERGE, volume, (20, 50), (42, 40))
    assert "There is no nucleus" in look_from_above(viewer, review, DELETE, volume, (5, 95))
    for tool in (SPLIT, ADD):
        assert "switch off the 3-D view" in look_from_above(viewer, review, tool, volume, (20, 50))
    assert set(np.unique(volume.data)) == {0, 2, 3}


def test_tools_that_do_not_work_in_the_3d_view_are_not_switched_on(viewer, review, volume):
    viewer.dims.ndisplay = 3
    click(review, "tool_split")
    assert "switch off the 3-D view" in said(review)
    click(review, "tool_delete")
    assert said(review) == "Click on a nucleus to delete it."
    assert volume.mouse_pan  # a drag turns the view
    viewer.dims.ndisplay = 2
    assert said(review) == ""


# queue and tables


def test_the_queue_shows_and_deletes_whole_nuclei(qtbot, viewer, review, volume):
    measure(qtbot, review)
    review.next()
    assert "0 of 3 reviewed" in said(review)
    shown = volume.selected_label
    centroid = rows(volume).loc[shown, "centroid_z"]
    assert abs(viewer.dims.point[0] - centroid) <= STEP[0] / 2
    review.accept()
    assert rows(volume).loc[shown, "state"] == "accepted"
    second = volume.selected_label
    assert second != shown
    review.delete()
    assert not (volume.data == second).any()
    assert "1 of 2 reviewed" in said(review)
    volume.undo()
    assert rows(volume).index.tolist() == [1, 2, 3]
    review.back()
    assert volume.selected_label == second  # which the undo has restored
    review.back()
    assert rows(volume).loc[shown, "state"] == ""


def test_the_table_has_a_row_for_each_nucleus_and_goes_to_its_slice(
    qtbot, viewer, review, table, volume
):
    measure(qtbot, review)
    table.refresh()
    assert table.rows["index"].tolist() == [1, 2, 3]
    assert {"volume", "sphericity", "centroid_z", "sections"} <= set(table.rows)
    table.select(3)
    assert viewer.dims.current_step[0] == CENTRES[2][0]
    use(review, viewer, SPLIT, volume, (7, 8, 22), (7, 32, 22))
    table.refresh()
    table.sort_by("volume")
    table.column_form.set_value(
        type(table.column_form.value())(
            column="volume",
            limits=type(table.column_form.value().limits)(low=500.0),
            color_by="",
        )
    )
    table.delete(inside=False)
    assert 4 not in volume.data
    volume.undo()
    assert 4 in volume.data


def test_rows_of_others_lead_to_the_largest_section(viewer, table, volume):
    volume.features = pd.DataFrame({"index": [1, 2, 3], "score": [1.0, 2.0, 3.0]})
    table.refresh()
    table.select(3)
    assert viewer.dims.current_step[0] == CENTRES[2][0]


def test_rings_are_refused_in_one_sentence(qtbot, viewer, review, volume):
    review.measure_form.set_value(MeasureChoice(review.measure_form.value().channels, ring=3.0))
    click(review, "measure")
    assert "set both to 0" in said(review)


# files and comparison


def test_what_is_saved_comes_back_with_its_table_and_step(qtbot, viewer, review, volume, tmp_path):
    path = tmp_path / "cells_labels.ome.tif"
    measure(qtbot, review)
    review.next()
    review.accept()
    before = rows(volume)
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(path)
    result = read_result(path)
    assert result.spacing == STEP
    assert result.table["label"].tolist() == [1, 2, 3]
    assert {"volume_um3", "surface_area_um2"} <= set(result.table)
    viewer.layers.clear()
    data, attributes, _ = labels_layer_data(result)
    opened = viewer.add_layer(Labels(data, **attributes))
    review.next()
    after = rows(opened)
    assert after.index.tolist() == [1, 2, 3]
    names = ["volume", "surface_area", "centroid_z", "centroid_x", "mean_intensity", "z_extent"]
    np.testing.assert_allclose(after[names], before[names], rtol=1e-6)
    assert after["state"].tolist() == before["state"].tolist()
    assert not [name for name in after if name.endswith(("_um", "_um2", "_um3"))]


def test_ome_zarr_keeps_the_step(qtbot, review, volume, tmp_path):
    path = tmp_path / "cells.ome.zarr"
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(path)
    result = read_result(path)
    assert result.spacing == STEP
    assert result.record["volume"]
    np.testing.assert_array_equal(np.asarray(result.labels), volume.data)


def test_volumes_are_compared_as_objects(qtbot, viewer, review, volume):
    changed = volume.data.copy()
    changed[changed == 1] = 2  # merged
    changed[changed == 3] = 0  # missed
    changed[ball((8, 42, 85))] = 9  # false
    result = add_volume(viewer, changed)
    panel = review.compare_panel
    panel.set_value(type(panel.value())(result, volume))
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.compare()
    counts = review.findChild(QLabel, "compare_counts").text()
    assert "3 nuclei in all their slices in the reference, 2 found" in counts
    legend = review.findChild(QLabel, "compare_legend").text()
    assert all(f"1 {kind}" in legend for kind in ("missed", "false", "merged"))
    errors = viewer.layers[f"{result.name} errors"]
    assert errors.data.shape == SHAPE
    assert np.unique(np.nonzero(errors.data == 1)[0]).size == 11  # in all slices


def test_time_points_are_compared_one_by_one(qtbot, viewer, review):
    data = np.stack([three_balls(), three_balls()])
    options = {"scale": (1, *STEP), "units": ("s", "um", "um", "um"), "axis_labels": tuple("tzyx")}
    truth = add_volume(viewer, data, **options)
    result = add_volume(viewer, data.copy(), **options)
    result.data[1][result.data[1] == 1] = 0
    panel = review.compare_panel
    panel.set_value(type(panel.value())(result, truth))
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.compare()
    assert "5 of 6 nuclei of the reference were found correctly" in said(review)


# adding from predictions


@pytest.fixture
def segmented(qtbot, viewer, widget, review, image):
    """A stack whose slices were segmented, which is a volume by its record."""
    choose(widget, planes=ALL_PLANES)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        widget.start()
    settle(qtbot, widget)
    layer = viewer.layers["cells nuclei"]
    record = layer.metadata[METADATA_KEY]
    layer.metadata = {**layer.metadata, METADATA_KEY: record | {"volume": True}}
    layer.data = three_balls()
    return layer


def test_a_nucleus_is_added_from_the_maps_of_all_slices(viewer, review, segmented):
    review.target_form.set_value(
        type(review.target_form.value())(segmented, viewer.layers["cells"])
    )
    use(review, viewer, DELETE, segmented, (8, 20, 50))
    text = use(review, viewer, ADD, segmented, (8, 20, 50))
    assert "Nucleus 4 added, slices" in text, text
    truth, grown = ball(CENTRES[1]), segmented.data == 4
    assert (truth & grown).sum() / (truth | grown).sum() > 0.8
    segmented.undo()
    assert not (segmented.data == 4).any()


def test_a_nucleus_is_added_in_one_slice_where_no_other_was_seen(qtbot, viewer, review, widget,
                                                                 image):  # fmt: skip
    choose(widget, planes="this one")
    viewer.dims.set_point(0, 8 * STEP[0])
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        widget.start()
    settle(qtbot, widget)
    layer = viewer.layers["cells nuclei"]
    record = layer.metadata[METADATA_KEY]
    layer.metadata = {**layer.metadata, METADATA_KEY: record | {"volume": True}}
    use(review, viewer, DELETE, layer, (8, 20, 50))
    text = use(review, viewer, ADD, layer, (8, 20, 50))
    assert "in this slice only" in text, text
    assert Session.of(viewer).predictions.find_latest(image, (8, slice(None), slice(None)))
