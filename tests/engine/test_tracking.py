"""Discs that walk, vanish and divide in a known way must be the same tracks again."""

import sys

import numpy as np
import pytest
from skimage.draw import disk

from napari_nuclei_unet import UserError
from napari_nuclei_unet.tracking.laptrack import track_nuclei

pytest.importorskip("laptrack")

SHAPE = (80, 100)


def frame(*discs, shape=SHAPE):
    """Discs (y, x, radius, label)."""
    made = np.zeros(shape, np.int32)
    for y, x, radius, number in discs:
        made[disk((y, x), radius, shape=shape)] = number
    return made


def tracks_at(tracks, frames, places):
    """Ids of the relabelled frames at (frame, y, x)."""
    planes = [tracks.relabel(t, labels) for t, labels in enumerate(frames)]
    return [int(planes[t][y, x]) for t, y, x in places]


def test_discs_that_move_keep_their_track_whatever_their_labels():
    frames = [
        frame((20 + 2 * t, 20, 6, 1 + t % 2), (50, 70 - 3 * t, 6, 2 - t % 2)) for t in range(5)
    ]
    tracks = track_nuclei(iter(frames))
    assert tracks.graph == {}
    np.testing.assert_allclose(
        tracks.data,
        [(1, t, 20 + 2 * t, 20) for t in range(5)] + [(2, t, 50, 70 - 3 * t) for t in range(5)],
    )
    assert tracks_at(tracks, frames, [(t, 20 + 2 * t, 20) for t in range(5)]) == [1] * 5
    for t, labels in enumerate(frames):
        made = tracks.relabel(t, labels)
        assert made.dtype == np.int32
        np.testing.assert_array_equal(made > 0, labels > 0)


def test_one_missing_frame_is_bridged_and_two_are_not():
    there = (30, 40, 6, 3)
    other = (60, 80, 6, 1)
    frames = [frame(other, *([there] if t not in (2, 4, 5) else [])) for t in range(7)]
    tracks = track_nuclei(frames)
    seen = [(t, 30, 40) for t in (0, 1, 3, 6)]
    first, *rest = tracks_at(tracks, frames, seen)
    assert rest == [first, first, 3]
    assert tracks.graph == {}
    assert len(tracks.data) == 7 + 4


def test_daughters_have_new_ids_and_know_their_mother():
    frames = [frame((30, 40, 8, 1), (60, 85, 6, 2)) for _ in range(3)]
    frames += [
        frame((30, 34 - 2 * t, 5, 1), (30, 46 + 2 * t, 5, 2), (60, 85, 6, 3)) for t in range(3)
    ]
    tracks = track_nuclei(frames)
    assert tracks.graph == {3: [1], 4: [1]}
    assert tracks_at(tracks, frames, [(2, 30, 40), (3, 30, 34), (5, 30, 50)]) == [1, 3, 4]
    assert tracks_at(tracks, frames, [(t, 60, 85) for t in range(6)]) == [2] * 6
    lengths = np.unique(tracks.data[:, 0], return_counts=True)[1].tolist()
    assert lengths == [3, 6, 3, 3]


def test_a_neighbour_that_comes_into_view_is_no_daughter():
    frames = [frame((30, 40, 7, 1)), *[frame((30, 39, 7, 1), (30, 53, 7, 2)) for _ in range(3)]]
    tracks = track_nuclei(frames, distance=20)
    assert tracks.graph == {}
    assert tracks_at(tracks, frames, [(0, 30, 40), (3, 30, 39), (3, 30, 53)]) == [1, 1, 2]


def test_the_distance_bounds_what_is_linked():
    frames = [frame((30, 30, 5, 1)), frame((30, 38, 5, 1))]
    assert track_nuclei(frames).data[:, 0].tolist() == [1, 1]  # 8 pixels are less than a diameter
    assert track_nuclei(frames, distance=7).data[:, 0].tolist() == [1, 2]
    assert track_nuclei(frames, distance=9).data[:, 0].tolist() == [1, 1]
    with pytest.raises(UserError, match="above 0"):
        track_nuclei(frames, distance=0)


def walks(rng, n_frames, cells):
    """Frames, the true cell of each label of each frame, and {daughter: mother}."""
    shape = (400, 400)
    places = {k: np.array(divmod(k, cells)) * (400 / cells) + 20.0 for k in range(cells**2)}
    sizes, mothers, frames, truth = dict.fromkeys(places, 7.0), {}, [], []
    for t in range(n_frames):
        if t % 4 == 2:
            old = int(rng.choice([k for k in places if sizes[k] == 7 and places[k][1] < 350]))
            for side in (-1, 1):
                new = max(sizes) + 1
                places[new], sizes[new] = places[old] + (0, 6.5 * side), 4.9
                mothers[new] = old
            del places[old]
        hidden = set(rng.choice(list(places), 3, replace=False).tolist()) if t % 3 == 1 else set()
        hidden -= {k for k in mothers if sizes[k] == 4.9}
        names = rng.permutation([k for k in places if k not in hidden]).tolist()
        discs = [(*places[k], sizes[k], number) for number, k in enumerate(names, 1)]
        frames.append(frame(*discs, shape=shape))
        truth.append([0, *names])
        for k in places:
            places[k] = np.clip(places[k] + rng.normal(0, 1.2, 2), 8, 392)
    return frames, truth, mothers


def links_of(rows, mothers):
    """Pairs of neighbouring sights ((frame, cell), (frame, cell)), mothers' included."""
    last, links = {}, set()
    for t, key, name in rows:
        before = last.get(name, last.get(mothers.get(name)))
        if before is not None:
            links.add((before, (t, key)))
        last[name] = (t, key)
    return links


def test_links_of_a_crowd_are_found():
    frames, truth, mothers = walks(np.random.default_rng(1), 24, 12)
    tracks = track_nuclei(frames)
    labelled = [(t, k) for t, names in enumerate(truth) for k in range(1, len(names))]
    wanted = links_of([(t, k, truth[t][k]) for t, k in labelled], mothers)
    found = links_of(
        [(t, k, int(tracks.ids[t][k])) for t, k in labelled],
        {daughter: mother for daughter, (mother,) in tracks.graph.items()},
    )
    assert 2 * len(wanted & found) / (len(wanted) + len(found)) >= 0.98
    assert len(mothers) == 12
    assert len(tracks.graph) == 12


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_nuclei_at_all(n):
    frames = [np.zeros(SHAPE, np.int32)] * n
    tracks = track_nuclei(frames)
    assert tracks.data.shape == (0, 4)
    assert tracks.graph == {}
    assert len(tracks.ids) == n
    assert not any(tracks.relabel(t, labels).any() for t, labels in enumerate(frames))


def test_one_frame_and_frames_without_nuclei():
    full = frame((20, 20, 5, 4), (50, 50, 5, 9))
    alone = track_nuclei([full])
    np.testing.assert_allclose(alone.data, [(1, 0, 20, 20), (2, 0, 50, 50)])
    assert alone.ids[0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 2]
    empty = np.zeros(SHAPE, np.int32)
    assert track_nuclei([empty, full, empty, full, empty]).data[:, 0].tolist() == [1, 1, 2, 2]


def test_labels_that_were_not_tracked_are_told():
    tracks = track_nuclei([frame((20, 20, 5, 2))])
    for other in (1, 3):
        with pytest.raises(ValueError, match="not tracked"):
            tracks.relabel(0, frame((20, 20, 5, other)))


def test_without_laptrack_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "laptrack", None)
    with pytest.raises(UserError, match=r"pip install 'napari-nuclei-unet\[track\]'"):
        track_nuclei([])
