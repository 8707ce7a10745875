"""Kinds of errors against their definitions, worked by hand and computed the slow way."""

import numpy as np
import pytest
from conftest import discs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from skimage.measure import label

from napari_nuclei_unet import UserError
from napari_nuclei_unet.metrics.error_types import ERROR_KINDS, compare
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.samples.images import read_sample

MISSED, FALSE, SPLIT, MERGED = (ERROR_KINDS.index(kind) + 1 for kind in ERROR_KINDS)


def squares(seed):
    """Nuclei that overlap by chance, in a plane or a stack, with ids that leave gaps."""
    rng = np.random.default_rng(seed)
    shape = [(9, 8), (3, 5, 6)][seed % 2]
    pair = []
    for _ in range(2):
        labels = np.zeros(shape, np.int64)
        for number in rng.permutation(40)[: rng.integers(0, 9)] + 1:
            start = rng.integers(0, shape)
            stop = start + rng.integers(1, 6, len(shape))
            labels[tuple(slice(*one) for one in zip(start, stop, strict=True))] = number
        pair.append(labels)
    return pair


pairs_of_labels = st.integers(0, 2**32 - 1).map(squares)


def ids_of(labels):
    return [int(one) for one in np.unique(labels) if one]


def matched(true, predicted):
    """Pairs of ids at IoU 0.5, by a full assignment."""
    t, p = ids_of(true), ids_of(predicted)
    if not t or not p:
        return []
    iou = np.array(
        [
            [
                ((true == a) & (predicted == b)).sum() / ((true == a) | (predicted == b)).sum()
                for b in p
            ]
            for a in t
        ]
    )
    gain = (iou >= 0.5) * (1 + iou / (len(t) + len(p) + 1))
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(t[i], p[j]) for i, j in zip(rows, columns, strict=True) if iou[i, j] >= 0.5]


def parts(wholes, pieces, partner):
    """Ids of the pieces that make up each whole, nucleus by nucleus."""
    made = {}
    for whole in ids_of(wholes):
        inside = [
            piece
            for piece in ids_of(pieces)
            if partner.get(whole) == piece
            or 2 * ((pieces == piece) & (wholes == whole)).sum() > (pieces == piece).sum()
        ]
        covered = (np.isin(pieces, inside) & (wholes == whole)).sum()
        if len(inside) > 1 and 2 * covered >= (wholes == whole).sum():
            made[whole] = inside
    return made


@given(pairs_of_labels)
@settings(max_examples=300)
def test_every_nucleus_that_is_not_right_is_of_exactly_one_kind(pair):
    true, predicted = pair
    made, right = compare(true, predicted), matched(true, predicted)
    split_parts = [one for ids in made.split.values() for one in ids]
    merged_parts = [one for ids in made.merged.values() for one in ids]
    for wrong, kinds in (
        (set(ids_of(true)) - {a for a, _ in right}, (made.missed, made.split, merged_parts)),
        (set(ids_of(predicted)) - {b for _, b in right}, (made.false, made.merged, split_parts)),
    ):
        for one in wrong:
            assert [one in set(kind) for kind in kinds].count(True) == 1
    assert not set(made.missed.tolist()) & {a for a, _ in right}
    assert not set(made.false.tolist()) & {b for _, b in right}


@given(pairs_of_labels)
@settings(max_examples=300)
def test_split_and_merged_are_what_their_definitions_say(pair):
    true, predicted = pair
    made, right = compare(true, predicted), matched(true, predicted)
    assert made.split == parts(true, predicted, dict(right))
    either = parts(predicted, true, {b: a for a, b in right})
    pieces = {one for ids in made.split.values() for one in ids} - {b for _, b in right}
    assert made.merged == {whole: ids for whole, ids in either.items() if whole not in pieces}


@given(pairs_of_labels)
@settings(max_examples=100)
def test_the_errors_are_painted_where_the_nuclei_are(pair):
    true, predicted = pair
    made = compare(true, predicted)
    concerned = np.isin(true, made.missed) | np.isin(predicted, made.false)
    for wholes, pieces, found in ((true, predicted, made.split), (predicted, true, made.merged)):
        concerned |= np.isin(wholes, list(found))
        concerned |= np.isin(pieces, [one for ids in found.values() for one in ids])
    assert np.array_equal(made.errors > 0, concerned)
    assert made.errors.dtype == np.uint8


@given(pairs_of_labels)
@settings(max_examples=100)
def test_the_counts_are_those_of_evaluate(pair):
    true, predicted = pair
    made = compare(true, predicted).counts
    assert made.scores() == count_matches(true, predicted).scores()
    assert made.matched[0] == len(matched(true, predicted))


def kinds(true, predicted):
    made = compare(np.array([true]), np.array([predicted]))
    return made.missed.tolist(), made.false.tolist(), made.split, made.merged


