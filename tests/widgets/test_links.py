"""Links of a film that are cut and made by two clicks: labels, tracks and table, and their undo."""

import numpy as np
import pandas as pd
import pytest
from conftest import discs
from napari.layers import Tracks
from qtpy.QtWidgets import QLabel, QPushButton

from napari_nuclei_unet import read_result
from napari_nuclei_unet.widgets.layers.link_corrections import get_link_corrections
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.layers.reader import read_layers
from widgets.conftest import click, click_and_wait

pytest.importorskip("laptrack")

SCALE = (2.0, 0.5, 0.5)


def film(frames=5):
    """Two discs that drift apart a little, of which the lower one jumps too far in frame 3."""
    planes = []
    for t in range(frames):
        jump = 30 if t >= 3 else 0
        planes.append(discs((80, 120), [(20, 20 + 2 * t), (55, 60 + t + jump)], 8))
    return np.stack(planes)


@pytest.fixture
def labels(qtbot, viewer, widget, review):
    """Labels with an id of its own for every nucleus of every frame, and then linked."""
    data = np.zeros((5, 80, 120), np.int32)
    for t, plane in enumerate(film()):
        data[t, :40], data[t, 40:] = (plane[:40] > 0) * (2 * t + 1), (plane[40:] > 0) * (2 * t + 2)
    units = ("minute", "micrometer", "micrometer")
    layer = viewer.add_labels(
        data, name="cells", scale=SCALE, units=units, axis_labels=tuple("tyx")
    )
    viewer.layers.selection.active = layer
    click_and_wait(qtbot, widget, "link_frames")
    return layer


def tracks_of(viewer):
    (layer,) = [layer for layer in viewer.layers if isinstance(layer, Tracks)]
    return layer


def ids(labels, where):
    """Return the ids of one of the two nuclei, frame by frame."""
    part = labels.data[:, :40] if where == "upper" else labels.data[:, 40:]
    return [int(plane.max()) for plane in part]


def click_on(viewer, review, tool, frame, place):
    viewer.dims.set_point(0, frame * SCALE[0])
    review.click_link(tool, np.array([frame, *place]) * SCALE)


def link(viewer, review, tool, first, second):
    click_on(viewer, review, tool, *first)
    click_on(viewer, review, tool, *second)


def status(review):
    return review.findChild(QLabel, "review_status").text()


def test_a_link_is_cut_by_two_clicks_and_undone(viewer, review, labels):
    before = labels.data.copy()
    assert ids(labels, "upper") == [1] * 5
    shown = tracks_of(viewer).data.copy()
    click_on(viewer, review, "Cut link", 1, (20, 22))
    assert viewer.dims.point[0] == 4  # the next frame is on view
    click_on(viewer, review, "Cut link", 2, (20, 24))
    first, *_, new = ids(labels, "upper")
    assert ids(labels, "upper") == [first, first, new, new, new]
    assert new > before.max()
    tracks = tracks_of(viewer)
    assert tracks.data[tracks.data[:, 0] == new][:, 1].tolist() == [2, 3, 4]
    assert len(get_link_corrections(labels).cut) == 1
    labels.undo()
    np.testing.assert_array_equal(labels.data, before)
    np.testing.assert_allclose(tracks.data, shown)
    assert not get_link_corrections(labels).cut
    labels.redo()
    assert ids(labels, "upper") == [first, first, new, new, new]
    assert len(tracks.data[tracks.data[:, 0] == new]) == 3
    assert len(get_link_corrections(labels).cut) == 1


def test_a_link_is_made_by_two_clicks_and_undone(viewer, review, labels):
    a, _, _, b, _ = ids(labels, "lower")
    assert ids(labels, "lower") == [a, a, a, b, b]
    link(viewer, review, "Make link", (2, (55, 62)), (3, (55, 93)))
    assert ids(labels, "lower") == [a] * 5
    assert len(set(tracks_of(viewer).data[:, 0])) == 2
    assert len(get_link_corrections(labels).made) == 1
    labels.undo()
    assert ids(labels, "lower") == [a, a, a, b, b]
    assert len(set(tracks_of(viewer).data[:, 0])) == 3


def test_a_second_target_makes_a_division(viewer, review, labels):
    link(viewer, review, "Make link", (2, (20, 24)), (3, (55, 93)))
    tracks = tracks_of(viewer)
    mother, daughter = ids(labels, "upper")[2:4]
    other = ids(labels, "lower")[3]
    assert tracks.graph == {daughter: [mother], other: [mother]}
    assert set(tracks.features["generation"]) == {0, 1}
    assert tracks.color_by == "lineage"
    is_daughter = tracks.data[:, 0] == other
    np.testing.assert_allclose(tracks.track_colors[is_daughter][0], labels.get_color(mother))
    is_division = tracks.features["is_division"].to_numpy(bool)
    assert tracks.data[is_division, :2].tolist() == [[mother, 2]]
    labels.undo()
    assert tracks.graph == {}
    assert set(tracks.features["generation"]) == {0}


