"""Sections of known ellipsoids, joined slice by slice, must be the ellipsoids again."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import disk
from skimage.measure import label

from napari_nuclei_unet import UserError
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.tracking.stitching import SliceJoiner, join_slices


def ball(shape, centre, radii):
    """Which voxels lie in an ellipsoid."""
    away = [
        ((axis - at) / radius) ** 2
        for axis, at, radius in zip(
            np.ogrid[tuple(slice(n) for n in shape)], centre, radii, strict=True
        )
    ]
    return sum(away) <= 1


def ellipsoids(rng, n, flatness, shape=(24, 120, 120)):
    """Ellipsoids that fill a stack at random and do not overlap, though many touch."""
    made = np.zeros(shape, np.int32)
    for _ in range(20 * n):
        wide = rng.uniform(6, 10, 2)
        inside = ball(shape, rng.uniform(0, shape), (flatness * wide.mean(), *wide))
        if inside.any() and not made[inside].any():
            made[inside] = made.max() + 1
        if made.max() == n:
            break
    return made


def without_some_sections(rng, truth):
    """A fifth of the nuclei lose one section between their first and last."""
    made = truth.copy()
    for number in range(1, truth.max() + 1):
        slices = np.flatnonzero((truth == number).any((1, 2)))
        if len(slices) > 2 and rng.random() < 0.2:
            plane = made[rng.choice(slices[1:-1])]
            plane[plane == number] = 0
    return made


def shuffled(rng, stack):
    """Sections get ids at random in each slice, as if each slice was segmented for itself."""
    made = [label(plane, connectivity=2) for plane in stack]
    return np.stack([np.append(0, rng.permutation(one.max()) + 1)[one] for one in made])


def discs_in_slices(*slices, shape=(60, 60)):
    """Each slice is a list of (y, x, radius)."""
    made = np.zeros((len(slices), *shape), np.int32)
    for plane, sections in zip(made, slices, strict=True):
        for number, (y, x, radius) in enumerate(sections, 1):
            plane[disk((y, x), radius, shape=shape)] = number
    return made


def ids(joined):
    """The ids in each slice."""
    return [np.unique(plane[plane > 0]).tolist() for plane in joined]


@pytest.mark.parametrize(("n", "flatness"), [(60, 0.5), (45, 1.0), (80, 0.3)])
def test_known_ellipsoids_are_found_again(n, flatness):
    rng = np.random.default_rng(n)
    truth = ellipsoids(rng, n, flatness)
    given = without_some_sections(rng, truth)
    scores = count_matches(truth, join_slices(shuffled(rng, given))).scores()
    assert scores["AP@0.5"] >= 0.95
    whole = count_matches(truth, join_slices(shuffled(rng, truth))).scores()
    assert whole["AP@0.5"] >= 0.95
    assert whole["mean AP"] >= 0.9


def test_balls_side_by_side_and_one_on_the_other_are_parted():
    shape = (34, 60, 60)
    truth = np.zeros(shape, np.int32)
    for number, centre in enumerate([(8, 20, 20), (24, 20, 20), (8, 20, 36), (20, 38, 40)], 1):
        truth[ball(shape, centre, (8, 8, 8)) & (truth == 0)] = number
    joined = join_slices(shuffled(np.random.default_rng(0), truth))
    scores = count_matches(truth, joined).scores()
    assert scores["F1"] == 1
    assert scores["PQ"] > 0.95


def test_a_missing_section_is_bridged_but_not_painted():
    one = [(30, 30, 8)]
    stack = discs_in_slices(one, [], one, [], [], one)
    assert ids(join_slices(stack)) == [[1], [], [1], [], [], [2]]
    assert ids(join_slices(stack, gap=0)) == [[1], [], [2], [], [], [3]]
    assert ids(join_slices(stack, gap=2)) == [[1], [], [1], [], [], [1]]


def test_a_section_in_two_parts_goes_on_with_the_larger():
    stack = discs_in_slices([(30, 30, 12)], [(30, 26, 8), (30, 38, 4)], [(30, 30, 12)])
    joined = join_slices(stack)
    assert ids(joined) == [[1], [1, 2], [1]]
    assert joined[1, 30, 26] == 1


def test_one_small_section_between_wide_ones_is_no_waist():
    stack = discs_in_slices([(30, 30, 12)], [(30, 30, 12)], [(30, 30, 5)], [(30, 30, 12)])
    assert ids(join_slices(stack)) == [[1]] * 4
    waist = discs_in_slices(*([(30, 30, radius)] for radius in (12, 12, 10, 5, 10, 12)))
    assert ids(join_slices(waist)) == [[1]] * 4 + [[2]] * 2


def test_poles_belong_to_their_ball():
    radii = (1, 4, 8, 9, 8, 4, 1)
    assert ids(join_slices(discs_in_slices(*([(30, 30, one)] for one in radii)))) == [[1]] * 7


def test_neighbours_that_drift_keep_their_ids():
    slices = [[(30, 14 + 3 * z, 6), (30, 27 + 3 * z, 6)] for z in range(6)]
    joined = join_slices(discs_in_slices(*slices))
    assert ids(joined) == [[1, 2]] * 6
    for z, plane in enumerate(joined):
        assert plane[30, 14 + 3 * z] == 1


small_stacks = arrays(
    np.int32, st.tuples(st.integers(1, 5), st.just(6), st.just(7)), elements=st.integers(0, 4)
)


@given(small_stacks, st.floats(0.1, 1), st.integers(0, 2))
def test_each_id_is_one_section_of_a_slice_and_numbers_have_no_gaps(stack, overlap, gap):
    joiner = SliceJoiner(overlap, gap)
    streamed = [joiner.join(plane) for plane in stack]
    first = []
    for plane, joined in zip(stack, streamed, strict=True):
        assert joined.dtype == np.int32
        np.testing.assert_array_equal(joined > 0, plane > 0)
        pairs = np.unique(np.stack([plane.ravel(), joined.ravel()]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
        first += [one for one in dict.fromkeys(joined[joined > 0].tolist()) if one not in first]
    assert first == list(range(1, joiner.count + 1))
    np.testing.assert_array_equal(np.stack(streamed), join_slices(stack, overlap, gap))
    np.testing.assert_array_equal(streamed, join_slices(iter(stack), overlap, gap))


@given(small_stacks, st.data())
def test_the_ids_of_a_slice_do_not_matter(stack, data):
    some = st.integers(1, 50) | st.integers(2**40, 2**40 + 50)
    other = [
        np.append(0, data.draw(st.lists(some, min_size=4, max_size=4, unique=True)))[plane]
        for plane in stack
    ]
    np.testing.assert_array_equal(join_slices(other), join_slices(stack))


def test_no_slices_and_no_nuclei():
    assert join_slices([]).shape == (0, 0, 0)
    assert not join_slices(np.zeros((3, 5, 6), np.uint8)).any()
    assert join_slices(np.zeros((2, 0, 4), int)).shape == (2, 0, 4)


def test_what_cannot_be_joined_is_told():
    with pytest.raises(UserError, match="negative"):
        join_slices(np.full((1, 4, 4), -1))
    with pytest.raises(ValueError, match="shapes differ"):
        join_slices([np.zeros((4, 4), int), np.zeros((4, 5), int)])
    with pytest.raises(ValueError, match="overlap"):
        SliceJoiner(overlap=0)
    with pytest.raises(ValueError, match="gap"):
        SliceJoiner(gap=-1)


def test_a_crowded_plane_is_quick():
    rng = np.random.default_rng(0)
    grid = [(y, x) for y in range(15, 512, 29) for x in range(15, 512, 29)]
    slices = [
        [(y + dy, x + dx, 12) for (y, x), (dy, dx) in zip(grid, drawn, strict=True)]
        for drawn in rng.uniform(-5, 5, (6, len(grid), 2))
    ]
    joiner, took = SliceJoiner(), []
    for plane in discs_in_slices(*slices, shape=(512, 512)):
        start = time.perf_counter()
        joiner.join(plane)
        took.append(time.perf_counter() - start)
    assert joiner.count >= len(grid)
    assert min(took) < 0.1  # 4 ms on an idle machine
