"""Scores against their definitions, computed the slow way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from napari_nuclei_unet.metrics.matching import (
    IOU_THRESHOLDS,
    average_scores,
    count_matches,
    pool_scores,
)
from napari_nuclei_unet.samples.images import read_sample

label_images = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 5, (2, 6, 7))
)


def slow_scores(true, predicted):
    """AP, PQ and AJI from a full IoU matrix and a full assignment."""
    t, p = np.unique(true[true > 0]), np.unique(predicted[predicted > 0])
    intersection = np.array([[((true == a) & (predicted == b)).sum() for b in p] for a in t])
    union = np.array([[((true == a) | (predicted == b)).sum() for b in p] for a in t])
    iou = intersection / union
    table = {}
    for threshold in IOU_THRESHOLDS:
        gain = (iou >= threshold) * (1 + iou / (len(t) + len(p)))
        i, j = linear_sum_assignment(gain, maximize=True)
        good = iou[i, j] >= threshold
        tp = good.sum()
        table[f"AP@{threshold:g}"] = tp / (len(t) + len(p) - tp)
        if threshold == 0.5:
            table["PQ"] = iou[i, j][good].sum() / ((len(t) + len(p)) / 2)
    best = iou.argmax(1)
    total = [union[k, b] if iou[k, b] else (true == t[k]).sum() for k, b in enumerate(best)]
    hit = [intersection[k, b] for k, b in enumerate(best)]
    used = {b for k, b in enumerate(best) if iou[k, b]}
    unused = sum((predicted == p[b]).sum() for b in range(len(p)) if b not in used)
    table["AJI"] = sum(hit) / (sum(total) + unused)
    return table


@given(label_images)
@settings(max_examples=150)
def test_scores_equal_their_definitions(pair):
    true, predicted = pair
    scores = count_matches(true, predicted).scores()
    for name, value in slow_scores(true, predicted).items():
        assert scores[name] == pytest.approx(value), name


def test_ties_at_one_half_are_assigned_for_the_most_pairs():
    # both predictions overlap the first nucleus by exactly one half, one of them the second too
    true = np.array([[1, 1, 2, 2]])
    predicted = np.array([[1, 2, 2, 0]])
    assert count_matches(true, predicted).matched[0] == 1


def test_hand_worked_example():
    true = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]])
    predicted = np.array([[7, 7, 7, 0, 0, 5, 5, 5, 0]])
    scores = count_matches(true, predicted).scores()
    assert scores["AP@0.5"] == pytest.approx(2 / 3)  # IoU 3/4 and 2/3; the third is missed
    assert scores["AP@0.7"] == pytest.approx(1 / 4)
    assert scores["F1"] == pytest.approx(4 / 5)
    assert scores["PQ"] == pytest.approx((3 / 4 + 2 / 3) / 2.5)
    assert scores["AJI"] == pytest.approx((3 + 2) / (4 + 3 + 1))
    assert scores["IoU"] == pytest.approx(5 / 8)
    assert scores["Dice"] == pytest.approx(10 / 13)


def test_an_empty_image_found_empty_scores_one():
    empty, one = np.zeros((3, 3), int), np.eye(3, dtype=int)
    assert set(count_matches(empty, empty).scores().values()) == {1.0}
    assert count_matches(empty, one).scores()["AP@0.5"] == 0
    assert count_matches(one, empty).scores()["AJI"] == 0


def test_ids_do_not_matter():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, (20, 20))
    assert count_matches(true, true * 1000).scores() == count_matches(true, true).scores()


def test_pooled_and_by_image_weigh_differently():
    full, empty = np.ones((2, 2), int), np.zeros((2, 2), int)
    two = np.array([[1, 2], [0, 0]])
    counts = [count_matches(full, full), count_matches(two, empty)]
    assert average_scores(counts)["AP@0.5"] == pytest.approx(0.5)
    assert pool_scores(counts)["AP@0.5"] == pytest.approx(1 / 3)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes differ"):
        count_matches(np.zeros((2, 2), int), np.zeros((2, 3), int))


@pytest.mark.parametrize("name", ["fluorescence_small", "histology_purple", "grayscale_tissue"])
@pytest.mark.parametrize("shift", [1, 3])
def test_scores_are_those_of_stardist_to_the_third_decimal(name, shift):
    """An independent implementation on real labels, moved, thinned and partly merged."""
    matching = pytest.importorskip("stardist.matching").matching

    _, true = read_sample(name)
    predicted = np.roll(true, shift, axis=1)
    predicted[predicted % 7 == 1] = 0
    predicted[predicted % 11 == 2] += 1
    ours = count_matches(true, predicted).scores()
    for threshold in IOU_THRESHOLDS:
        theirs = matching(true, predicted, thresh=threshold)
        assert ours[f"AP@{threshold:g}"] == pytest.approx(theirs.accuracy, abs=5e-4)
        if threshold == 0.5:
            assert ours["F1"] == pytest.approx(theirs.f1, abs=5e-4)
            assert ours["PQ"] == pytest.approx(theirs.panoptic_quality, abs=5e-4)