def test_divisions_are_counted_in_the_status(qtbot, viewer, widget, review, labels):
    link(viewer, review, "Make link", (2, (20, 24)), (3, (55, 93)))
    click_and_wait(qtbot, widget, "link_frames")
    assert widget.findChild(QLabel, "status").text() == "4 tracks along t · 1 division"


def test_clicks_that_mean_nothing_are_told(viewer, review, labels):
    before = labels.data.copy()
    click_on(viewer, review, "Cut link", 0, (2, 2))
    assert "no nucleus here" in status(review)
    link(viewer, review, "Cut link", (1, (20, 22)), (2, (55, 62)))
    assert "are not linked" in status(review)
    click_on(viewer, review, "Make link", 0, (20, 20))
    click_on(viewer, review, "Make link", 0, (55, 60))  # another first one
    assert f"Nucleus {ids(labels, 'lower')[0]} of frame 0" in status(review)
    click_on(viewer, review, "Make link", 1, (55, 61))
    assert "already linked" in status(review)
    np.testing.assert_array_equal(labels.data, before)


def test_the_tools_are_there_for_tracks_only(qtbot, viewer, review, labels):
    button = review.findChild(QPushButton, "tool_cut_link")
    assert not button.parent().isHidden()
    click(review, "tool_cut_link")
    assert button.isChecked()
    click(review, "tool_delete")
    assert not button.isChecked()
    click(review, "tool_make_link")
    assert not review.findChild(QPushButton, "tool_delete").isChecked()
    viewer.layers.remove(tracks_of(viewer))
    assert button.parent().isHidden()


def test_corrections_stay_when_frames_are_linked_again(qtbot, viewer, widget, review, labels):
    link(viewer, review, "Cut link", (1, (20, 22)), (2, (20, 24)))
    link(viewer, review, "Make link", (2, (55, 62)), (3, (55, 93)))
    viewer.layers.selection.active = labels
    click_and_wait(qtbot, widget, "link_frames")
    upper, lower = ids(labels, "upper"), ids(labels, "lower")
    assert upper[0] == upper[1] != upper[2] == upper[4]
    assert len(set(lower)) == 1
    labels.undo()  # nothing of before is left to undo
    assert ids(labels, "lower") == lower


def test_links_are_not_corrected_while_frames_are_linked(qtbot, viewer, widget, review, labels):
    viewer.layers.selection.active = labels
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "link_frames")
        link(viewer, review, "Cut link", (1, (20, 22)), (2, (20, 24)))
    assert "busy: linking frames" in status(review)
    assert len(set(ids(labels, "upper"))) == 1


def test_a_nucleus_that_was_added_by_hand_is_linked(viewer, review, labels):
    """It has no track before it is clicked on; one that was deleted has none any more."""
    labels.data_setitem(np.nonzero(labels.data[:2] == ids(labels, "lower")[0]), 0)
    labels.data_setitem((np.full(4, 1), np.full(4, 60), np.arange(60, 64)), 40)
    link(viewer, review, "Make link", (1, (60, 61)), (2, (55, 62)))
    assert ids(labels, "lower")[:3] == [0, 40, 40]
    tracks = tracks_of(viewer)
    assert tracks.data[tracks.data[:, 0] == 40][:, 1].tolist() == [1, 2]


def test_the_table_keeps_what_is_known_of_nuclei_with_another_id(qtbot, viewer, review, labels):
    viewer.add_image(film().astype(np.float32), name="image", scale=SCALE)
    viewer.layers.selection.active = labels
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.measure()
    review.next()
    review.accept()
    before = labels.features.set_index(["t", "centroid_y", "centroid_x"]).sort_index()
    link(viewer, review, "Cut link", (1, (20, 22)), (2, (20, 24)))
    new = ids(labels, "upper")[-1]
    after = labels.features.set_index(["t", "centroid_y", "centroid_x"]).sort_index()
    assert (after["index"] == new).sum() == 3
    same = {"check_exact": False, "check_dtype": False}
    pd.testing.assert_frame_equal(after.drop(columns="index"), before.drop(columns="index"), **same)
    labels.undo()
    again = labels.features.set_index(["t", "centroid_y", "centroid_x"]).sort_index()
    pd.testing.assert_frame_equal(again, before, **same)


