import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.draw import disk
from skimage.measure import label

from napari_nuclei_unet.training.augmentation import Variety, sample_patches
from napari_nuclei_unet.training.copy_paste import (
    MAX_MICRONUCLEI,
    MAX_SHRUNK,
    MIN_PARENT_DIAMETER,
    MIN_SHRUNK,
    Patch,
    crowded,
    with_micronuclei,
    with_mirror_image,
)
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.photometric import hazed, is_bright_field, recolour

NOWHERE = np.zeros(2, int)


def patch_of(labels, ground=0.1, nuclei=0.8):
    image = torch.from_numpy(np.where(labels > 0, nuclei, ground).astype(np.float32))
    diameters = np.sqrt(4 / np.pi * np.bincount(labels.ravel()))
    diameters[0] = 0
    return Patch(image.expand(3, -1, -1), labels, diameters)


def discs_of(*radii, size=128):
    """Discs along the diagonal."""
    labels = np.zeros((size, size), np.int32)
    places = np.linspace(0, size, len(radii) + 2)[1:-1]
    for i, (place, radius) in enumerate(zip(places, radii, strict=True)):
        labels[disk((place, place), radius)] = i + 1
    return labels


def assert_consistent(patch):
    assert patch.image.shape[1:] == patch.labels.shape
    assert patch.image.min() >= 0
    assert patch.image.max() <= 1
    ids = np.unique(patch.labels)
    assert ids.max() < len(patch.diameters)
    assert (patch.diameters[ids[ids > 0]] > 0).all()


def assert_same(first, second):
    assert torch.equal(first.image, second.image)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.diameters, second.diameters)


def test_crowding_adds_whole_nuclei_where_there_is_room():
    labels = np.zeros((20, 30), np.int32)
    labels[2:6, 2:6] = 1  # turned it lies at 14:18, 24:28, where there is room
    labels[8:12, 10:16] = 2  # turned it lies on itself
    labels[:3, 20:24] = 3  # the edge cuts it
    patch = patch_of(labels)
    more = with_mirror_image(patch, 0, NOWHERE)
    expected = labels.copy()
    expected[14:18, 24:28] = 4 + 1
    np.testing.assert_array_equal(more.labels, expected)
    assert torch.equal(more.image[0] > 0.5, torch.from_numpy(more.labels > 0))
    dark = with_mirror_image(patch_of(labels, 0.9, 0.2), 0, NOWHERE)
    assert torch.equal(dark.image[0] < 0.5, torch.from_numpy(more.labels > 0))
    moved = with_mirror_image(patch, 0, np.array([0, -4]))
    assert (moved.labels[14:18, 20:24] == 4 + 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_crowd_is_consistent_denser_and_the_same_for_the_same_seed(seed):
    patch = patch_of(discs_of(5, 9, 12, 7))
    crowd, again = (crowded(patch, np.random.default_rng(seed)) for _ in range(2))
    assert_same(crowd, again)
    assert_consistent(crowd)
    kept = patch.labels > 0
    np.testing.assert_array_equal(crowd.labels[kept], patch.labels[kept])
    assert (crowd.labels > 0).sum() > kept.sum()


def test_crowds_differ_in_density():
    patch = patch_of(discs_of(5, 6, 7, 6, 5))
    crowds = [crowded(patch, np.random.default_rng(seed)) for seed in range(30)]
    assert {len(one.diameters) // len(patch.diameters) for one in crowds} == {2, 4, 8}


@pytest.mark.parametrize("seed", range(20))
def test_micronuclei_are_nuclei_of_their_own_beside_large_ones(seed):
    patch = patch_of(discs_of(20, 16))
    more, again = (with_micronuclei(patch, np.random.default_rng(seed)) for _ in range(2))
    assert_same(more, again)
    assert_consistent(more)
    old = patch.labels > 0
    np.testing.assert_array_equal(more.labels[old], patch.labels[old])
    pasted = np.setdiff1d(np.unique(more.labels), np.unique(patch.labels))
    assert len(pasted) <= MAX_MICRONUCLEI
    near = ndimage.distance_transform_edt(~old)
    for one in pasted:
        mask = more.labels == one
        assert label(mask).max() == 1
        assert near[mask].min() < 0.3 * 40 + 2
        measured = np.sqrt(4 / np.pi * mask.sum())
        assert more.diameters[one] == pytest.approx(measured)
        assert MIN_SHRUNK * 32 - 1 < measured < MAX_SHRUNK * 40 + 1
        assert more.image[0][torch.from_numpy(mask)].mean() > 0.2  # brighter than the ground


def test_micronuclei_are_pasted_in_most_patches_with_large_bright_nuclei_only():
    seeds = [np.random.default_rng(seed) for seed in range(20)]
    large = patch_of(discs_of(20, 16))
    assert sum(with_micronuclei(large, rng) is not large for rng in seeds) > 15
    small = patch_of(discs_of(*3 * [MIN_PARENT_DIAMETER / 2 - 1]))
    dark = patch_of(discs_of(20, 16), 0.9, 0.2)
    for patch in (small, dark):
        assert all(with_micronuclei(patch, rng) is patch for rng in seeds)


@pytest.mark.parametrize("seed", range(10))
def test_haze_brightens_the_ground_and_keeps_nuclei_in_range(seed):
    image = patch_of(discs_of(10, 14)).image
    hazy, again = (hazed(image, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(hazy, again)
    assert hazy.min() >= 0
    assert hazy.max() <= 1
    assert hazy.mean() > image.mean()
    assert hazy.std() > 0.05


def test_bright_fields_are_exposed_in_many_ways_and_dark_ones_stay_dark():
    bright, dark = (
        torch.stack(
            [
                recolour(
                    patch_of(discs_of(10), *levels).image, np.random.default_rng(seed), wide=True
                )
                for seed in range(200)
            ]
        ).flatten(1).median(1).values
        for levels in ((0.8, 0.3), (0.05, 0.6))
    )  # fmt: skip
    low, high = bright.quantile(0.2), bright.quantile(0.9)
    assert low < 0.5
    assert high > 0.8
    assert dark.quantile(0.6) < 0.2
    assert is_bright_field(torch.full((3, 8, 8), 0.7))
    assert not is_bright_field(torch.full((3, 8, 8), 0.3))


@pytest.mark.parametrize("seed", range(10))
def test_patches_of_large_nuclei_have_finite_targets_and_are_reproducible(seed):
    patch = patch_of(discs_of(20, 16, 8, size=160))
    labels = torch.from_numpy(patch.labels.astype(np.float32))[None]
    example = Example("discs", patch.image.contiguous(), labels, "discs", "")
    first, second = (
        sample_patches(4 * [example], 96, np.random.default_rng(seed), 1.0, Variety(True, "all"))
        for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one).all()
    for values in first[:2]:
        assert values.min() >= 0
        assert values.max() <= 1
    size = first[1][:, 3][first[1][:, 0] > 0]
    assert size.numel() == 0 or size.max() < 1
