"""Films with missed, merged and corrected nuclei, volumes over time, and stages that jump."""

import numpy as np
import pytest
from skimage.draw import disk, ellipsoid

from napari_nuclei_unet import UserError
from napari_nuclei_unet.labels.centroids import locate_nuclei
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.candidates import find_candidates
from napari_nuclei_unet.segmentation.segment import predict_plane_steps, retune
from napari_nuclei_unet.tracking.corrections import Link, LinkCorrections, TrackPoint
from napari_nuclei_unet.tracking.laptrack import track_nuclei
from napari_nuclei_unet.tracking.linking import TrackOptions, check_linking, track_steps

pytest.importorskip("laptrack")

SHAPE = (80, 120)


def frame(*discs, shape=SHAPE):
    """Discs (y, x, radius, label)."""
    made = np.zeros(shape, np.int32)
    for y, x, radius, number in discs:
        made[disk((y, x), radius, shape=shape)] = number
    return made


def link(t, place, u, other):
    return Link(TrackPoint(t, place), TrackPoint(u, other))


def ids_at(tracks, frames, places, candidates=None):
    others = candidates or [None] * len(frames)
    planes = [tracks.relabel(t, *pair) for t, pair in enumerate(zip(frames, others, strict=True))]
    return [int(planes[t][tuple(at)]) for t, *at in places]


def test_a_missed_nucleus_is_taken_from_the_candidates_and_others_are_not():
    there, other = (30, 40, 6, 3), (60, 80, 6, 1)
    frames = [frame(other, *([there] if t != 2 else [])) for t in range(5)]
    nothing = frame()
    candidates = [nothing, nothing, frame((30, 41, 6, 1), (10, 100, 6, 2)), nothing, nothing]
    tracks = track_nuclei(frames, candidates=candidates)
    at = [(t, 30, 40) for t in range(5)]
    assert len(set(ids_at(tracks, frames, at, candidates))) == 1
    assert ids_at(tracks, frames, [(2, 10, 100)], candidates) == [0]
    assert len(tracks.data) == 10
    assert [int(np.count_nonzero(table)) for table in tracks.added] == [0, 0, 1, 0, 0]


def test_a_nucleus_that_fades_is_followed_frame_by_frame():
    frames = [frame((60, 80, 6, 1), *([(30, 40, 6, 2)] if t < 2 else [])) for t in range(5)]
    candidates = [frame(*([(30, 40, 6, 1)] if t > 1 else [])) for t in range(5)]
    tracks = track_nuclei(frames, candidates=candidates)
    assert np.unique(tracks.data[:, 0], return_counts=True)[1].tolist() == [5, 5]


def test_merged_nuclei_are_split_where_two_tracks_meet_and_not_elsewhere():
    two = frame((30, 40, 6, 1), (30, 51, 6, 2))
    one = np.where(two > 0, 1, 0).astype(np.int32)
    far = frame((60, 80, 9, 9))  # has pieces, too, but is one nucleus in all frames
    halves = frame((60, 80, 9, 9))
    halves[:, 80:][halves[:, 80:] > 0] = 8
    frames = [part + far for part in (two, two, one, two, two)]
    candidates = [halves.copy() for _ in frames]
    candidates[2] += two
    tracks = track_nuclei(frames, candidates=candidates)
    left, right = (ids_at(tracks, frames, [(t, 30, x) for t in range(5)], candidates)
                   for x in (40, 51))  # fmt: skip
    assert len(set(left)) == len(set(right)) == 1
    assert left[0] != right[0]
    assert tracks.graph == {}
    assert len(set(ids_at(tracks, frames, [(2, 60, 75), (3, 60, 85)], candidates))) == 1
    with pytest.raises(ValueError, match="not tracked"):
        tracks.relabel(2, frames[2])  # without its candidates a nucleus is missing


def test_two_that_merge_and_part_are_no_division():
    two = [(30, 36, 6, 1), (30, 48, 6, 2)]
    frames = [frame(two[0]), frame(two[0]), frame((30, 41, 11, 1)), frame(*two), frame(*two)]
    assert track_nuclei(frames).graph == {}


