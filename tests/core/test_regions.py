"""Parts of a plane: which pixels they are, and that the rest is left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_nuclei_unet.arrays.boxes import bounding_box, clip_labels, paste_labels
from napari_nuclei_unet.arrays.roi import Region
from napari_nuclei_unet.errors import UserError

edge = st.integers(0, 12)


@given(edge, edge, st.integers(2, 12), st.integers(2, 12))
def test_a_rectangle_is_its_box(top, left, height, width):
    box = slice(top, top + height), slice(left, left + width)
    y, x = (top, top + height - 1), (left, left + width - 1)
    corners = [(y[0], x[0]), (y[0], x[1]), (y[1], x[1]), (y[1], x[0])]
    mask = Region.of([corners]).mask((30, 30))
    assert mask[box].all()
    assert mask.sum() == height * width
    assert bounding_box(mask) == box


def test_a_turned_square_holds_the_pixels_whose_centres_lie_inside():
    mask = Region.of([[(10, 2), (18, 10), (10, 18), (2, 10)]]).mask((21, 21))
    y, x = np.mgrid[:21, :21]
    far = abs(y - 10) + abs(x - 10)
    assert mask[far < 8].all()
    assert not mask[far > 8].any()


def test_polygons_are_joined_and_what_lies_outside_the_plane_is_cut():
    mask = Region.of([[(-5, -5), (-5, 3), (3, 3), (3, -5)], [(8, 8), (8, 99), (99, 50)]]).mask(
        (10, 10)
    )
    assert mask[:4, :4].all()
    assert mask[9, 9]
    assert mask.sum() < 25


@pytest.mark.parametrize(
    ("polygons", "words"),
    [
        ([], "three vertices"),
        ([[(0, 0), (1, 1)]], "three vertices"),
        ([[(0, 0), (1, 1), (0, float("nan"))]], "three vertices"),
        ([[1, 2, 3]], "list of polygons"),
        ([[(50, 50), (50, 60), (60, 55)]], "covers no pixel"),
    ],
)
def test_what_is_no_region_is_told(polygons, words):
    with pytest.raises(UserError, match=words):
        Region.of(polygons).mask((10, 10))


labels_of = st.integers(0, 2**32 - 1).map(
    lambda seed: ndimage.label(np.random.default_rng(seed).random((20, 24)) > 0.5)[0].astype("i4")
)
masks = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((20, 24)) > 0.4
)


@given(labels_of, masks, st.integers(1, 9))
def test_pieces_are_connected_and_whole_nuclei_stay(labels, inside, least):
    pieces = clip_labels(labels, inside, least)
    assert not pieces[~inside].any()
    for one in range(1, pieces.max() + 1):
        piece = pieces == one
        assert ndimage.label(piece)[1] == 1
        (source,) = np.unique(labels[piece])
        assert piece.sum() >= least or (piece == (labels == source)).all()


@given(labels_of, labels_of, masks)
def test_the_rest_stays_as_it_was_and_nuclei_stay_apart(old, found, inside):
    new = np.where(inside, found, 0)
    onto = old.copy()
    paste_labels(new, inside, onto)
    np.testing.assert_array_equal(onto[~inside], old[~inside])
    assert ((onto > 0) == np.where(inside, new > 0, old > 0)).all()
    pairs = set(zip(new[inside], onto[inside], strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    for shared in set(onto[inside]) & set(onto[~inside]) - {0}:
        piece = ndimage.binary_dilation((onto == shared) & inside)
        assert ((onto == shared) & ~inside & piece).any()  # they touch


def test_a_nucleus_cut_by_the_region_stays_one():
    whole = np.zeros((20, 40), np.int32)
    whole[2:8, 10:30], whole[12:18, 5:15], whole[12:18, 15:35] = 1, 2, 3
    inside = np.zeros(whole.shape, bool)
    inside[:, 18:] = True
    onto = whole.copy()
    paste_labels(clip_labels(whole, inside, 1), inside, onto)
    np.testing.assert_array_equal(onto, whole)
    onto = np.where(inside, 0, whole)  # and where nothing was before
    paste_labels(clip_labels(whole, inside, 1), inside, onto)
    np.testing.assert_array_equal(onto, whole)
