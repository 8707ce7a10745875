"""Photometric augmentation: other microscopes, stains and cameras."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..arrays.resampling import interpolate_grid
from .example import Example

# A patch with a higher median has a bright background: bright field, mostly histology.
BRIGHT = 0.5
# Standard deviation of the logarithm of gamma. Scanners expose bright field differently: after
# normalisation its median is from about 0.4 to 0.9, and no gamma goes beyond that. A dark
# background is always dark.
GAMMA, BRIGHT_GAMMA = 0.3, 0.5
DARKEST, BRIGHTEST = 0.4, 0.9
# The same of the amount of stain in each channel: sections differ in thickness and staining.
STAIN, BRIGHT_STAIN = 0.25, 0.4
# Out-of-focus light: sigma of its blur, in pixels, and its brightness. From a haze around each
# nucleus to a glow of the whole tissue.
HAZE_WIDTH, HAZE = (4.0, 15.0), (0.2, 0.8)


def relit(image: Tensor, labels: NDArray[np.int32], rng: np.random.Generator) -> Tensor:
    """Vary the contrast of every nucleus by itself: dim ones beside bright ones."""
    outside = torch.from_numpy(labels == 0)
    if not outside.any():
        return image
    background = image[:, outside].median(dim=1).values[:, None, None]
    change = rng.normal(0, 0.45, labels.max() + 1).astype(np.float32)
    change[0] = 0
    soft = ndimage.gaussian_filter(ndimage.grey_dilation(change[labels], 3), 1.0)
    return background + (image - background) * torch.from_numpy(np.exp(soft))


def hazed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add out-of-focus light: the blurred mirror image of a patch.

    Parameters
    ----------
    image : Tensor, shape (3, H, W), values 0 to 1
        With a dark background.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor, shape (3, H, W), values 0 to 1
        Darkened as a whole where the sum is brighter than 1, as the exposure would be.
    """
    axes = ((1,), (2,), (1, 2))[rng.integers(3)]
    haze = _blur(image.flip(axes), rng.uniform(*HAZE_WIDTH))
    total = image + rng.uniform(*HAZE) * haze
    return total / total.max().clamp(min=1)


def is_bright_field(image: Tensor) -> bool:
    """Return whether the background of an image is bright."""
    return bool(image.median() > BRIGHT)


def recolour(
    image: Tensor, rng: np.random.Generator, strength: float = 1.0, *, wide: bool = False
) -> Tensor:
    """Vary what a microscope varies: colour, inversion, gamma, light, contrast, blur and noise.

    Parameters
    ----------
    image : Tensor, shape (3, H, W), values 0 to 1
    rng : numpy.random.Generator
    strength : float, 0 to 1
        As in :func:`sample_patches`.
    wide : bool, optional
        Vary bright fields more, in exposure and in stain.

    Returns
    -------
    Tensor, shape (3, H, W), values 0 to 1
    """

    def happens(chance: float) -> bool:
        return bool(rng.random() < chance * strength)

    image = _vary_stain(image.clamp(0, 1), rng, strength, wide)
    if happens(0.15):
        image = 1 - image
    image, deviation = image.clamp(0, 1), rng.normal(0, GAMMA) * strength
    if wide and is_bright_field(image):
        image = _vary_exposure(image, deviation * BRIGHT_GAMMA / GAMMA)
    else:
        image = image ** float(np.exp(deviation))
    if happens(0.2):
        image = image * _draw_illumination(image.shape[-1], rng)
    if happens(0.2):
        image = image + _draw_clouds(image.shape[-1], rng)
    contrast, brightness = rng.uniform(0.6, 1.25), rng.normal(0, 0.05)
    image = image * contrast**strength + brightness * strength
    if happens(0.25):
        image = _blur(image, rng.uniform(0.4, 1.5))
    if happens(0.4):
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = image + rng.uniform(0, 0.1) * noise
    return image.clamp(0, 1)


def disturbed(example: Example, seed: int) -> Example:
    """Recolour a whole example as if another microscope had taken it.

    Parameters
    ----------
    example : Example
    seed : int

    Returns
    -------
    Example
        Positions and sizes are unchanged.
    """
    height, width = example.ids.shape
    square = torch.zeros(3, *(2 * [max(height, width)]))
    square[:, :height, :width] = example.image
    changed = recolour(square, np.random.default_rng(seed))
    return replace(example, image=changed[:, :height, :width].contiguous())


def _vary_exposure(image: Tensor, log_gamma: float) -> Tensor:
    """Darken (more than 0) or lighten a bright field by a gamma, as far as its median allows."""
    median = min(float(image.median()), 0.999)
    low, high = (math.log(end) / math.log(median) for end in (BRIGHTEST, DARKEST))
    gamma = math.exp(log_gamma)
    return image ** min(max(gamma, min(low, 1)), max(high, 1))


def _vary_stain(image: Tensor, rng: np.random.Generator, strength: float, wide: bool) -> Tensor:
    """Vary stain and camera."""
    chance = rng.random() / strength if strength else 1.0
    if chance < 0.2:
        return image * torch.from_numpy(rng.uniform(0.5, 1, (3, 1, 1)).astype(np.float32))
    if chance < 0.4:
        return _mix_channels(image, 0.15, rng)
    if chance < 0.5:
        return image.mean(0, keepdim=True).expand(3, -1, -1)
    if chance < 0.65:
        return _map_to_two_colours(image, rng)
    if chance < 0.8:
        # stains absorb light: they add up, and vary, in the logarithm of the transmitted light
        absorbed = _mix_channels(-image.clamp(min=1 / 255).log(), 0.1, rng)
        spread = BRIGHT_STAIN if wide and is_bright_field(image) else STAIN
        amount = np.exp(rng.normal(0, spread, (3, 1, 1))).astype(np.float32)
        return (-absorbed * torch.from_numpy(amount)).exp()
    return image


def _mix_channels(image: Tensor, amount: float, rng: np.random.Generator) -> Tensor:
    """Mix a little of the other channels into each; grey stays grey."""
    mix = np.eye(3) + rng.normal(0, amount, (3, 3))
    mix /= mix.sum(1, keepdims=True)
    return torch.einsum("ij,jyx->iyx", torch.from_numpy(mix.astype(np.float32)), image)


def _map_to_two_colours(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Map dark to bright onto a gradient of two colours that differ in brightness."""
    while True:
        dark, bright = rng.uniform(0, 1, (2, 3, 1, 1)).astype(np.float32)
        if abs(dark.mean() - bright.mean()) > 0.25:
            break
    grey = image.mean(0, keepdim=True)
    return torch.from_numpy(dark) + torch.from_numpy(bright - dark) * grey


def _draw_clouds(size: int, rng: np.random.Generator) -> Tensor:
    """Draw faintly coloured clouds, coarse or fine, of shape (3, size, size)."""
    n = int(rng.integers(4, max(size // 8, 5)))
    field = interpolate_grid(rng.normal(0, 1, (1, n, n)), size)
    colour = rng.uniform(-1, 1, (3, 1, 1)) if rng.random() < 0.5 else np.ones((3, 1, 1))
    return field * torch.from_numpy((colour * rng.uniform(0, 0.12)).astype(np.float32))


def _draw_illumination(size: int, rng: np.random.Generator) -> Tensor:
    """Draw smoothly varying illumination, from 0.5 to 1, of shape (1, size, size)."""
    return interpolate_grid(rng.uniform(0.5, 1, (1, 2, 2)), size)


def _blur(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(2 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image[None], [radius] * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, :, None], groups=3)
    return F.conv2d(rows, kernel[:, :, None, :], groups=3)[0]
