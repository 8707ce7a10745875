"""Volumes: one brightness and one size for all slices, and nuclei that are decided in 3-D."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy import ndimage

from napari_nuclei_unet import UserError, segment_volume
from napari_nuclei_unet.arrays.selection import select_planes
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.distance import measure_capped_distance
from napari_nuclei_unet.segmentation.volume_blocks import separate_in_blocks
from napari_nuclei_unet.segmentation.volume_maps import ALL_SLICES_EMPTY
from napari_nuclei_unet.segmentation.volume_separation import (
    VolumeMaps,
    VolumeSeparation,
    estimate_step,
    separate_volume,
)
from napari_nuclei_unet.segmentation.volumes import (
    SegmentedVolumeStep,
    VolumeSlices,
    segment_volumes_steps,
)


def ball(shape, centre, diameter, step):
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    squares = ((z - centre[0]) * step) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return squares < (diameter / 2) ** 2


def maps_of(mask, step, light=None):
    light = mask * 200 if light is None else light
    return VolumeMaps(mask.astype(np.uint8) * 255, light[:, ::2, ::2].astype(np.uint8), step)


def separation(diameter, **changes):
    values = {
        "threshold": 0.5,
        "confidence": 0.8,
        "dynamics": 0.05,
        "diameter": diameter,
        "minimum_voxels": 50,
    }
    return VolumeSeparation(**values | changes)


def touching_balls(step=3.0):
    """Twelve balls of 16 px that touch, along each axis."""
    shape = (20, 64, 80)
    centres = [(z, y, x) for z in (4, 9) for y in (16, 31) for x in (16, 31, 46)]
    labels = np.zeros(shape, np.int32)
    for number, centre in enumerate(centres, 1):
        labels[ball(shape, centre, 16, step)] = number
    return labels


@pytest.mark.parametrize("step", [0.7, 1.0, 2.5, 40.0])
def test_capped_distances_are_those_of_scipy(step):
    mask = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(9, 30, 40)), 2) > -0.05
    exact = ndimage.distance_transform_edt(mask, sampling=(step, 1, 1))
    found = measure_capped_distance(mask, step, 6)
    np.testing.assert_allclose(found, np.minimum(exact, 6), atol=1e-5)


def test_a_volume_without_background_is_far_from_it():
    assert (measure_capped_distance(np.ones((2, 3, 4), bool), 2.0, 5) == 5).all()


def test_touching_balls_are_parted_along_every_axis():
    truth = touching_balls()
    found = separate_volume(maps_of(truth > 0, 3.0), separation(16.0))
    assert found.max() == 12
    for number in range(1, 13):
        ids, voxels = np.unique(found[truth == number], return_counts=True)
        assert voxels.max() > 0.9 * voxels.sum()
        assert ids[voxels.argmax()] > 0


def test_blocks_find_the_nuclei_of_the_whole():
    rng = np.random.default_rng(5)
    truth = np.zeros((12, 120, 150), np.int32)
    for number in range(1, 60):
        centre = rng.uniform((1, 5, 5), (11, 115, 145))
        truth[ball(truth.shape, centre, 12, 2.0)] = number
    maps, how = maps_of(truth > 0, 2.0), separation(12.0, minimum_voxels=20)
    whole = separate_in_blocks(maps, how, 10**9)
    blocks = separate_in_blocks(maps, how, 12 * 90 * 90)
    found = np.stack([blocks.read(z) for z in range(12)])
    assert blocks.count == whole.count == found.max()
    assert ((found > 0) == (whole.array > 0)).all()
    pairs = np.unique(np.stack([found.ravel(), whole.array.ravel()]), axis=1)
    assert pairs.shape[1] == whole.count + 1  # each id has one partner


def test_sections_with_less_than_half_of_the_light_are_out_of_focus():
    mask = ball((15, 40, 40), (7, 20, 20), 30, 2.0)
    light = np.where(mask, 200, 20).astype(float)
    light[:3] = np.where(mask[:3], 80, 20)
    found = separate_volume(maps_of(mask, 2.0, light), separation(30.0))
    assert not found[:3].any()
    assert (found[3:] > 0).sum() == mask[3:].sum()


def test_slices_that_are_dim_as_a_whole_cut_nothing():
    mask = ball((20, 60, 60), (10, 30, 30), 30.0, 2.0)
    light = np.where(mask, 200, 20)
    light[::2] //= 3
    found = separate_volume(maps_of(mask, 2.0, light), separation(30.0))
    np.testing.assert_array_equal(found > 0, mask)


def test_dark_nuclei_on_bright_ground_are_kept():
    mask = ball((15, 40, 40), (7, 20, 20), 30, 2.0)
    found = separate_volume(maps_of(mask, 2.0, np.where(mask, 60, 220)), separation(30.0))
    assert ((found > 0) == mask).all()


def test_what_has_next_to_no_light_is_no_nucleus():
    shape = (15, 40, 120)
    masks = [ball(shape, (7, 20, x), 24, 2.0) for x in (20, 55, 95)]
    light = 20 + 180 * masks[0] + 160 * masks[1] + 12 * masks[2]
    found = separate_volume(maps_of(np.any(masks, axis=0), 2.0, light), separation(24.0))
    assert found.max() == 2
    assert not found[masks[2]].any()


def test_slices_further_apart_than_a_nucleus_share_none():
    mask = np.zeros((3, 40, 40), bool)
    mask[:, 10:25, 10:25] = True
    found = separate_volume(maps_of(mask, 50.0), separation(16.0))
    assert [set(np.unique(part)) - {0} for part in found] == [{1}, {2}, {3}]


@pytest.mark.parametrize("step", [1.0, 2.5, 5.0])
def test_the_step_is_estimated_from_the_shape_of_nuclei(step):
    depth = int(120 / step)
    mask = np.zeros((depth, 110, 110), bool)
    for z, y, x in np.random.default_rng(1).uniform(25, 85, (12, 3)):
        mask |= ball(mask.shape, (z / step * 1.1, y, x), 22, step)
    estimated = estimate_step(mask.astype(np.uint8) * 255)
    assert estimated == pytest.approx(step, rel=0.15)


def test_nothing_is_estimated_where_there_is_nothing():
    assert estimate_step(np.zeros((4, 9, 9), np.uint8)) is None
    assert estimate_step(np.full((4, 9, 9), 255, np.uint8)) is None


# from pixels on


@pytest.fixture
def stack():
    """Twelve bright balls, 16 bit, with noise; and their truth."""
    truth = touching_balls()
    # a voxel of ground between neighbours, which the network of the tests sees as brightness
    apart = ndimage.grey_erosion(truth, (1, 3, 3)) * (
        ndimage.grey_dilation(truth, (1, 3, 3)) == truth
    )
    noise = np.random.default_rng(0).normal(0, 40, truth.shape)
    return (500 + 3000 * (apart > 0) + noise).astype(np.uint16), apart


def test_a_nucleus_has_one_id_in_all_its_slices(stack, bright):
    image, truth = stack
    found = segment_volume(image, z_step=3, model=bright)
    assert found.dtype == np.int32
    assert found.max() == 12
    for number in range(1, 13):
        ids = np.bincount(found[truth == number])
        assert ids.max() > 0.9 * ids.sum()


def test_empty_slices_are_not_stretched_until_something_is_found(stack, bright):
    image, _ = stack
    empty = np.random.default_rng(2).normal(500, 40, (12, *image.shape[1:])).astype(np.uint16)
    found = segment_volume(np.concatenate([image, empty]), z_step=3, model=bright)
    assert not found[len(image) :].any()
    assert found.max() == 12


def test_a_series_of_volumes_is_numbered_on(stack, bright):
    image, _ = stack
    found = segment_volume(np.stack([image, image]), "TZYX", z_step=3, model=bright)
    assert found.shape == (2, *image.shape)
    assert set(np.unique(found[1])) == {0, *range(13, 25)}


def test_slices_may_be_any_axis_but_that_of_the_plane(stack, bright):
    image, _ = stack
    found = segment_volume(image, z_step=3, model=bright)
    swapped = np.stack([image, image[:, ::-1]], axis=1)
    mixed = segment_volume(swapped, "ZTYX", z_step=3, model=bright)
    np.testing.assert_array_equal(mixed[:, 0] > 0, found > 0)
    np.testing.assert_array_equal(mixed[:, 1] > 0, found[:, ::-1] > 0)


def test_an_unknown_step_is_estimated_and_told(stack, bright):
    image, _ = stack
    with pytest.warns(UserWarning, match="How far apart the slices are is not known"):
        found = segment_volume(image, model=bright)
    assert found.max() == 12


@pytest.mark.parametrize("step", [0, -2, float("nan"), float("inf")])
def test_a_step_that_is_none_is_refused(stack, bright, step):
    with pytest.raises(UserError, match="must be above 0"):
        segment_volume(stack[0], z_step=step, model=bright)


def test_a_step_of_ten_nuclei_is_told(stack, bright):
    with pytest.warns(UserWarning, match="further than a nucleus is wide"):
        found = segment_volume(stack[0], z_step=160, model=bright, diameter=16)
    assert found.max() > 12


def test_planes_without_slices_are_refused(stack, bright):
    with pytest.raises(UserError, match="along an axis Z"):
        segment_volume(stack[0], "TYX", model=bright)


def test_a_stack_of_one_slice_is_a_volume_too(stack, bright):
    found = segment_volume(stack[0][4:5], "ZYX", planes=[[0]], z_step=3, model=bright)
    assert found.shape == (1, *stack[0].shape[1:])
    assert found.max() == 6


class BrokenSlices:
    """A stack of which some slices cannot be read."""

    def __init__(self, values, broken):
        self.values, self.broken = values, broken
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, index):
        if index[0] in self.broken:
            raise OSError("the disk is gone")
        return self.values[index]


def test_a_slice_that_cannot_be_read_cuts_no_nucleus_in_two(stack, bright):
    image, _ = stack
    with pytest.warns(UserWarning, match="Slice 4 was left out"):
        found = segment_volume(BrokenSlices(image, [4]), "ZYX", z_step=3, model=bright)
    assert not found[4].any()
    assert found.max() == 12


def test_a_stack_of_which_nothing_can_be_read_is_refused(stack, bright):
    with pytest.raises(UserError, match="disk is gone"):
        segment_volume(BrokenSlices(stack[0], range(20)), "ZYX", z_step=3, model=bright)


def test_nan_is_no_nucleus(stack, bright):
    image = stack[0].astype(np.float32)
    image[:, :32] = np.nan
    found = segment_volume(image, z_step=3, model=bright)
    assert not found[:, :32].any()
    assert found.any()


def test_a_region_is_that_of_every_slice(stack, bright):
    image, _ = stack
    corner = [[(0, 0), (0, 40), (64, 40), (64, 0)]]
    found = segment_volume(image, z_step=3, model=bright, region=corner)
    assert found[:, :, :40].any()
    assert not found[:, :, 42:].any()


def test_an_even_stack_has_no_nuclei(bright):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert not segment_volume(np.full((3, 40, 40), 7), z_step=2, model=bright).any()
    assert [str(one.message) for one in said] == [ALL_SLICES_EMPTY]


def test_small_nuclei_are_seen_larger(stack, choosy):
    image, _ = stack
    steps = segment_volumes_steps(
        image[:, ::2, ::2], VolumeSlices.of(select_planes((20, 32, 40), "ZYX")), 1.5, choosy,
        (SegmentParams(diameter=7.0), "cpu", None),
    )  # fmt: skip
    volumes = []
    run(steps, lambda step: volumes.append(step) if isinstance(step, SegmentedVolumeStep) else None)
    result = volumes[0].result
    assert result.prediction.zoom > Fraction(1)
    assert result.read_labels(4).shape == (32, 40)
    assert result.provenance.volume
    assert result.provenance.z_step == 1.5
    assert result.count == 12


def test_a_run_that_is_stopped_drops_the_volume_at_work(stack, bright):
    image, _ = stack
    picked = VolumeSlices.of(select_planes((2, *image.shape), "TZYX"))
    steps = segment_volumes_steps(
        np.stack([image, image]), picked, 3.0, bright, (SegmentParams(), "cpu", None)
    )
    finished = []

    def stop_in_second(step):
        if isinstance(step, SegmentedVolumeStep):
            finished.append(step)
        return step.done > step.total * 0.6

    assert run(steps, stop_in_second).stopped
    assert len(finished) == 1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_thin_stacks_keep_what_they_hold_of_nuclei(depth, bright):
    shape = (depth, 60, 60)
    mask = ball(shape, (depth // 2, 30, 30), 30, 4.0)
    image = (500 + 3000 * mask).astype(np.uint16)
    found = segment_volume(image, "ZYX", planes=[range(depth)], z_step=4, model=bright)
    assert found.max() == 1


def test_cut_nuclei_say_nothing_of_the_step(bright):
    mask = np.zeros((4, 60, 60), bool)
    mask[:, 20:40, 20:40] = True
    image = (500 + 3000 * mask).astype(np.uint16)
    with pytest.warns(UserWarning, match="too few nuclei are whole"):
        assert segment_volume(image, "ZYX", model=bright).max() == 1


def test_the_smallest_area_stays_as_it_was_asked_for(stack, bright):
    steps = segment_volumes_steps(
        stack[0], VolumeSlices.of(select_planes(stack[0].shape, "ZYX")), 3.0, bright,
        (SegmentParams(), "cpu", None),
    )  # fmt: skip
    found = []
    run(steps, lambda step: found.append(step) if isinstance(step, SegmentedVolumeStep) else None)
    assert found[0].result.provenance.params.minimum_area is None


@pytest.mark.parametrize("value", [0, 65535])
def test_an_empty_slice_cuts_no_nucleus_in_two(stack, bright, value):
    image = stack[0].copy()
    image[4] = value
    with pytest.warns(UserWarning, match="1 slices hold one value only"):
        found = segment_volume(image, z_step=3, model=bright)
    assert not found[4].any()
    assert found.max() == 12


def test_a_long_gap_is_not_bridged(stack, bright):
    image = stack[0].copy()
    image[3:8] = 0
    with pytest.warns(UserWarning, match="5 slices hold one value only"):
        found = segment_volume(image, z_step=3, model=bright)
    assert found[:3].any()
    assert not found[3:8].any()
    assert not set(np.unique(found[:3])) & set(np.unique(found[8:])) - {0}


def test_ids_of_a_region_have_no_gaps(stack, bright):
    corner = [[(30, 30), (30, 80), (64, 80), (64, 30)]]
    found = segment_volume(stack[0], z_step=3, model=bright, region=corner)
    assert set(np.unique(found)) == set(range(found.max() + 1))


def test_a_step_that_makes_nuclei_flat_is_told(stack, bright):
    with pytest.warns(UserWarning, match="All slices together are"):
        segment_volume(stack[0], z_step=1e-6, model=bright)


def test_a_time_point_that_cannot_be_read_leaves_the_others(stack, bright):
    class BrokenFrame(BrokenSlices):
        pass

    film = BrokenFrame(np.stack([stack[0]] * 3), [1])
    with pytest.warns(UserWarning, match="disk is gone"):
        found = segment_volume(film, "TZYX", z_step=3, model=bright)
    assert [int(volume.max()) for volume in found] == [12, 0, 24]
