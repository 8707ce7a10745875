"""Nuclei that are found in most frames of a film: linking in the window looks for them again."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from napari.layers import Tracks

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.widgets.layers.labels_record import get_record_entries
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.layers.plane_features import ACCEPTED
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import choose, click, click_and_wait, settle, status

pytest.importorskip("laptrack")

DIM, AT = 2, (40, 30)


def dimmed(film):
    """Dim the middle nucleus in one frame: a threshold of 0.5 does not find it, one of 0.1 does."""
    part = film[DIM, 25:55, 20:40]
    part[:] = part * 0.4
    return film


@pytest.fixture
def film():
    return dimmed(np.stack([discs((60, 80), [(15, 15), AT, (30, 60)]) for _ in range(4)]))


@pytest.fixture
def labels(qtbot, viewer, widget, film):
    viewer.add_image(film, name="cells", axis_labels=tuple("tyx"))
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    settle(qtbot, widget)
    layer = viewer.layers["cells nuclei"]
    assert len(np.unique(layer.data[DIM])) == 3
    return layer


def link(qtbot, widget):
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, "link_frames")


def tracks_of(viewer):
    (layer,) = [layer for layer in viewer.layers if isinstance(layer, Tracks)]
    return layer


def erase(layer, mask):
    layer.data_setitem(np.nonzero(mask), 0)


def test_the_window_finds_what_the_command_line_finds(
    qtbot, viewer, widget, labels, film, bright_file, tmp_path
):
    link(qtbot, widget)
    tifffile.imwrite(tmp_path / "a.tif", film, metadata={"axes": "TYX"})
    flags = ["--track", "--model", str(bright_file), "--out", str(tmp_path)]
    assert main(["segment", str(tmp_path / "a.tif"), *flags]) == 0
    np.testing.assert_array_equal(labels.data, tifffile.imread(tmp_path / "a_labels.ome.tif"))
    tracks = pd.read_csv(tmp_path / "a_tracks.csv")
    np.testing.assert_allclose(tracks_of(viewer).data, tracks[["track", "time", "y", "x"]])
    assert get_record_entries(labels)["recovered"] == 1
    assert "1 missed nucleus found again" in status(widget)
    qtbot.waitUntil(lambda: len(labels.features) == 12)
    table = labels.features.query("t == @DIM")
    assert sorted(table["index"]) == [1, 2, 3]
    assert table[["area", "confidence", "mean_intensity"]].notna().all(axis=None)
    link(qtbot, widget)  # again is no other
    np.testing.assert_array_equal(labels.data, tifffile.imread(tmp_path / "a_labels.ome.tif"))
    assert get_record_entries(labels)["recovered"] == 1


def test_what_was_deleted_does_not_come_back(qtbot, viewer, widget, labels):
    erase(labels, labels.data == labels.data[1][AT])
    link(qtbot, widget)
    # that of frame 2 was not found before, and frame 3 needs it
    assert [bool(plane[AT]) for plane in labels.data] == [True, False, True, True]


def test_a_frame_that_was_corrected_is_searched_where_nothing_was_changed(
    qtbot, viewer, widget, labels
):
    own = labels.data[DIM, 30, 60]
    other = labels.data[DIM, 15, 15]
    labels.data_setitem(np.nonzero(labels.data == own), 99)
    erase(labels, (labels.data == other) & (np.arange(80) < 14))
    cut = labels.data[DIM] == other
    link(qtbot, widget)
    assert len({int(plane[AT]) for plane in labels.data}) == 1
    np.testing.assert_array_equal(labels.data[DIM] == labels.data[DIM, 15, 15], cut)
    assert get_record_entries(labels)["recovered"] == 1
    erase(labels, (labels.data == labels.data[DIM][AT]) & (np.arange(4) == DIM)[:, None, None])
    labels.undo()
    assert labels.data[DIM][AT]
    labels.redo()
    link(qtbot, widget)
    assert not labels.data[DIM][AT]
    assert get_record_entries(labels)["recovered"] == 0


def test_without_predictions_frames_are_linked_as_they_are(qtbot, viewer, widget, labels):
    Session.of(viewer).predictions.clear()
    link(qtbot, widget)
    assert not labels.data[DIM][AT]
    assert "recovered" not in get_record_entries(labels)


def test_nuclei_that_merged_are_split_unless_they_were_accepted(qtbot, viewer, widget):
    apart = [(30, 25), (30, 39)]
    film = np.stack([discs((60, 80), apart, 6) for _ in range(5)])
    film[2, 26:35, 31:34] = 120  # a bridge
    viewer.add_image(film, name="cells", axis_labels=tuple("tyx"))
    choose(widget, planes=ALL_PLANES)
    widget.params_form.set_value(type(widget.params_form.value())(separation=0.01))
    click_and_wait(qtbot, widget)
    settle(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    assert len(np.unique(labels.data[2])) == 2
    table = LabelsState.of(labels).features
    plane = table.planes[2, None, None]
    before = labels.data.copy()
    table.set_state(plane, int(before[2, 30, 25]), ACCEPTED)
    link(qtbot, widget)
    assert len(np.unique(labels.data[2])) == 2
    table.set_state(plane, int(labels.data[2, 30, 25]), "")
    link(qtbot, widget)
    assert [len(np.unique(frame)) for frame in labels.data] == [3] * 5
    assert len(np.unique(labels.data)) == 3
    qtbot.waitUntil(lambda: sorted(labels.features.query("t == 2")["index"]) == [1, 2])
