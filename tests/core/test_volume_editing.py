"""Edits of nuclei that are objects along z."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.volume_boxes import find_label_box, find_volume_boxes, grow_box
from napari_nuclei_unet.labels.volume_editing import (
    GrowthScale,
    grow_volume_label,
    merge_touching,
    merge_volume_labels,
    split_volume_labels,
)

SHAPE = (20, 50, 70)


def ball(centre, radii=(6, 9, 9)):
    grid = np.ogrid[tuple(slice(0, length) for length in SHAPE)]
    parts = zip(grid, centre, radii, strict=True)
    return sum(((at - c) / r) ** 2 for at, c, r in parts) <= 1


def balls(*centres, **options):
    labels = np.zeros(SHAPE, np.int32)
    for number, centre in enumerate(centres, 1):
        labels[ball(centre, **options)] = number
    return labels


def done(labels, edit):
    made = labels.copy()
    made[edit.indices] = edit.values
    return made


def pieces(labels, nucleus):
    return ndimage.label(labels == nucleus)[1]


def stroke(*points):
    return np.array(points, float)


def test_merge_takes_all_slices_and_bridges_the_gap_in_its_own():
    labels = balls((9, 20, 20), (11, 20, 45))
    labels[ball((11, 20, 45), (7, 10, 10))] = 2
    edit = merge_volume_labels(labels, 10, stroke((20, 20), (20, 45)))
    made = done(labels, edit)
    assert edit.ids == (2,)  # the larger one
    assert set(np.unique(made)) == {0, 2}
    assert pieces(made, 2) == 1
    new = (made > 0) & (labels == 0)
    assert np.unique(np.nonzero(new)[0]).tolist() == [10]


def test_merge_needs_two_nuclei():
    labels = balls((9, 20, 20), (11, 20, 45))
    with pytest.raises(UserError, match="one nucleus only"):
        merge_volume_labels(labels, 10, stroke((20, 18), (20, 22)))
    with pytest.raises(UserError, match="do not touch"):
        merge_touching(labels, np.array([1, 2]))
    with pytest.raises(UserError, match="one nucleus only"):
        merge_touching(labels, np.array([2, 2]))


def test_nuclei_that_touch_are_merged_without_a_stroke():
    labels = np.where(ball((10, 20, 30), (6, 9, 16)), 1, 0)
    labels[:, :, 34:][labels[:, :, 34:] == 1] = 2
    made = done(labels, merge_touching(labels, np.array([1, 2])))
    np.testing.assert_array_equal(made > 0, made == 1)


@pytest.mark.parametrize("z", [5, 10, 14])
def test_split_cuts_all_slices_straight_along_z(z):
    labels = balls((10, 20, 20), (10, 20, 55))
    middle = stroke((20 - 7, 22), (20 + 7, 22)) if z != 10 else stroke((8, 22), (32, 22))
    edit = split_volume_labels(labels, z, middle, free=7)
    made = done(labels, edit)
    assert edit.ids == (1, 7)
    np.testing.assert_array_equal(made > 0, labels > 0)
    np.testing.assert_array_equal(made == 2, labels == 2)
    assert pieces(made, 1) == pieces(made, 7) == 1
    assert (made == 1).sum() > (made == 7).sum() > 0  # the larger part keeps the id
    assert np.nonzero(made == 7)[2].min() >= 22
    assert np.nonzero(made == 1)[2].max() <= 22
    slices = np.unique(np.nonzero(made == 7)[0])
    assert slices.size >= 10


def test_split_cuts_every_nucleus_under_the_stroke():
    labels = balls((10, 20, 20), (10, 20, 50))
    edit = split_volume_labels(labels, 10, stroke((20, 2), (20, 69)), free=3)
    made = done(labels, edit)
    assert len(edit.ids) == 4
    assert set(np.unique(made)) == {0, 1, 2, 3, 4}


def test_a_stroke_that_ends_inside_cuts_nothing():
    labels = balls((10, 20, 20))
    with pytest.raises(UserError, match="does not cut"):
        split_volume_labels(labels, 10, stroke((5, 20), (20, 20)), free=2)
    with pytest.raises(UserError, match="no nucleus"):
        split_volume_labels(labels, 10, stroke((45, 60), (48, 60)), free=2)


def test_an_id_in_a_second_place_stays_as_it_is_when_the_first_is_split():
    labels = balls((10, 20, 20))
    labels[ball((10, 20, 55))] = 1
    made = done(labels, split_volume_labels(labels, 10, stroke((5, 20), (35, 20)), free=2))
    np.testing.assert_array_equal(made[:, :, 40:], labels[:, :, 40:])
    assert set(np.unique(made[:, :, :40])) == {0, 1, 2}


def test_a_stack_of_one_slice_is_edited_as_a_plane_is():
    labels = balls((10, 20, 20), (10, 20, 45))[10:11]
    made = done(labels, split_volume_labels(labels, 0, stroke((5, 20), (35, 20)), free=3))
    assert set(np.unique(made)) == {0, 1, 2, 3}
    made = done(labels, merge_volume_labels(labels, 0, stroke((20, 20), (20, 45))))
    assert set(np.unique(made)) == {0, 1}


@given(
    angle=st.floats(0, 3.1),
    shift=st.floats(-3, 3),
    z=st.integers(6, 14),
    seed=st.integers(0, 99),
)
def test_both_parts_of_a_split_are_in_one_piece_and_no_voxel_is_lost(angle, shift, z, seed):
    rng = np.random.default_rng(seed)
    bumps = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2)
    solid = ball((10, 25, 35), (7, 15, 15)) & (bumps > -0.06)
    parts, _ = ndimage.label(solid)
    labels = np.where(parts == np.bincount(parts.ravel())[1:].argmax() + 1, 5, 0).astype(np.int32)
    along, across = np.array([np.sin(angle), np.cos(angle)]), [np.cos(angle), -np.sin(angle)]
    middle = np.array([25, 35]) + shift * np.array(across)
    ends = np.stack([middle - 18 * along, middle + 18 * along])
    try:
        edit = split_volume_labels(labels, z, ends, free=6)
    except UserError:
        return
    made = done(labels, edit)
    np.testing.assert_array_equal(made > 0, labels > 0)
    assert all(pieces(made, nucleus) == 1 for nucleus in edit.ids)
    assert (made == 5).sum() == max((made == nucleus).sum() for nucleus in edit.ids)


def test_add_grows_through_the_slices_and_stops_at_neighbours():
    labels = balls((10, 20, 20))
    probability = ndimage.gaussian_filter(
        (ball((10, 20, 20)) | ball((10, 20, 40), (4, 8, 8))).astype(float), 1
    )
    scale = GrowthScale(diameter=18)
    edit = grow_volume_label(labels, probability, 9, np.array([21.0, 41]), scale, free=2)
    made = done(labels, edit)
    np.testing.assert_array_equal(made == 1, labels == 1)
    grown = made == 2
    truth = ball((10, 20, 40), (4, 8, 8))
    assert (grown & truth).sum() / (grown | truth).sum() > 0.8
    assert 6 <= np.unique(np.nonzero(grown)[0]).size <= 11


def test_add_reaches_fewer_slices_where_they_are_far_apart():
    probability = np.ones(SHAPE)
    labels = np.zeros(SHAPE, np.int32)
    point, far = np.array([25.0, 35]), GrowthScale(diameter=8, step=4)
    edit = grow_volume_label(labels, probability, 10, point, far, free=1)
    assert np.unique(edit.indices[0]).tolist() == [7, 8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(("point", "says"), [((20, 20), "nucleus already"), ((45, 60), "nothing"),
                                             ((99, 0), "nothing")])  # fmt: skip
def test_nothing_is_added_where_something_is_or_nothing_is_seen(point, says):
    labels = balls((10, 20, 20))
    probability = (labels > 0).astype(float)
    with pytest.raises(UserError, match=says):
        grow_volume_label(labels, probability, 10, np.array(point), GrowthScale(18.0), free=2)


def test_boxes_are_found_slice_by_slice_all_at_once_and_from_one_section():
    labels = balls((10, 20, 20), (8, 20, 45))
    labels[12:, 10:40, 30:60][labels[12:, 10:40, 30:60] == 2] = 0
    found = find_volume_boxes(labels)
    assert found.ids.tolist() == [1, 2]
    for nucleus, ends in zip(found.ids, found.boxes.tolist(), strict=True):
        expected = ndimage.find_objects(labels)[nucleus - 1]
        assert [part.start for part in expected] + [part.stop for part in expected] == ends
        assert find_label_box(labels, nucleus) == expected
        section = ndimage.find_objects(labels[9])[nucleus - 1]
        assert grow_box(labels, nucleus, 9, section) == expected
    assert find_label_box(labels, 3) is None
    assert find_volume_boxes(labels[:0]).ids.size == 0


def test_the_box_of_a_nucleus_that_leans_is_grown_with_it():
    labels = np.zeros((12, 40, 60), np.int32)
    for z in range(12):
        labels[z, 10:20, 4 * z : 4 * z + 8] = 3
    whole = (slice(0, 12), slice(10, 20), slice(0, 52))
    assert grow_box(labels, 3, 0, (slice(10, 20), slice(0, 8))) == whole
