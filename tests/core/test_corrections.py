import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import disk, line

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels import editing as corrections
from napari_nuclei_unet.labels.editing import (
    LabelEdit,
    grow_label,
    label_at,
    merge_labels,
    remove_label,
    split_labels,
    stroke_pixels,
)
from napari_nuclei_unet.samples.images import read_sample

SHAPE = (60, 80)


def disks(*places, radius=8):
    labels = np.zeros(SHAPE, np.int32)
    for number, place in enumerate(places, 1):
        labels[disk(place, radius, shape=SHAPE)] = number
    return labels


def done(labels, edit: LabelEdit):
    made = labels.copy()
    made[edit.rows, edit.columns] = edit.values
    return made


def pieces(labels, nucleus):
    return ndimage.label(labels == nucleus)[1]


def test_delete_removes_one_nucleus_only():
    labels = disks((20, 20), (20, 50))
    made = done(labels, remove_label(labels, label_at(labels, np.array([22.4, 18.7]))))
    assert set(np.unique(made)) == {0, 2}
    np.testing.assert_array_equal(made == 2, labels == 2)


@pytest.mark.parametrize("point", [(50, 70), (-3, 20), (20, 200)])
def test_a_click_on_no_nucleus_is_refused(point):
    with pytest.raises(UserError, match="no nucleus"):
        label_at(disks((20, 20)), np.array(point, float))


def test_merge_keeps_the_largest_and_bridges_the_gap():
    labels = disks((20, 20), (20, 45))
    labels[disk((20, 45), 10, shape=SHAPE)] = 2
    edit = merge_labels(labels, np.array([[20.0, 20], [20, 45]]))
    made = done(labels, edit)
    assert edit.ids == (2,)
    assert set(np.unique(made)) == {0, 2}
    assert pieces(made, 2) == 1
    assert ((labels > 0) & (made == 0)).sum() == 0
    # what the stroke has before the first nucleus and after the last is no bridge
    long = done(labels, merge_labels(labels, np.array([[20.0, 0], [20, 79]])))
    np.testing.assert_array_equal(long, made)


def test_merge_takes_all_under_the_stroke_and_no_other():
    labels = disks((20, 15), (20, 35), (20, 55), (45, 35))
    made = done(labels, merge_labels(labels, np.array([[20.0, 15], [20, 35], [20, 55]])))
    assert len(np.unique(made)) == 3
    np.testing.assert_array_equal(made == 4, labels == 4)


def test_a_stroke_that_merges_nothing_is_refused():
    labels = disks((20, 20), (20, 50))
    with pytest.raises(UserError, match="one nucleus only"):
        merge_labels(labels, np.array([[20.0, 16], [20, 24]]))
    with pytest.raises(UserError, match="no nucleus"):
        merge_labels(labels, np.array([[50.0, 16], [50, 24]]))


def test_split_cuts_where_the_stroke_is():
    labels = disks((20, 20), (20, 50))
    edit = split_labels(labels, np.array([[8.0, 22], [32, 22]]), free=7)
    made = done(labels, edit)
    assert edit.ids == (1, 7)
    assert pieces(made, 1) == pieces(made, 7) == 1
    np.testing.assert_array_equal(made > 0, labels > 0)
    np.testing.assert_array_equal(made == 2, labels == 2)
    assert (made == 1).sum() > (made == 7).sum()  # the larger one keeps the id
    assert np.nonzero(made == 7)[1].min() >= 21


def test_split_reaches_a_little_further_than_the_hand():
    labels = disks((20, 20))
    made = done(labels, split_labels(labels, np.array([[14.0, 20], [26, 20]]), free=2))
    assert set(np.unique(made)) == {0, 1, 2}


def test_split_cuts_all_that_the_stroke_runs_through_into_unique_ids():
    labels = disks((20, 20), (20, 50))
    edit = split_labels(labels, np.array([[20.0, 5], [20, 70]]), free=3)
    made = done(labels, edit)
    assert set(np.unique(made)) == {0, 1, 2, 3, 4}
    assert all(pieces(made, nucleus) == 1 for nucleus in (1, 2, 3, 4))


@pytest.mark.parametrize("stroke", [[[20.0, 18], [20, 21]], [[10.0, 20], [18, 20]], [[20.0, 20]]])
def test_a_stroke_that_cuts_nothing_is_refused(stroke):
    with pytest.raises(UserError, match="does not cut"):
        split_labels(disks((20, 20), radius=12), np.array(stroke), free=2)


def test_a_nucleus_in_two_pieces_is_not_taken_for_cut():
    labels = disks((20, 20), (20, 50))
    labels[labels == 2] = 1
    with pytest.raises(UserError, match="does not cut"):
        split_labels(labels, np.array([[18.0, 20], [22, 20]]), free=2)


