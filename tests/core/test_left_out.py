"""What a separation leaves out, and why."""

import numpy as np
import pytest

from napari_nuclei_unet.provenance.left_out_counts import LeftOutCounts
from napari_nuclei_unet.segmentation.left_out import (
    KeepRule,
    LeftOutNuclei,
    compute_fragment_area,
    keep_nuclei_of,
)

LABELS = np.array([[1, 1, 0, 2, 0, 3, 3, 3, 5, 5]], np.int32)
SURE = np.array([[0.9, 0.9, 0, 0.9, 0, 0.9, 0.8, 1, 0.7, 0.8]])


def test_small_and_doubtful_nuclei_go_and_the_rest_is_renumbered():
    made = keep_nuclei_of(LABELS, SURE, KeepRule(2, 0.8))
    np.testing.assert_array_equal(made.labels, [[1, 1, 0, 0, 0, 2, 2, 2, 0, 0]])
    np.testing.assert_array_equal(made.left_out.to_labels(), [[0, 0, 0, 1, 0, 0, 0, 0, 2, 2]])
    assert made.left_out.counts == LeftOutCounts(uncertain=1, small=1)
    everything = keep_nuclei_of(LABELS, SURE, KeepRule(1, 0.0))
    np.testing.assert_array_equal(everything.labels > 0, LABELS > 0)
    assert everything.left_out.counts.total == 0


def test_fragments_go_unless_the_edge_of_the_plane_has_cut_them():
    labels = np.zeros((20, 20), np.int32)
    labels[3:13, 3:13], labels[16, 5:8], labels[19, 15:18] = 1, 2, 3
    made = keep_nuclei_of(labels, labels > 0, KeepRule(1, 0.5, fragment_area=10))
    np.testing.assert_array_equal(made.labels, np.select([labels == 1, labels == 3], [1, 2]))
    assert made.left_out.counts == LeftOutCounts(fragments=1)


def test_a_fragment_is_a_tenth_of_a_typical_nucleus():
    assert compute_fragment_area(20.0) == 31
    assert compute_fragment_area(20.04) == 31  # as a record says it
    assert compute_fragment_area(None) == 0


def test_what_is_left_out_of_a_part_has_its_place_in_the_plane():
    labels = np.array([[-1, -1, 5], [0, 0, -2]], np.int32)
    found = LeftOutNuclei.take_from(labels, np.array([0, 1, 2], np.uint8))
    np.testing.assert_array_equal(labels, [[0, 0, 5], [0, 0, 0]])
    assert found.counts == LeftOutCounts(uncertain=1, small=1)
    whole = np.zeros((4, 5), np.int32)
    whole[1, 2:4], whole[2, 4] = 1, 2
    np.testing.assert_array_equal(found.place((1, 2), (4, 5)).to_labels(), whole)
    part = found.clip(np.array([[False, True, True], [True, True, False]]))
    np.testing.assert_array_equal(part.to_labels(), [[0, 1, 0], [0, 0, 0]])
    assert part.counts == LeftOutCounts(small=1)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (LeftOutCounts(340, 16), "356 left out: 340 doubtful, 16 too small"),
        (LeftOutCounts(fragments=1), "1 left out: 1 micronucleus or fragment"),
        (LeftOutCounts(fragments=2), "2 left out: 2 micronuclei or fragments"),
        (LeftOutCounts(), "0 left out"),
    ],
)
def test_counts_are_described(counts, words):
    assert counts.describe() == words
