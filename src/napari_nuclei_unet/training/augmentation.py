"""Patches for training, each seen in a new way every time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_nuclei_unet.training.example import Example, targets

# How nuclei are shrunk and enlarged. Most patches show them about as they are in their image, or
# about as large as the engine makes those that are too small or too large for the network; the
# rest in any size that a user may have, down to the smallest and up to the largest, in pixels.
USUAL_ZOOM, USUAL_DIAMETER = 0.35, 24.0
AS_IT_IS, ANY_SIZE = 0.45, 0.2
SMALLEST, LARGEST = 8.0, 110.0
LEAST_ZOOM, MOST_ZOOM = 0.3, 6.0
# Share of the patches that are drawn around a nucleus, wherever it is; others fall anywhere.
AROUND_NUCLEUS = 0.5
# Share of the patches that are crowded with nuclei of their own mirror image, and of those in
# which every nucleus gets a brightness of its own.
CROWDED, RELIT = 0.2, 0.25
# A nucleus is not added where others would hide more of it than this part.
MOST_HIDDEN = 0.3
# A pixel of a patch is known where nearly all that it shows is.
ALL_BUT = 0.99
# Patches may reach so far, in pixels, beyond the image, into the mirror image that the engine
# shows the network there.
OVERHANG = 32.0


def sample_patches(
    examples: list[Example],
    weights: NDArray[np.float64],
    n: int,
    size: int,
    rng: np.random.Generator,
    strength: float = 1.0,
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
    strength : float, 0 to 1
        How often, and how much, nuclei and colours are changed; places, directions and sizes
        are drawn in any case.

    Returns
    -------
    images : Tensor, shape (n, 3, size, size), float32
    targets : Tensor, shape (n, 4, size, size), float32
    weights : Tensor, shape (n, 1, size, size), float32
        0 beyond the image, else as from ``core.learning.targets``.
    """
    drawn = [
        _augmented(examples[index], size, rng, strength)
        for index in rng.choice(len(examples), size=n, p=weights)
    ]
    images, wanted, importance = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    return images, wanted, importance


def _augmented(
    example: Example, size: int, rng: np.random.Generator, strength: float
) -> tuple[Tensor, Tensor, Tensor]:
    zoom = _zoom(example.diameter, rng)
    grid, inside = _places(example, size, zoom, rng)
    image = _look_up(example.image, grid, "bilinear")
    labels = _look_up(example.labels, grid, "nearest")[0].numpy().round().astype(np.int32)
    diameters = example.diameters * zoom
    if labels.any():
        if rng.random() < CROWDED * strength:
            image, labels = _crowded(image, labels, len(diameters))
            diameters = np.tile(diameters, 2)
        if rng.random() < RELIT * strength:
            image = _relit(image, labels, rng)
    target, weight = targets(labels, diameters)
    if example.known is not None:
        inside = inside * (_look_up(example.known, grid, "bilinear") > ALL_BUT)
    return (
        recolour(image, rng, strength),
        torch.from_numpy(target),
        torch.from_numpy(weight) * inside,
    )


