"""Slices joined and frames linked by clicks, on labels that were segmented plane by plane."""

import numpy as np
import pytest
from conftest import discs
from napari.layers import Tracks
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from napari_nuclei_unet import read_result
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from widgets.conftest import choose, click, move, settle

pytest.importorskip("laptrack")


def moving(frames):
    """Two discs, of which one drifts."""
    return np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(frames)])


def followed(qtbot, widget, name):
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, name)


def segment_all(qtbot, widget):
    choose(widget, planes=ALL_PLANES)
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")


def slide(qtbot, widget, value):
    move(widget, "threshold", value)
    settle(qtbot, widget)


def status(widget):
    return widget.findChild(QLabel, "status").text()


def tracks_in(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Tracks)]


@pytest.fixture
def labels(qtbot, viewer, widget):
    viewer.add_image(moving(6), name="cells", scale=(2.0, 0.5, 0.5), axis_labels=tuple("tyx"))
    segment_all(qtbot, widget)
    return viewer.layers["cells nuclei"]


def test_joined_sections_of_a_nucleus_have_one_id(qtbot, widget, labels):
    assert len(np.unique(labels.data)) == 13
    before = labels.data > 0
    followed(qtbot, widget, "join_slices")
    assert np.unique(labels.data).tolist() == [0, 1, 2]
    assert np.array_equal(labels.data > 0, before)
    assert status(widget) == "2 nuclei joined along t"


def test_linked_nuclei_keep_their_id_and_get_tracks_that_lie_on_them(qtbot, viewer, widget, labels):
    for _ in range(2):  # again is no other
        followed(qtbot, widget, "link_frames")
    assert np.unique(labels.data).tolist() == [0, 1, 2]
    (tracks,) = tracks_in(viewer)
    assert status(widget) == "2 tracks along t"
    np.testing.assert_allclose(tracks.scale, labels.scale)
    for track, t, y, x in tracks.data:
        assert labels.data[int(t), round(y), round(x)] == track


def test_tracks_are_saved_with_their_labels(qtbot, viewer, widget, labels, tmp_path):
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    followed(qtbot, widget, "link_frames")
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.save(tmp_path / "a_labels.ome.tif")
    saved = read_result(tmp_path / "a_labels.ome.tif")
    (tracks,) = tracks_in(viewer)
    np.testing.assert_allclose(saved.tracks[["track", "time", "y", "x"]], tracks.data, rtol=1e-8)
    slide(qtbot, widget, 0.8)  # ids are new
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.save(tmp_path / "b_labels.ome.tif")
    assert read_result(tmp_path / "b_labels.ome.tif").tracks is None


def test_joined_planes_can_still_be_tuned_and_joined_again(qtbot, viewer, widget, labels):
    followed(qtbot, widget, "join_slices")
    slide(qtbot, widget, 0.9)
    assert len(np.unique(labels.data)) > 3  # the plane on view has ids of its own again
    followed(qtbot, widget, "join_slices")
    assert np.unique(labels.data).tolist() == [0, 1, 2]


def test_a_single_plane_offers_nothing_to_follow(viewer, widget, three_discs):
    viewer.add_image(three_discs)
    assert widget.findChild(QPushButton, "join_slices").parent().isHidden()


@pytest.mark.parametrize("how", ["slider", "tune_all", "segment", "this one"])
def test_ids_that_hold_no_more_are_told(qtbot, viewer, widget, labels, how):
    followed(qtbot, widget, "link_frames")
    assert labels.metadata[METADATA_KEY]["track"]
    if how == "slider":
        for value in (0.8, 0.9):  # it is still said after the second move
            slide(qtbot, widget, value)
    elif how == "this one":
        choose(widget, planes=how)
        with qtbot.waitSignal(widget.finished, timeout=60_000):
            click(widget, "segment")
    else:
        with qtbot.waitSignal(widget.finished, timeout=60_000):
            click(widget, how)
    one = how in ("slider", "this one")
    told = "nuclei of this plane are not linked any more: click Link over time"
    told = told if one else "nuclei are not linked any more: click Link over time"
    assert status(widget).endswith(told)
    assert not labels.metadata[METADATA_KEY].get("track")
    assert len(tracks_in(viewer)) == (how != "segment")  # after it no nucleus has the old id
    followed(qtbot, widget, "join_slices")
    assert labels.metadata[METADATA_KEY]["join"] == "t"
    assert not tracks_in(viewer)
    slide(qtbot, widget, 0.7)
    assert status(widget).endswith("sections of this plane are separate again: click Join slices")


def test_a_run_over_some_planes_leaves_the_tracks(qtbot, viewer, widget, labels):
    followed(qtbot, widget, "link_frames")
    choose(widget, planes="0-2")
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
    assert status(widget).endswith("nuclei are not linked any more: click Link over time")
    assert tracks_in(viewer)


@pytest.mark.parametrize("names", [("t", "z", "y", "x"), None])
def test_with_two_axes_frames_are_linked_over_time_at_once(qtbot, viewer, widget, names):
    data = np.stack([moving(4), moving(4)], axis=1)
    viewer.add_image(data, name="cells", axis_labels=names)
    choose(widget, channel_axis=None)
    segment_all(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    depth = names[1] if names else "axis 1"
    assert widget.findChild(QComboBox, "follow_axis").currentText() == f"{depth} (2)"
    followed(qtbot, widget, "link_frames")
    assert len(np.unique(labels.data)) == 5  # two nuclei in each of two slices
    (tracks,) = tracks_in(viewer)
    for track, t, z, y, x in tracks.data:
        assert labels.data[int(t), int(z), round(y), round(x)] == track
    followed(qtbot, widget, "join_slices")
    assert status(widget).endswith(f"nuclei joined along {depth}")
    assert (labels.data[:, 0] == labels.data[:, 1]).all()


def test_time_that_is_not_first_cannot_be_linked(qtbot, viewer, widget, messages):
    data = np.stack([moving(3)] * 2)
    viewer.add_image(data, name="cells", axis_labels=("z", "time", "y", "x"))
    segment_all(qtbot, widget)
    click(widget, "link_frames")
    assert widget.state is RunState.IDLE
    assert "the time of these labels is another" in messages[-1][1]


def test_the_image_that_is_chosen_stays_so_while_another_is_active(qtbot, viewer, widget):
    """Channels in two layers, of which the last one opened is active; both docks are open."""
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    dapi = viewer.add_image(moving(1)[0], name="DAPI")
    viewer.add_image(moving(2)[1], name="Ki67")
    widget.source_form.image.value = dapi
    segment_plane(qtbot, widget)
    assert viewer.layers[-1].name == "DAPI nuclei"
    assert widget.source_form.value().image == dapi
    assert review.target_form.value().image == dapi
    slide(qtbot, widget, 0.9)
    segment_plane(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["DAPI", "Ki67", "DAPI nuclei"]


def segment_plane(qtbot, widget):
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "segment")