def test_films_are_saved_with_lineages_and_go_on(qtbot, viewer, review, labels, tmp_path):
    link(viewer, review, "Make link", (2, (20, 24)), (3, (55, 93)))
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.save(tmp_path / "cells_labels.ome.tif")
    assert "cells_lineage.csv" in status(review)
    lineages = pd.read_csv(tmp_path / "cells_lineage.csv").set_index("track")
    mother, daughter = ids(labels, "upper")[2:4]
    assert lineages.loc[mother, "divides"]
    assert lineages.loc[daughter, ["parent", "generation"]].tolist() == [mother, 1]
    assert lineages.loc[mother, "mean_speed_um_per_min"] == pytest.approx(0.5)
    rows = pd.read_csv(tmp_path / "cells_tracks.csv")
    assert {"track", "time", "y", "x", "parent", "generation", "speed", "is_division"} <= set(rows)
    result = read_result(tmp_path / "cells_labels.ome.tif")
    assert list(result.tracks) == ["track", "parent", "time", "y", "x"]


def test_a_film_that_is_opened_again_goes_on(qtbot, viewer, widget, review, labels, tmp_path):
    link(viewer, review, "Cut link", (1, (20, 22)), (2, (20, 24)))
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.save(tmp_path / "cells_labels.ome.tif")
    viewer.layers.clear()
    for data, attributes, kind in read_layers(str(tmp_path / "cells_labels.ome.tif")):
        getattr(viewer, f"add_{kind}")(data, **attributes)
    again = viewer.layers["cells nuclei"]
    viewer.layers.selection.active = again
    assert tracks_of(viewer).color_by == "lineage"
    before = again.data.copy()
    link(viewer, review, "Make link", (2, (55, 62)), (3, (55, 93)))
    assert len(set(ids(again, "lower"))) == 1
    again.undo()
    np.testing.assert_array_equal(again.data, before)
    click_and_wait(qtbot, widget, "join_slices")
    assert not [layer for layer in viewer.layers if isinstance(layer, Tracks)]


def test_empty_frames_are_no_tracks(qtbot, viewer, widget, review, labels):
    labels.data = np.where(np.arange(5)[:, None, None] % 3 == 1, 0, labels.data)
    click_and_wait(qtbot, widget, "link_frames")
    assert set(tracks_of(viewer).data[:, 1]) == {0, 2, 3}
    labels.data = labels.data * 0
    click_and_wait(qtbot, widget, "link_frames")
    assert widget.findChild(QLabel, "status").text() == "0 tracks along t"
    assert not [layer for layer in viewer.layers if isinstance(layer, Tracks)]
    click_on(viewer, review, "Cut link", 0, (20, 20))
    assert "no tracks" in status(review)


def test_an_axis_without_a_name_that_frames_are_linked_along_is_time(
    qtbot, viewer, widget, review, labels, tmp_path
):
    labels.axis_labels = ("-3", "-2", "-1")
    click_and_wait(qtbot, widget, "link_frames")
    assert labels.axis_labels[0] == "t"
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.save(tmp_path / "cells_labels.ome.tif")
    assert read_result(tmp_path / "cells_labels.ome.tif").axes == "TYX"


def test_volumes_are_linked_whole_and_corrected_in_all_slices(qtbot, viewer, widget, review):
    data = np.zeros((3, 6, 40, 60), np.int32)
    for t in range(3):
        data[t, 1:5, 10:20, 10 + 2 * t : 20 + 2 * t] = 2 * t + 1
        data[t, 2:4, 10:20, 40:50] = 2 * t + 2
    metadata = {METADATA_KEY: {"volume": True}}
    layer = viewer.add_labels(data, axis_labels=tuple("tzyx"), metadata=metadata, name="embryo")
    viewer.layers.selection.active = layer
    click_and_wait(qtbot, widget, "link_frames")
    assert np.unique(layer.data).tolist() == [0, 1, 2]
    tracks = tracks_of(viewer)
    assert tracks.data[0].tolist() == [1, 0, 2.5, 14.5, 14.5]
    for frame in (0, 1):
        viewer.dims.set_point((0, 1), (frame, 2))
        review.click_link("Cut link", np.array([frame, 2, 15, 15 + 2 * frame]))
    assert [int(one[4].max()) for one in layer.data] == [1, 3, 3]
    assert (layer.data[1] == 3).sum() == 4 * 10 * 10
    (link,) = get_link_corrections(layer).cut
    assert link.target.place == (2.5, 14.5, 16.5)
    viewer.layers.selection.active = layer
    click_and_wait(qtbot, widget, "link_frames")
    ids_of_first = [int(one[4].max()) for one in layer.data]
    assert ids_of_first[0] != ids_of_first[1] == ids_of_first[2]