def whole_images(
    examples: list[Example], size: int, rng: np.random.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Whole images resized to squares, as the paper of the recipe ``seed`` does.

    Parameters
    ----------
    examples : list of Example
    size : int
        Edge length in pixels.
    rng : numpy.random.Generator, optional
        Mirrors about half of the images, left to right; none is mirrored without.

    Returns
    -------
    images, targets, weights : Tensor
        As from :func:`sample_patches`, of all examples in their order.
    """
    images, wanted, importance = [], [], []
    for one in examples:
        image, labels = resized(one, size)
        if rng is not None and rng.random() < 0.5:
            image, labels = image.flip(-1), labels.flip(-1)
        target, weight = targets(labels[0].numpy().astype(np.int32))
        images.append(image)
        wanted.append(torch.from_numpy(target))
        importance.append(torch.from_numpy(weight))
    return torch.stack(images), torch.stack(wanted), torch.stack(importance)


def resized(example: Example, size: int) -> tuple[Tensor, Tensor]:
    """Image (3, size, size) and labels (1, size, size) of an example, squeezed to a square."""
    shape = (size, size)
    image = F.interpolate(example.image[None], shape, mode="bilinear", antialias=True)[0]
    return image, F.interpolate(example.labels[None], shape, mode="nearest-exact")[0]


def zoomed(example: Example, zoom: float) -> Example:
    """Give a whole example enlarged, or shrunk where ``zoom`` is less than 1."""
    shape = [max(1, round(zoom * extent)) for extent in example.labels.shape[1:]]
    known = example.known
    return replace(
        example,
        image=F.interpolate(example.image[None], shape, mode="bilinear", antialias=True)[0],
        labels=F.interpolate(example.labels[None], shape, mode="nearest-exact")[0],
        known=None if known is None else F.interpolate(known[None], shape, mode="nearest-exact")[0],
    )


def _zoom(diameter: float, rng: np.random.Generator) -> float:
    zoom, chance = float(np.exp(rng.normal(0, USUAL_ZOOM))), rng.random()
    if diameter and chance < ANY_SIZE:
        zoom = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))) / diameter
    elif diameter and chance > ANY_SIZE + AS_IT_IS:
        zoom *= USUAL_DIAMETER / diameter
    return min(max(zoom, LEAST_ZOOM), MOST_ZOOM)


def _places(
    example: Example, size: int, zoom: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Where a patch at a random place looks: relative positions, and whether in the image."""
    grid = _grid(size, rng) / zoom
    span = size / zoom
    overhang = OVERHANG / zoom if rng.random() < 0.5 else 0.0
    centre = rng.random(2) * example.labels.shape[1:]
    if example.places.size:
        centre = rng.choice(example.places)
    if example.centres.size and rng.random() < AROUND_NUCLEUS:
        centre = rng.choice(example.centres) + rng.uniform(-0.4, 0.4, 2) * span
    inside = torch.ones(size, size, dtype=torch.bool)
    for axis, extent in ((0, example.labels.shape[2]), (1, example.labels.shape[1])):
        margin = max(extent - span, 0) / 2 + overhang
        middle = (extent - 1) / 2
        place = grid[..., axis] + np.clip(centre[1 - axis], middle - margin, middle + margin)
        inside &= (place > -0.5) & (place < extent - 0.5)
        grid[..., axis] = 2 * place / max(extent - 1, 1) - 1
    return grid[None], inside.float()[None]


def _look_up(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    # corners aligned: mirrored about the middle of the edge pixel, as core.tiles does
    return F.grid_sample(
        image[None], grid, mode=mode, padding_mode="reflection", align_corners=True
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


def _crowded(image: Tensor, labels: NDArray[np.int32], n: int) -> tuple[Tensor, NDArray[np.int32]]:
    """Add the nuclei of the patch turned upside down, ids from ``n`` on: many touch then.

    Where nuclei are brighter than what is around them the brighter of both images shows, else
    the darker one, as overlapping nuclei add up or absorb. Of two in one place the first stays.
    """
    turned = np.ascontiguousarray(labels[::-1, ::-1])
    area = np.bincount(turned.ravel(), minlength=n)
    hidden = np.bincount(turned.ravel(), labels.ravel() > 0, minlength=n)
    fits = hidden <= MOST_HIDDEN * area
    fits[0] = False
    added = fits[turned]
    both = np.where((labels == 0) & added, turned + n, labels)
    inside = torch.from_numpy(labels > 0)
    brighter = image[:, inside].mean() > image[:, ~inside].mean() if not inside.all() else True
    blend = torch.maximum if brighter else torch.minimum
    shown = torch.from_numpy(ndimage.binary_dilation(added, iterations=2))
    return torch.where(shown, blend(image, image.flip(1, 2)), image), both


def _relit(image: Tensor, labels: NDArray[np.int32], rng: np.random.Generator) -> Tensor:
    """Give every nucleus a contrast of its own: dim ones beside bright ones."""
    outside = torch.from_numpy(labels == 0)
    if not outside.any():
        return image
    ground = image[:, outside].median(dim=1).values[:, None, None]
    change = rng.normal(0, 0.45, labels.max() + 1).astype(np.float32)
    change[0] = 0
    soft = ndimage.gaussian_filter(ndimage.grey_dilation(change[labels], 3), 1.0)
    return ground + (image - ground) * torch.from_numpy(np.exp(soft))


def recolour(image: Tensor, rng: np.random.Generator, strength: float = 1.0) -> Tensor:
    """Vary what a microscope varies: colour, inversion, gamma, light, contrast, blur and noise.

    Parameters
    ----------
    image : Tensor, shape (3, H, W), values 0 to 1
    rng : numpy.random.Generator
    strength : float, 0 to 1
        As in :func:`sample_patches`.

    Returns
    -------
    Tensor, shape (3, H, W), values 0 to 1
    """

    def happens(chance: float) -> bool:
        return bool(rng.random() < chance * strength)

    image = _tinted(image.clamp(0, 1), rng, strength)
    if happens(0.15):
        image = 1 - image
    image = image.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.3) * strength))
    if happens(0.2):
        image = image * _uneven_light(image.shape[-1], rng)
    if happens(0.2):
        image = image + _clouds(image.shape[-1], rng)
    contrast, brightness = rng.uniform(0.6, 1.25), rng.normal(0, 0.05)
    image = image * contrast**strength + brightness * strength
    if happens(0.25):
        image = _blurred(image, rng.uniform(0.4, 1.5))
    if happens(0.4):
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = image + rng.uniform(0, 0.1) * noise
    return image.clamp(0, 1)


