"""Slices joined and frames linked by clicks, on labels that were segmented plane by plane."""

import numpy as np
import pytest
from conftest import discs
from napari.layers import Tracks
from qtpy.QtWidgets import QPushButton

from napari_nuclei_unet.widgets._planes import ALL
from widgets.conftest import click

pytest.importorskip("laptrack")


def moving(frames):
    """Two discs, of which one drifts."""
    return np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(frames)])


def followed(qtbot, widget, name):
    with qtbot.waitSignal(widget._across.job.finished, timeout=60_000):
        click(widget, name)


def segment_all(qtbot, widget):
    widget._where.planes.kind.value = ALL
    with qtbot.waitSignal(widget._runner.job.finished, timeout=60_000):
        click(widget, "segment")


@pytest.fixture
def labels(qtbot, viewer, widget):
    viewer.add_image(moving(6), name="cells", scale=(2.0, 0.5, 0.5))
    segment_all(qtbot, widget)
    return viewer.layers["cells nuclei"]


def test_joined_sections_of_a_nucleus_have_one_id(qtbot, widget, labels):
    assert len(np.unique(labels.data)) == 13
    before = labels.data > 0
    followed(qtbot, widget, "join_slices")
    assert np.unique(labels.data).tolist() == [0, 1, 2]
    assert np.array_equal(labels.data > 0, before)


def test_linked_nuclei_keep_their_id_and_get_tracks_that_lie_on_them(qtbot, viewer, widget, labels):
    for _ in range(2):  # again is no other
        followed(qtbot, widget, "link_frames")
    assert np.unique(labels.data).tolist() == [0, 1, 2]
    (tracks,) = [layer for layer in viewer.layers if isinstance(layer, Tracks)]
    np.testing.assert_allclose(tracks.scale, labels.scale)
    for track, t, y, x in tracks.data:
        assert labels.data[int(t), round(y), round(x)] == track


def test_joined_planes_can_still_be_tuned_and_joined_again(qtbot, viewer, widget, labels):
    followed(qtbot, widget, "join_slices")
    widget._form._controls["threshold"].value = 0.9
    qtbot.waitUntil(lambda: not widget._live.busy, timeout=20_000)
    assert len(np.unique(labels.data)) > 3  # the plane on view has ids of its own again
    followed(qtbot, widget, "join_slices")
    assert np.unique(labels.data).tolist() == [0, 1, 2]


def test_a_single_plane_offers_nothing_to_follow(viewer, widget, three_discs):
    viewer.add_image(three_discs)
    assert widget.findChild(QPushButton, "join_slices").parent().isHidden()