def test_hand_worked_kinds():
    assert kinds([1, 1, 1, 0, 0], [7, 7, 7, 0, 0]) == ([], [], {}, {})
    assert kinds([1, 1, 1, 0, 0], [0, 0, 0, 7, 7]) == ([1], [7], {}, {})
    assert kinds([1, 1, 1, 1, 0], [7, 7, 8, 8, 0]) == ([], [], {1: [7, 8]}, {})  # 7 is right, too
    assert kinds([1, 1, 1, 1, 1], [7, 7, 0, 8, 8]) == ([], [], {1: [7, 8]}, {})
    assert kinds([1, 1, 0, 2, 2], [7, 7, 7, 7, 7]) == ([], [], {}, {7: [1, 2]})


def test_a_piece_beside_a_match_is_split_off_and_not_false():
    assert kinds([1, 1, 1, 1, 1], [7, 7, 7, 0, 8]) == ([], [], {1: [7, 8]}, {})


def test_pieces_that_cover_less_than_half_are_false():
    assert kinds([1, 1, 1, 1, 1], [7, 0, 0, 0, 8]) == ([1], [7, 8], {}, {})


def test_a_piece_that_lies_half_outside_is_false():
    assert kinds([1, 1, 1, 0, 0], [7, 7, 8, 8, 0]) == ([], [8], {}, {})


def test_right_nuclei_can_be_split_and_merged_besides():
    made = kinds([1, 1, 1, 1, 1, 1, 1, 1, 2, 2], [8, 0, 7, 7, 7, 7, 7, 7, 7, 7])
    assert made == ([], [], {1: [7, 8]}, {7: [1, 2]})


def test_what_could_be_either_is_part_of_the_split_one():
    # 1 and 7 lie mostly in each other, but are no match; 8 is a piece of 1, and 2 one of 7
    true = [1] * 9 + [2] * 2 + [0] * 2
    predicted = [8] * 2 + [0] * 2 + [7] * 9
    assert kinds(true, predicted) == ([2], [], {1: [7, 8]}, {})


def test_of_two_kinds_the_smaller_nucleus_is_seen():
    errors = compare(np.array([[1, 1, 1, 1, 1, 0]]), np.array([[0, 7, 7, 0, 0, 0]])).errors
    assert errors.tolist() == [[MISSED, FALSE, FALSE, MISSED, MISSED, 0]]
    errors = compare(np.array([[0, 7, 7, 0, 0, 0]]), np.array([[1, 1, 1, 1, 1, 0]])).errors
    assert errors.tolist() == [[FALSE, MISSED, MISSED, FALSE, FALSE, 0]]


def test_one_of_each_kind_of_discs():
    """Six discs: one as it is, one missed, one false, one cut in two, two joined by a bridge."""
    true = label(discs((40, 100), [(20, 10), (20, 30), (20, 50), (20, 72), (20, 86)]) > 0)
    predicted = 10 * true
    predicted[true == 2] = 0
    predicted[30:36, 34:40] = 99
    predicted[:, 50:][true[:, 50:] == 3] = 31
    predicted[np.isin(true, (4, 5))] = 40
    predicted[18:23, 78:81] = 40
    made = compare(true, predicted)
    assert made.numbers == {"missed": 1, "false": 1, "split": 1, "merged": 1}
    assert made.missed.tolist() == [2]
    assert made.false.tolist() == [99]
    assert made.split == {3: [30, 31]}
    assert made.merged == {40: [4, 5]}
    assert np.array_equal(made.errors == MISSED, true == 2)
    assert np.array_equal(made.errors == FALSE, predicted == 99)
    assert np.array_equal(made.errors == SPLIT, true == 3)
    assert np.array_equal(made.errors == MERGED, predicted == 40)


def test_a_sample_with_itself_has_no_errors():
    _, labels = read_sample("fluorescence_small")
    made = compare(labels, labels.astype(np.uint64) * 100_000)
    assert set(made.numbers.values()) == {0}
    assert not made.errors.any()
    assert made.counts.scores()["AP@0.95"] == 1


def test_a_stack_is_compared_as_a_whole():
    _, labels = read_sample("fluorescence_small")
    planes = labels.astype(np.int64)
    true = np.stack([planes, np.where(planes > 0, planes + planes.max(), 0)])
    predicted = true.copy()
    predicted[1][true[1] == true[1].max()] = 0
    made = compare(true, predicted)
    assert made.missed.tolist() == [true.max()]
    assert made.errors.shape == true.shape
    assert not made.errors[0].any()


def test_nothing_against_nothing_and_something():
    empty, one = np.zeros((4, 4), int), np.eye(4, dtype=int)
    assert set(compare(empty, empty).numbers.values()) == {0}
    assert compare(one, empty).missed.tolist() == [1]
    assert compare(empty, one).false.tolist() == [1]
    assert compare(np.zeros((0, 4), int), np.zeros((0, 4), int)).errors.shape == (0, 4)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes differ"):
        compare(np.zeros((2, 2), int), np.zeros((4,), int))


@pytest.mark.parametrize("odd", [-1, 0.5, True, 1j])
def test_what_is_no_labels_is_one_sentence_and_no_count(odd):
    good = np.array([[1, 0], [2, 3]])
    for function in (compare, count_matches):
        for pair in ((good, good * odd), (good * odd, good)):
            with pytest.raises(UserError, match="Labels must"):
                function(*[one if one is good else one.astype(type(odd)) for one in pair])