def disturbed(example: Example, seed: int) -> Example:
    """Give a whole example as another microscope might have taken it.

    Parameters
    ----------
    example : Example
    seed : int

    Returns
    -------
    Example
        Places and sizes are as they were.
    """
    height, width = example.ids.shape
    square = torch.zeros(3, *(2 * [max(height, width)]))
    square[:, :height, :width] = example.image
    changed = recolour(square, np.random.default_rng(seed))
    return replace(example, image=changed[:, :height, :width].contiguous())


def _tinted(image: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Other stains and cameras."""
    chance = rng.random() / strength if strength else 1.0
    if chance < 0.2:
        return image * torch.from_numpy(rng.uniform(0.5, 1, (3, 1, 1)).astype(np.float32))
    if chance < 0.4:
        return _mixed(image, 0.15, rng)
    if chance < 0.5:
        return image.mean(0, keepdim=True).expand(3, -1, -1)
    if chance < 0.65:
        return _two_colours(image, rng)
    if chance < 0.8:
        # stains absorb: they add up, and vary, in the logarithm of the light that comes through
        absorbed = _mixed(-image.clamp(min=1 / 255).log(), 0.1, rng)
        amount = np.exp(rng.normal(0, 0.25, (3, 1, 1))).astype(np.float32)
        return (-absorbed * torch.from_numpy(amount)).exp()
    return image


def _mixed(image: Tensor, amount: float, rng: np.random.Generator) -> Tensor:
    """Let each channel show a little of the others; grey stays grey."""
    mix = np.eye(3) + rng.normal(0, amount, (3, 3))
    mix /= mix.sum(1, keepdims=True)
    return torch.einsum("ij,jyx->iyx", torch.from_numpy(mix.astype(np.float32)), image)


def _two_colours(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Paint dark and bright, and what is between, in two colours that differ in brightness."""
    while True:
        dark, bright = rng.uniform(0, 1, (2, 3, 1, 1)).astype(np.float32)
        if abs(dark.mean() - bright.mean()) > 0.25:
            break
    grey = image.mean(0, keepdim=True)
    return torch.from_numpy(dark) + torch.from_numpy(bright - dark) * grey


def _clouds(size: int, rng: np.random.Generator) -> Tensor:
    """Patches of a faint colour, coarse or fine, that are no nuclei; shape (3, size, size)."""
    n = int(rng.integers(4, max(size // 8, 5)))
    cells = torch.from_numpy(rng.normal(0, 1, (1, 1, n, n)).astype(np.float32))
    field = F.interpolate(cells, (size, size), mode="bilinear", align_corners=True)[0]
    colour = rng.uniform(-1, 1, (3, 1, 1)) if rng.random() < 0.5 else np.ones((3, 1, 1))
    return field * torch.from_numpy((colour * rng.uniform(0, 0.12)).astype(np.float32))


def _uneven_light(size: int, rng: np.random.Generator) -> Tensor:
    """Light between half and full that varies smoothly, shape (1, size, size)."""
    corners = torch.from_numpy(rng.uniform(0.5, 1, (1, 1, 2, 2)).astype(np.float32))
    return F.interpolate(corners, (size, size), mode="bilinear", align_corners=True)[0]


def _blurred(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(2 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image[None], [radius] * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, :, None], groups=3)
    return F.conv2d(rows, kernel[:, :, None, :], groups=3)[0]