def test_a_nucleus_that_passes_for_one_frame_is_no_daughter():
    frames = [frame((30, 40, 8, 1)) for _ in range(3)]
    frames += [frame((30, 34, 5, 1), (30, 46, 5, 2)), *[frame((30, 34, 5, 1))] * 3]
    assert track_nuclei(frames).graph == {}


def test_a_stage_that_jumps_breaks_no_track():
    rng = np.random.default_rng(1)
    grid = [(y, x) for y in range(20, 180, 25) for x in range(20, 180, 25)]
    places = np.array(grid) + rng.uniform(-8, 8, (len(grid), 2))
    frames = []
    for t in range(4):
        jump = np.array([31, -17]) * (t >= 2)
        discs = [(*(place + jump), 6, k) for k, place in enumerate(places, 1)]
        frames.append(frame(*discs, shape=(240, 240)))
    tracks = track_nuclei(frames)
    steps = [
        (int(tracks.ids[1][k]), int(tracks.ids[2][k]))
        for k in range(1, len(places) + 1)
        if (frames[2] == k).any()
    ]
    assert sum(a == b for a, b in steps) >= 0.95 * len(steps)


CROSS = [frame((30, 40, 6, 1), (30, 54, 6, 2)), frame((30, 44, 6, 1), (30, 58, 6, 2))]


def test_a_made_link_is_kept_and_the_others_follow():
    tracks = track_nuclei(
        CROSS, corrections=LinkCorrections(made=(link(0, (30, 54), 1, (30, 44)),))
    )
    first, second = ids_at(tracks, CROSS, [(0, 30, 54), (1, 30, 44)])
    assert first == second
    assert len(tracks.data) == 4


def test_a_cut_link_begins_a_new_track_and_stays_cut():
    frames = [frame((30, 40, 6, 1)) for _ in range(5)]
    cut = LinkCorrections(cut=(link(1, (30, 40), 2, (31, 41)),))
    tracks = track_nuclei(frames, corrections=cut)
    assert tracks.data[:, 0].tolist() == [1, 1, 2, 2, 2]
    assert tracks.graph == {}


def test_divisions_are_made_and_cut():
    frames = [frame((30, 40, 8, 1), (60, 85, 6, 2)) for _ in range(3)]
    frames += [
        frame((30, 34 - 2 * t, 5, 1), (30, 46 + 2 * t, 5, 2), (60, 85, 6, 3)) for t in range(3)
    ]
    cut = LinkCorrections(cut=(link(2, (30, 40), 3, (30, 46)),))
    assert track_nuclei(frames, corrections=cut).graph == {}
    alike = [frame((30, 40, 6, 1)), *[frame((30, 38, 6, 1), (30, 52, 6, 2))] * 2]
    assert track_nuclei(alike).graph == {}
    made = (link(0, (30, 40), 1, (30, 38)), link(0, (30, 40), 1, (30, 52)))
    assert track_nuclei(alike, corrections=LinkCorrections(made=made)).graph == {2: [1], 3: [1]}


def test_a_made_link_spans_a_gap_of_many_frames():
    frames = [frame(*([(30, 40, 6, 1)] if t in (0, 5) else [])) for t in range(6)]
    made = LinkCorrections(made=(link(0, (30, 40), 5, (30, 40)),))
    assert track_nuclei(frames, corrections=made).data[:, 0].tolist() == [1, 1]


def test_a_corrected_candidate_is_kept():
    frames = [frame((30, 40, 6, 1)), frame()]
    candidates = [frame(), frame((30, 60, 6, 1))]
    made = LinkCorrections(made=(link(0, (30, 40), 1, (30, 60)),))
    tracks = track_nuclei(frames, 9.0, made, candidates=candidates)
    assert tracks.data[:, 0].tolist() == [1, 1]
    assert tracks.added[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    "wrong",
    [link(0, (30, 40), 1, (75, 5)), link(0, (30, 40), 9, (30, 40)), link(1, (30, 44), 0, (30, 40)),
     link(0, (1, 30, 40), 1, (1, 30, 44))],
)  # fmt: skip
def test_corrections_without_a_nucleus_are_reported(wrong):
    with pytest.warns(UserWarning, match="1 of the corrected links were left out"):
        tracks = track_nuclei(CROSS, corrections=LinkCorrections(made=(wrong,)))
    assert len(set(tracks.data[:, 0])) == 2