def test_split_parts_are_the_nuclei_that_were_grown_together():
    _, annotation = read_sample("fluorescence_small")
    annotation = annotation.astype(np.int32)
    touching = ndimage.grey_dilation(annotation, 3)
    pairs = {
        (int(low), int(high))
        for low, high in zip(annotation.ravel(), touching.ravel(), strict=True)
        if 0 < low < high
    }
    assert pairs
    for low, high in pairs:
        joined = np.where(annotation == high, low, annotation)
        ends = [ndimage.center_of_mass(annotation == one) for one in (low, high)]
        edge = (annotation == low) & ndimage.binary_dilation(annotation == high, np.ones((3, 3)))
        rows, columns = np.nonzero(edge)
        along = np.argsort((rows - rows.mean()) * -(ends[1][1] - ends[0][1])
                           + (columns - columns.mean()) * (ends[1][0] - ends[0][0]))  # fmt: skip
        stroke = np.stack([rows, columns], 1)[along][:: max(1, rows.size - 1)].astype(float)
        if rows.size < 2:
            continue
        made = done(joined, split_labels(joined, stroke, free=9_999))
        part = (made == 9_999) if (made[annotation == high] == 9_999).mean() > 0.5 else made == low
        truth = annotation == high
        assert (part & truth).sum() / (part | truth).sum() > 0.6


def weak_spot(peak):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (peak * np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 60)).astype(np.float32)


@pytest.mark.parametrize("peak", [0.9, 0.3, 0.08])
def test_grow_takes_what_is_at_least_half_as_likely_as_the_peak(peak):
    labels = disks((30, 58))
    edit = grow_label(labels, weak_spot(peak), np.array([31.0, 41]), 14, free=2)
    made = done(labels, edit)
    expected = (weak_spot(peak) >= peak / 2) & (labels == 0)
    assert edit.ids == (2,)
    np.testing.assert_array_equal(made == 2, expected)
    np.testing.assert_array_equal(made == 1, labels == 1)


def test_grow_stays_near_and_in_one_piece():
    everywhere = np.ones(SHAPE, np.float32)
    labels = np.zeros(SHAPE, np.int32)
    made = done(labels, grow_label(labels, everywhere, np.array([30.0, 40]), 10, free=1))
    rows, columns = np.nonzero(made)
    assert np.hypot(rows - 30, columns - 40).max() <= corrections.MAX_GROWN_DIAMETERS * 10
    assert pieces(made, 1) == 1


@pytest.mark.parametrize(
    ("point", "words"),
    [((30, 58), "nucleus already"), ((5, 5), "sees nothing"), ((-9, 5), "sees nothing")],
)
def test_nothing_is_grown_where_nothing_is(point, words):
    with pytest.raises(UserError, match=words):
        grow_label(disks((30, 58)), weak_spot(0.5), np.array(point, float), 14, free=2)


points = st.lists(
    st.tuples(st.floats(-10, 70), st.floats(-10, 90)), min_size=1, max_size=5
).map(lambda some: np.array(some, float))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(stroke=points, seed=st.integers(0, 50))
def test_whatever_the_stroke_only_its_nuclei_change(stroke, seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random(SHAPE), 3)
    labels = ndimage.label(noise > np.quantile(noise, 0.6))[0].astype(np.int32)
    free = int(labels.max()) + 1
    for edit in (lambda: merge_labels(labels, stroke), lambda: split_labels(labels, stroke, free)):
        try:
            made = edit()
        except UserError:
            continue
        after = done(labels, made)
        touched = set(np.unique(labels[made.rows, made.columns])) | set(made.ids) | {0}
        for nucleus in set(np.unique(labels)) - touched:
            np.testing.assert_array_equal(after == nucleus, labels == nucleus)
        assert set(made.ids) <= set(np.unique(after).tolist())
        assert not ((labels > 0) & (after == 0)).any()


@pytest.mark.parametrize("far", [1e13, 1e300, np.inf])
def test_a_stroke_far_beyond_the_plane_needs_no_memory_for_its_pixels(far):
    labels = disks((30, 20), (30, 60))
    across = np.array([[30, -far], [30, far]])
    if far < 1e15:  # beyond, a float does not know the pixel
        assert merge_labels(labels, across).ids == (1,)
    else:
        with pytest.raises(UserError):
            merge_labels(labels, across)
    for start, end in (((-9.0, -far), (-9.0, far)), ((far, far), (far, 2 * far))):
        with pytest.raises(UserError, match="no nucleus"):
            merge_labels(labels, np.array([start, end]))


@given(st.lists(st.tuples(st.integers(-60, 119), st.integers(-80, 159)), min_size=1, max_size=4))
def test_strokes_that_leave_the_plane_a_little_are_drawn_as_a_whole(points):
    rows, columns = stroke_pixels(np.array(points, float), SHAPE)
    whole = [
        pixel
        for start, end in itertools.pairwise(points if len(points) > 1 else points * 2)
        for pixel in zip(*line(*start, *end), strict=True)
    ]
    expected = [(y, x) for y, x in whole if 0 <= y < SHAPE[0] and 0 <= x < SHAPE[1]]
    assert list(zip(rows, columns, strict=True)) == expected
