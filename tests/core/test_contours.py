"""Polygons along the edges of pixels: filled again, they must be the labels they came from."""

import time

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import disk
from skimage.measure import label

from napari_nuclei_unet.labels.contours import trace_contours
from napari_nuclei_unet.samples.images import SAMPLES, read_sample

small_planes = arrays(
    np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)
)


def polygon_of(contour):
    """One polygon a piece, as Simple Features have them."""
    return shapely.MultiPolygon([(outer, holes) for outer, *holes in contour.pieces])


def filled(found, shape):
    """Labels of the pixels whose centres lie in the polygons."""
    made = np.zeros(shape, np.int64)
    for contour in found:
        polygon = polygon_of(contour)
        left, top, right, bottom = map(int, polygon.bounds)
        rows, columns = np.mgrid[top:bottom, left:right]
        inside = shapely.contains_xy(polygon, columns + 0.5, rows + 0.5)
        made[rows[inside], columns[inside]] = contour.label
    return made


@given(small_planes)
def test_filled_again_they_are_the_labels(labels):
    found = trace_contours(labels)
    np.testing.assert_array_equal(filled(found, labels.shape), labels)
    assert [one.label for one in found] == np.unique(labels[labels > 0]).tolist()


@given(small_planes)
def test_every_polygon_is_valid_and_as_large_as_its_pixels(labels):
    for contour in trace_contours(labels):
        polygon = polygon_of(contour)
        assert polygon.is_valid
        assert polygon.area == (labels == contour.label).sum()
        pieces = label(labels == contour.label, connectivity=1).max()
        assert len(contour.pieces) == pieces


@given(small_planes)
def test_rings_turn_at_every_corner_and_holes_the_other_way_round(labels):
    for contour in trace_contours(labels):
        for outer, *holes in contour.pieces:
            assert shapely.LinearRing(outer).is_ccw
            assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
            for ring in (outer, *holes):
                steps = np.roll(ring, -1, axis=0) - ring
                assert ((steps == 0).sum(axis=1) == 1).all()
                across = steps[:, 0] == 0
                assert (across != np.roll(across, 1)).all()


@given(small_planes, st.integers(2, 2**31 - 2))
def test_what_the_ids_are_does_not_matter(labels, first):
    other = np.array([0, first + 1, first])[labels]
    before = {one.label: one.pieces for one in trace_contours(labels)}
    after = {one.label: one.pieces for one in trace_contours(other)}
    for number, pieces in before.items():
        for mine, its in zip(pieces, after[other[labels == number][0]], strict=True):
            for ring, same in zip(mine, its, strict=True):
                np.testing.assert_array_equal(ring, same)


@pytest.mark.parametrize("name", SAMPLES)
def test_real_annotations(name):
    labels = read_sample(name)[1]
    found = trace_contours(labels)
    np.testing.assert_array_equal(filled(found, labels.shape), labels)
    assert all(polygon_of(contour).is_valid for contour in found)


def test_a_pixel_is_a_square_of_x_and_y():
    labels = np.zeros((4, 6), np.uint8)
    labels[1, 4] = 7
    [contour] = trace_contours(labels)
    assert contour.label == 7
    [[ring]] = contour.pieces
    assert ring.tolist() == [[4, 1], [5, 1], [5, 2], [4, 2]]


def test_pixels_that_touch_at_a_corner_are_two_pieces():
    [contour] = trace_contours(np.eye(2, dtype=int))
    assert [[ring.tolist() for ring in piece] for piece in contour.pieces] == [
        [[[0, 0], [1, 0], [1, 1], [0, 1]]],
        [[[1, 1], [2, 1], [2, 2], [1, 2]]],
    ]


def test_holes_that_touch_at_a_corner_are_two_rings():
    labels = np.ones((4, 4), int)
    labels[1, 1] = labels[2, 2] = 0
    [contour] = trace_contours(labels)
    [rings] = contour.pieces
    assert [len(ring) for ring in rings] == [4, 4, 4]


def test_a_nucleus_in_the_hole_of_its_own():
    labels = np.zeros((7, 7), int)
    labels[1:6, 1:6] = 1
    labels[2:5, 2:5] = 0
    labels[3, 3] = 1
    [contour] = trace_contours(labels)
    assert [len(piece) for piece in contour.pieces] == [2, 1]
    assert polygon_of(contour).area == 17


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0)])
def test_nothing_has_no_outline(shape):
    assert trace_contours(np.zeros(shape, np.uint16)) == []


def test_ten_thousand_nuclei_are_quick():
    labels = np.zeros((4096, 4096), np.int32)
    rng = np.random.default_rng(0)
    step = 41
    centres = [(y, x) for y in range(20, 4096, step) for x in range(20, 4096, step)]
    for number, centre in enumerate(centres, 1):
        labels[disk(centre, rng.uniform(12, 22), shape=labels.shape)] = number
    seconds = []
    for _ in range(3):  # the system may take as long to find the memory for the first
        start = time.process_time()
        found = trace_contours(labels)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 3  # 1.2 on an idle machine
    assert len(found) == len(centres) == 10_000
