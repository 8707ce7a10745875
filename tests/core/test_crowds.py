"""Synthetic crowds, and the second validation part that is made of them."""

import numpy as np
import pytest
import torch
from skimage.draw import ellipse
from skimage.measure import label

from napari_nuclei_unet.training.copy_paste import MAX_HIDDEN_SHARE, Patch
from napari_nuclei_unet.training.crowds import (
    cut_out,
    defocused,
    lobed,
    mitotic,
    pack,
    textured,
    with_pasted,
)
from napari_nuclei_unet.training.example import make_example
from napari_nuclei_unet.training.second_part import find_judged, make_second_part


def patch_of_ellipses(size=128, ground=0.1, nuclei=0.6):
    """Six whole nuclei, one at the edge, and a speck."""
    labels = np.zeros((size, size), np.int32)
    for one, (y, x) in enumerate(((25, 20), (25, 60), (25, 100), (70, 20), (70, 60), (70, 100)), 1):
        labels[ellipse(y, x, 14, 10)] = one
    labels[ellipse(size - 4, 60, 14, 10, labels.shape)] = 7
    labels[110:113, 20:23] = 8
    image = torch.from_numpy(np.where(labels > 0, nuclei, ground).astype(np.float32))
    diameters = np.sqrt(4 / np.pi * np.bincount(labels.ravel()))
    diameters[[0, 7]] = 0, 24
    return Patch(image.expand(3, -1, -1), labels, diameters)


def test_whole_nuclei_are_cut_out_without_their_ground():
    cutouts = cut_out(patch_of_ellipses())
    assert len(cutouts) == 6
    for cutout in cutouts:
        np.testing.assert_allclose(cutout.light, 0.5, atol=1e-6)
        assert cutout.inside.sum() == len(ellipse(20, 20, 14, 10)[0])
        assert cutout.opacity[0].max() < 0.01


@pytest.mark.parametrize("levels", [(0.1, 0.6), (0.9, 0.3)], ids=["bright", "dark"])
@pytest.mark.parametrize("seed", range(3))
def test_packed_nuclei_touch_and_hide_little_of_each_other(levels, seed):
    patch = patch_of_ellipses(160, *levels)
    crowd, again = (pack(patch, cut_out(patch), 0.7, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(crowd.image, again.image)
    assert 0.6 < (crowd.labels > 0).mean() < 0.8
    old = patch.labels > 0
    np.testing.assert_array_equal(crowd.labels[old], patch.labels[old])
    assert len(crowd.diameters) == crowd.labels.max() + 1
    whole = np.bincount(patch.labels.ravel())[1]
    area = np.bincount(crowd.labels.ravel())
    for one in np.unique(crowd.labels[30:-30, 30:-30]):
        if one >= len(patch.diameters):
            assert area[one] >= (1 - MAX_HIDDEN_SHARE) * whole
    new = torch.from_numpy((crowd.labels > 0) & ~old)
    ground, nuclei = levels
    assert abs(float(crowd.image[0][new].median()) - nuclei) < abs(nuclei - ground) / 2


def test_without_room_nothing_is_pasted():
    patch = patch_of_ellipses()
    full = Patch(patch.image, np.ones_like(patch.labels), np.ones(2))
    assert pack(full, cut_out(patch), 1.0, np.random.default_rng(0)).labels.max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_shapes_stay_one_nucleus_in_one_piece(seed):
    rng = np.random.default_rng(seed)
    cutout = cut_out(patch_of_ellipses())[seed]
    changed = {shape: shape(cutout, rng) for shape in (textured, lobed, mitotic, defocused)}
    for shape, one in changed.items():
        assert label(one.inside).max() == 1
        assert np.isfinite(one.light).all()
        assert one.light.shape[1:] == one.inside.shape == one.opacity.shape
        assert one.light[:, one.inside].min() > 0, shape
    assert changed[textured].light[0][cutout.inside].std() > 0.03
    assert 0.5 < changed[lobed].inside.sum() / cutout.inside.sum() <= 1
    assert changed[mitotic].inside.sum() < 0.75 * cutout.inside.sum()
    assert changed[mitotic].light.mean() > cutout.light.mean()


@pytest.mark.parametrize("kind", ["plain", "texture", "lobes", "mitoses", "focus", "all"])
def test_each_kind_of_pasted_nuclei_can_be_had_by_itself(kind):
    patch = patch_of_ellipses(120)
    made = [with_pasted(patch, np.random.default_rng(seed), kind) for seed in range(4)]
    assert max(len(one.diameters) for one in made) > len(patch.diameters)
    plain = [with_pasted(patch, np.random.default_rng(seed), "plain") for seed in range(4)]
    same = [torch.equal(one.image, other.image) for one, other in zip(made, plain, strict=True)]
    assert all(same) == (kind == "plain")
    for one in made:
        assert one.labels.max() < len(one.diameters)
        assert one.image.min() >= 0
        assert one.image.quantile(0.998) <= 1.001


def test_where_no_nucleus_is_whole_none_is_pasted():
    patch = patch_of_ellipses()
    empty = Patch(patch.image, np.zeros_like(patch.labels), np.zeros(1))
    assert with_pasted(empty, np.random.default_rng(0)) is empty


def test_the_second_part_is_the_same_for_the_same_seed():
    bright_field, culture = patch_of_ellipses(128, 0.85, 0.3), patch_of_ellipses()
    purple = bright_field.image.numpy() * np.float32([[[0.9]], [[0.6]], [[0.95]]])
    histology = make_example("h", np.moveaxis(purple, 0, -1), bright_field.labels)
    wells = [
        make_example(f"w{i}", culture.image[0].numpy(), culture.labels, f"{i // 2}", "textured")
        for i in range(12)
    ]
    judged = find_judged(wells)
    assert [one.group for one in judged] == ["3", "3"]
    made, again, other = (make_second_part([histology], judged, seed) for seed in (0, 0, 1))
    assert {one.kind for one in made} == {
        "textured", "darkened", "lightened", "crowd_textured", "crowd_textured_out_of_focus",
    }  # fmt: skip
    for one, same in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.image, same.image)
        np.testing.assert_array_equal(one.labels, same.labels)
    assert any((one.image != new.image).any() for one, new in zip(made, other, strict=True))
    brightness = {one.kind: one.image.mean() for one in made}
    assert brightness["darkened"] < 255 * purple.mean() < brightness["lightened"]
    assert len({one.name for one in made}) == len(made)
