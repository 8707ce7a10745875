"""Patches for training, each seen in a new way every time."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_nuclei_unet.core.learning import Example, targets


def sample_patches(
    examples: list[Example],
    weights: NDArray[np.float64],
    n: int,
    size: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw augmented patches with their targets.

    Parameters
    ----------
    examples : list of Example
    weights : ndarray, shape (len(examples),)
        Probability of each example; they sum to 1.
    n, size : int
        Number of patches and their edge length in pixels.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    images : Tensor, shape (n, 3, size, size), float32
    targets : Tensor, shape (n, 3, size, size), float32
    weights : Tensor, shape (n, 1, size, size), float32
    """
    images, wanted, importance = [], [], []
    for index in rng.choice(len(examples), size=n, p=weights):
        image, labels = _warp(examples[index], size, rng)
        target, weight = targets(labels)
        images.append(recolour(image, rng))
        wanted.append(torch.from_numpy(target))
        importance.append(torch.from_numpy(weight))
    return torch.stack(images), torch.stack(wanted), torch.stack(importance)


def _warp(
    example: Example, size: int, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.int32]]:
    """Cut a patch at a random place, zoom, quarter turn, mirroring and elastic deformation."""
    height, width = example.image.shape[1:]
    zoom = float(np.exp(rng.normal(0, 0.3)).clip(0.5, 2.0))
    grid = _grid(size, rng) / zoom
    span = size / zoom
    for axis, extent in ((0, width), (1, height)):
        margin = max(extent - span, 0) / 2
        centre = extent / 2 + rng.uniform(-margin, margin)
        grid[..., axis] = (2 * (grid[..., axis] + centre)) / extent - 1
    grid = grid[None]
    image = _look_up(example.image, grid, "bilinear")
    labels = _look_up(example.labels, grid, "nearest")[0]
    return image, labels.numpy().round().astype(np.int32)


def _look_up(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(
        image[None], grid, mode=mode, padding_mode="reflection", align_corners=False
    )[0]


def _grid(size: int, rng: np.random.Generator) -> Tensor:
    """Offsets (x, y) in pixels from the patch's centre, shape (size, size, 2)."""
    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], dim=-1)
    if rng.random() < 0.5:
        coarse = torch.from_numpy(rng.normal(0, 3, (1, 2, 6, 6)).astype(np.float32))
        bend = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
        grid = grid + bend[0].permute(1, 2, 0)
    if rng.random() < 0.5:
        grid = grid.flip(0)
    return torch.rot90(grid, int(rng.integers(4)), (0, 1))


def recolour(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary what a microscope varies: colour, inversion, gamma, contrast, blur and noise.

    Parameters
    ----------
    image : Tensor, shape (3, H, W), values 0 to 1
    rng : numpy.random.Generator

    Returns
    -------
    Tensor, shape (3, H, W), values 0 to 1
    """
    if rng.random() < 0.25:
        image = image * torch.from_numpy(rng.uniform(0.5, 1, (3, 1, 1)).astype(np.float32))
    elif rng.random() < 0.1:
        image = image.mean(0, keepdim=True).expand(3, -1, -1)
    if rng.random() < 0.15:
        image = 1 - image
    image = image.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.3)))
    image = image * rng.uniform(0.7, 1.15) + rng.normal(0, 0.05)
    if rng.random() < 0.25:
        image = _blurred(image, rng.uniform(0.4, 1.5))
    if rng.random() < 0.4:
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = image + rng.uniform(0, 0.08) * noise
    return image.clamp(0, 1)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(2 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image[None], [radius] * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, :, None], groups=3)
    return F.conv2d(rows, kernel[:, :, None, :], groups=3)[0]
