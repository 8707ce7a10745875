import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from napari_nuclei_unet.labels.diameter import size_to_diameter
from napari_nuclei_unet.network.unet import UNet, UNetConfig
from napari_nuclei_unet.training.augmentation import sample_patches
from napari_nuclei_unet.training.example import (
    DiceBCELoss,
    Example,
    NucleiLoss,
    edge_distance,
    make_targets,
)
from napari_nuclei_unet.training.photometric import relit


def test_dice_bce_of_four_pixels_worked_out_by_hand():
    logits = torch.zeros(1, 1, 2, 2)  # probability one half everywhere
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    dice = (2 * 1.0 + 1) / (2.0 + 2.0 + 1)
    expected = (1 - dice) + math.log(2)
    assert DiceBCELoss(smooth=1)(logits, target).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("size", [-1e4, 1e4])
def test_loss_is_finite_for_extreme_logits_and_empty_or_full_masks(fill, size):
    logits = torch.full((1, 2, 4, 4), size, requires_grad=True)
    loss = DiceBCELoss()(logits, torch.full((1, 2, 4, 4), fill))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    right = (size > 0) == (fill > 0)
    assert (loss.item() < 1e-3) == right


def test_pixels_of_weight_zero_change_nothing():
    torch.manual_seed(0)
    weight = torch.ones(1, 1, 8, 8)
    weight[..., 4:] = 0
    target = (torch.rand(1, 4, 8, 8) > 0.5).float()
    logits = torch.randn(1, 4, 8, 8)
    changed_logits, changed_target = logits.clone(), target.clone()
    changed_logits[..., 4:] = 50
    changed_target[..., 4:] = 1 - target[..., 4:]
    loss = NucleiLoss()
    torch.testing.assert_close(
        loss(logits, target, weight), loss(changed_logits, changed_target, weight)
    )


def test_targets_of_two_touching_squares():
    labels = np.zeros((13, 18), np.int32)
    labels[4:9, 4:9] = 4
    labels[4:9, 9:14] = 9
    (nucleus, border, distance, size), weight = make_targets(labels)
    assert (nucleus == (labels > 0)).all()
    assert border[6, 8]
    assert border[6, 9]
    assert not border[6, 4]
    assert distance[6, 6] == 1
    assert distance[6, 11] == 1
    assert distance[6, 8] < 0.5
    near = np.zeros(labels.shape, bool)
    near[2:11, 2:16] = True  # two pixels around the squares, which are small: three times
    assert (weight[0] == np.where(near, 3, 1) * np.where(border, 5, 1)).all()
    diameter = np.sqrt(4 / np.pi * 25)
    np.testing.assert_allclose(size_to_diameter(size[nucleus > 0]), diameter, rtol=1e-5)
    assert (size[nucleus == 0] == 0).all()


def test_large_nuclei_weigh_as_background_does():
    labels = np.zeros((60, 60), np.int32)
    labels[10:50, 10:50] = 1
    assert (make_targets(labels)[1] == 1).all()
    # what is cut off a large nucleus is no small one
    assert (make_targets(labels[:, :14], np.array([0.0, 45.0]))[1] == 1).all()


def test_distance_of_an_empty_image_is_zero():
    assert (edge_distance(np.zeros((5, 6), np.int32)) == 0).all()


@pytest.fixture
def example(three_discs):
    from skimage.measure import label

    image = torch.from_numpy(three_discs / np.float32(255)).expand(3, -1, -1).contiguous()
    labels = torch.from_numpy(label(three_discs > 0).astype(np.float32))[None]
    return Example("discs", image, labels, "discs", "")


def test_patches_are_reproducible_and_image_and_labels_move_together(example):
    drawn = [sample_patches(6 * [example], 64, np.random.default_rng(3)) for _ in range(2)]
    for first, second in zip(*drawn, strict=True):
        assert torch.equal(first, second)
    images, wanted, weight = drawn[0]
    assert images.shape == (6, 3, 64, 64)
    assert wanted.shape == (6, 4, 64, 64)
    assert weight.shape == (6, 1, 64, 64)
    assert images.min() >= 0
    assert images.max() <= 1
    full = wanted[:, 0].mean((1, 2)) > 0.02
    assert full.sum() >= 3  # the others fell between the discs
    for image, target in zip(images.mean(1)[full], wanted[full, 0], strict=True):
        inside, outside = image[target > 0].mean(), image[target == 0].mean()
        assert abs(inside - outside) > 0.05  # inverted ones are darker inside


def test_without_augmentation_only_places_and_sizes_change(example):
    rng = np.random.default_rng(0)
    images, wanted, weight = sample_patches(12 * [example], 64, rng, strength=0.0)
    bright = float(example.image.max())
    sure = (F.avg_pool2d(wanted[:, :1], 15, 1, 7) * weight) == 1  # not at an edge
    assert sure.any()
    torch.testing.assert_close(images[:, :1][sure], torch.full((int(sure.sum()),), bright))
    assert torch.equal(images[:, 0], images[:, 2])


def test_relighting_changes_nuclei_and_not_the_ground(example):
    labels = example.ids
    image = relit(example.image, labels, np.random.default_rng(0))
    levels = [float(image[0][torch.from_numpy(labels == i)].median()) for i in (1, 2, 3)]
    assert len({round(level, 2) for level in levels}) == 3
    far = ~ndimage.binary_dilation(labels > 0, iterations=8)
    torch.testing.assert_close(image[:, far], example.image[:, far])


def test_a_small_network_learns_one_patch_by_heart(example):
    torch.manual_seed(0)
    images, wanted, weight = sample_patches([example], 64, np.random.default_rng(1))
    network = UNet(UNetConfig(out_channels=4, width=8, depth=2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    loss_of = NucleiLoss()
    for _ in range(80):
        logits = network(images)
        loss = loss_of(logits, wanted, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    predicted = torch.sigmoid(logits.detach())
    nucleus = wanted[:, 0] > 0
    found = predicted[:, 0] > 0.5
    assert (nucleus & found).sum() / (nucleus | found).sum() > 0.9
    error = (predicted[:, 2] - wanted[:, 2]).abs()[nucleus]
    assert error.mean() < 0.1
