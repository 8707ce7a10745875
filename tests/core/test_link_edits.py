"""Links that are cut and made by hand: ids of tracks, mothers, and what linking is told."""

import numpy as np
import pandas as pd
import pytest

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.tracking.corrections import LinkCorrections
from napari_nuclei_unet.tracking.label_tracks import read_label_tracks
from napari_nuclei_unet.tracking.link_edits import (
    NewTrackId,
    TrackNode,
    corrections_from_json,
    corrections_to_json,
    cut_link,
    make_link,
)

NONE = LinkCorrections()


def films():
    """A track of 4 frames, one of 2 and one of the 2 after it, a mother with 2 daughters."""
    rows = [
        *((1, t, 10.0, 10.0 + t, 0) for t in range(4)),
        (2, 0, 30.0, 30.0, 0), (2, 1, 30.0, 31.0, 0), (3, 2, 30.0, 33.0, 0), (3, 3, 30.0, 34.0, 0),
        (4, 0, 50.0, 50.0, 0), (4, 1, 50.0, 50.0, 0), (5, 2, 50.0, 45.0, 4), (5, 3, 50.0, 44.0, 4),
        (6, 2, 50.0, 55.0, 4), (6, 3, 50.0, 56.0, 4),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["track", "time", "y", "x", "parent"])


def edit(how, first, second, tracks=None, corrections=NONE):
    tracks = films() if tracks is None else tracks
    return how(tracks, TrackNode(*first), TrackNode(*second), corrections, 100)


def moments(tracks):
    """Return the moments and the mother of each track."""
    return {
        track: (rows["time"].tolist(), rows["parent"].iloc[0])
        for track, rows in tracks.groupby("track")
    }


def test_a_cut_track_goes_on_under_a_new_id():
    for first, second in (((1, 1), (1, 2)), ((1, 2), (1, 1)), ((1, 0), (1, 2))):
        after = edit(cut_link, first, second)
        assert moments(after.tracks)[1] == ([0, 1], 0)
        assert moments(after.tracks)[100] == ([2, 3], 0)
        assert after.new_ids == (NewTrackId(2, 1, 100), NewTrackId(3, 1, 100))
        (link,) = after.corrections.cut
        assert (link.source.time, link.target.time) == (1, 2)
        assert link.target.place == (10, 12)
        assert not after.corrections.made


def test_a_daughter_that_is_cut_leaves_her_sister_as_the_mother():
    after = edit(cut_link, (4, 1), (5, 2))
    assert moments(after.tracks)[5] == ([2, 3], 0)
    assert moments(after.tracks)[4] == ([0, 1, 2, 3], 0)
    assert 6 not in moments(after.tracks)
    assert {one.new for one in after.new_ids} == {4}


def test_nuclei_that_are_made_one_have_one_id():
    after = edit(make_link, (2, 1), (3, 2))
    assert moments(after.tracks)[2] == ([0, 1, 2, 3], 0)
    (link,) = after.corrections.made
    assert (link.source.place, link.target.place) == ((30, 31), (30, 33))
    both_go_on = edit(make_link, (2, 0), (3, 3))  # the one before, and the other after
    assert moments(both_go_on.tracks)[2] == ([0], 0)
    assert sorted(mother for _, mother in moments(both_go_on.tracks).values()).count(2) == 2


def test_a_nucleus_that_goes_on_already_divides():
    after = edit(make_link, (1, 1), (3, 2))
    assert moments(after.tracks)[1] == ([0, 1], 0)
    assert moments(after.tracks)[3] == ([2, 3], 1)
    assert moments(after.tracks)[100] == ([2, 3], 1)
    assert len(after.corrections.made) == 2  # both daughters are kept


def test_the_earlier_link_of_a_target_is_cut():
    after = edit(make_link, (2, 1), (1, 2))
    assert moments(after.tracks)[1] == ([0, 1], 0)
    assert moments(after.tracks)[2] == ([0, 1, 2, 3], 0)
    assert len(after.corrections.cut) == len(after.corrections.made) == 1


def test_what_was_cut_can_be_made_again_and_the_other_way_round():
    cut = edit(cut_link, (1, 1), (1, 2))
    made = edit(make_link, (1, 1), (100, 2), cut.tracks, cut.corrections)
    pd.testing.assert_frame_equal(made.tracks, films())
    assert not made.corrections.cut
    again = edit(cut_link, (1, 1), (1, 2), made.tracks, made.corrections)
    assert not again.corrections.made
    assert len(again.corrections.cut) == 1


def test_a_third_daughter_is_seen_in_the_labels_too():
    """Undo follows the labels, so that some id has to change."""
    after = edit(make_link, (4, 1), (3, 2))
    assert {one.old for one in after.new_ids} == {3}
    assert moments(after.tracks)[100] == ([2, 3], 4)
    back = edit(cut_link, (4, 1), (5, 2), after.tracks)
    assert back.new_ids


@pytest.mark.parametrize(
    ("how", "first", "second", "words"),
    [
        (cut_link, (1, 1), (2, 1), "in the same frame"),
        (cut_link, (1, 1), (3, 2), "are not linked"),
        (cut_link, (5, 2), (6, 3), "are not linked"),
        (make_link, (1, 1), (1, 2), "already linked"),
        (make_link, (1, 1), (77, 2), "has no track"),
    ],
)
def test_links_that_are_none_are_refused(how, first, second, words):
    with pytest.raises(UserError, match=words):
        edit(how, first, second)


def test_corrections_are_kept_as_json():
    after = edit(make_link, (2, 1), (1, 2)).corrections
    assert corrections_from_json(corrections_to_json(after)) == after
    for damaged in (None, [], {"made": 3}, {"made": [[[0, 1.0]]]}, {"cut": [[["a", 1], [2, 3]]]}):
        assert corrections_from_json(damaged) == NONE


def test_tracks_follow_labels_that_were_edited():
    """A nucleus deleted, one added with the id of a track and a new one, a mother painted on."""
    tracks = films()
    labels = np.zeros((5, 60, 60), np.int32)
    for row in tracks.itertuples():
        labels[row.time, int(row.y), int(row.x)] = row.track
    pd.testing.assert_frame_equal(read_label_tracks(labels, tracks), tracks)
    labels[1][labels[1] == 1] = 0
    labels[4, 10, 14], labels[4, 20, 20], labels[3, 50, 50] = 1, 8, 4
    after = read_label_tracks(labels, tracks)
    assert moments(after)[1] == ([0, 2, 3, 4], 0)
    assert moments(after)[8] == ([4], 0)
    assert moments(after)[5] == ([2, 3], 0)  # her mother is there after her
    assert not len(read_label_tracks(labels * 0, tracks))


def test_nuclei_of_volumes_have_a_place_in_depth():
    tracks = films().assign(z=2.5)[["track", "time", "z", "y", "x", "parent"]]
    (link,) = edit(cut_link, (1, 1), (1, 2), tracks).corrections.cut
    assert link.target.place == (2.5, 10, 12)
    labels = np.zeros((2, 4, 9, 9), np.int32)
    labels[:, 1:3, 2:5, 2:5] = 7
    after = read_label_tracks(labels, tracks)
    assert after[["track", "time", "z", "y", "x"]].to_numpy().tolist() == [
        [7, 0, 1.5, 3, 3], [7, 1, 1.5, 3, 3],
    ]  # fmt: skip
