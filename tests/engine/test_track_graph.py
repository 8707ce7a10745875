"""Tracks as a graph, and back."""

import numpy as np
import pandas as pd
import pytest

from napari_nuclei_unet import UserError
from napari_nuclei_unet.tracking.graph import build_track_graph, number_tracks


@pytest.mark.parametrize(
    ("edges", "words"), [([(0, 2), (1, 2)], "merge"), ([(0, 1), (1, 0)], "in a circle")]
)
def test_graphs_that_are_no_tracks_get_a_sentence(edges, words):
    with pytest.raises(UserError, match=words):
        number_tracks(np.arange(3), np.array(edges), None)


@pytest.mark.parametrize("labels", [None, np.array([7, 7, 7]), np.array([1, 2, 3])])
def test_labels_are_numbers_of_tracks_only_if_each_has_its_own(labels):
    found = number_tracks(np.array([30, 10, 20]), np.array([(10, 30)]), labels)
    assert found.tracks[0] == found.tracks[1] != found.tracks[2]


def test_the_graph_of_any_tracks_gives_them_back():
    random = np.random.default_rng(0)
    for _ in range(20):
        rows, count, alive = [], 0, []
        for t in range(6):
            following = []
            for track, parent in alive:
                split = random.random() < 0.3
                for _ in range(2 if split else random.random() < 0.9):
                    count += split
                    following.append((count, track) if split else (track, parent))
            for _ in range(2):
                count += 1
                following.append((count, 0))
            alive = following
            rows += [(track, t, *random.random(2), parent) for track, parent in alive]
        table = pd.DataFrame(rows, columns=["track", "t", "y", "x", "parent"])
        graph = build_track_graph(table)
        track = graph.nodes["track"].to_numpy()
        again = number_tracks(np.arange(len(table)), graph.edges, track)
        np.testing.assert_array_equal(again.tracks, track)
        np.testing.assert_array_equal(again.parents, graph.nodes["parent"])