def balls(*places, shape=(12, 60, 60)):
    """Volumes with balls of radius 8 px at (z, y, x), whose z step is four pixels."""
    made = np.zeros(shape, np.int32)
    ball = ellipsoid(8, 8, 8, spacing=(4, 1, 1))
    for number, place in enumerate(places, 1):
        low = [at - size // 2 for at, size in zip(place, ball.shape, strict=True)]
        box = tuple(slice(a, a + size) for a, size in zip(low, ball.shape, strict=True))
        made[box][ball] = number
    return made


def test_volumes_are_linked_in_space():
    # along z both are near each other, in pixels, but not in space
    frames = [balls((3, 30, 30), (8, 30, 30)), balls((8, 30, 32), (3, 30, 32))]
    tracks = track_nuclei(frames, spacing=(2.0, 0.5, 0.5))
    assert tracks.data.shape == (4, 5)
    assert ids_at(tracks, frames, [(0, 3, 30, 30), (1, 3, 30, 32), (1, 8, 30, 32)]) == [1, 1, 2]
    assert tracks.relabel(0, frames[0]).shape == frames[0].shape
    moved = [balls((3, 30, 30)), balls((7, 30, 30))]  # four slices are a diameter
    assert len(set(track_nuclei(moved, spacing=(4, 1, 1)).data[:, 0])) == 2
    assert len(set(track_nuclei(moved).data[:, 0])) == 1
    assert locate_nuclei(balls((3, 30, 30))).centres.tolist() == [[3, 30, 30]]
    with pytest.raises(UserError, match="needs 3 numbers"):
        track_nuclei(moved, spacing=(1, 1))
    with pytest.raises(UserError, match="above 0"):
        track_nuclei(moved, spacing=(0, 1, 1))


def test_the_table_of_volumes_has_z_and_its_corrections():
    frames = [balls((3, 30, 30 + t)) for t in range(3)]
    cut = LinkCorrections(cut=(link(0, (3, 30, 30), 1, (3, 30, 31)),))
    options = TrackOptions(spacing=(4, 1, 1), corrections=cut)
    columns = [{"t": t + 5} for t in range(3)]
    linked = run(track_steps(frames.__getitem__, columns, (3,), 0, options))
    assert list(linked.tracks) == ["track", "time", "z", "y", "x", "parent"]
    assert linked.tracks["time"].tolist() == [5, 6, 7]
    assert linked.tracks["track"].tolist() == [1, 2, 2]
    assert linked.added is None
    assert linked.recovered is None
    check_linking("TZ", None, True, volume=True)
    with pytest.raises(UserError, match="or track volumes"):
        check_linking("TZ", None, True)


def test_corrections_of_several_films_are_not_guessed():
    options = TrackOptions(corrections=LinkCorrections(cut=(link(0, (30, 40), 1, (30, 44)),)))
    columns = [{"v": v, "t": t} for v in range(2) for t in range(2)]
    steps = track_steps(lambda number: CROSS[number % 2], columns, (2, 2), 1, options)
    with pytest.warns(UserWarning, match="several films"):
        linked = run(steps)
    assert linked.count == 4
    assert list(linked.tracks) == ["track", "v", "time", "y", "x", "parent"]


def test_candidates_are_dim_nuclei_and_pieces(bright):
    """The network of the fixture sees brightness."""
    image = np.zeros((80, 120), np.float32)
    image[disk((20, 20), 8)] = 1.0
    image[disk((20, 60), 8)] = 0.45
    params = SegmentParams(threshold=0.6, diameter=16, confidence=0.5)
    prediction = run(predict_plane_steps(image, bright, params))
    result = retune(prediction, params)
    assert result.count == 1
    candidates = find_candidates(prediction, result, params)
    assert candidates.dtype == np.int32
    assert candidates[20, 20] == 0
    assert candidates[20, 60] > 0
