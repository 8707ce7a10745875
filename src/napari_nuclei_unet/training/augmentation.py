"""Patches for training, augmented differently every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays.resampling import interpolate_grid, resize_nearest, resize_tensor
from .copy_paste import Patch, crowded, with_micronuclei, with_rotated_copy
from .crowds import with_pasted
from .example import Example, make_targets
from .photometric import hazed, is_bright_field, recolour, relit

# How nuclei are rescaled. Most patches show them at about the size in their image, or at about the
# size to which segmentation zooms those that are too small or too large for the network; the rest
# at any size that a user may have, between the smallest and the largest, in pixels.
LOG_ZOOM_DEVIATION, TYPICAL_DRAWN_DIAMETER = 0.35, 24.0
ORIGINAL_SIZE_SHARE, ANY_SIZE_SHARE = 0.45, 0.2
MIN_DRAWN_DIAMETER, MAX_DRAWN_DIAMETER = 8.0, 110.0
MIN_PATCH_ZOOM, MAX_PATCH_ZOOM = 0.3, 6.0
# Share of the patches that are drawn around a nucleus, wherever it is; others fall anywhere.
NUCLEUS_CENTRED_SHARE = 0.5
# Share of the patches that are crowded with nuclei of their own mirror image, and of those in
# which every nucleus gets a brightness of its own.
CROWDED, RELIT = 0.2, 0.25
# Share of the patches into which nuclei are pasted one by one, if they are at all.
PASTED = 0.15
# Share of the patches with large nuclei that get micronuclei: enough to learn them, while most
# patches keep the sizes of their nuclei; and of those with a dark background that get
# out-of-focus light, which confocal microscopes do not show.
MICRONUCLEI, HAZED = 0.25, 0.2
# A pixel of a patch is known where at least this share of what it shows is.
ALL_BUT = 0.99
# Patches may reach this far, in pixels, beyond the image, into the mirrored border that the
# network also gets when it segments.
OVERHANG = 32.0


@dataclass(frozen=True)
class Variety:
    """What patches show beyond what the shipped model was trained with.

    Attributes
    ----------
    wide : bool
        Whether ``TrainParams.variety`` is wide.
    paste : str
        As ``TrainParams.paste``.
    """

    wide: bool = False
    paste: str = "nothing"


USUAL = Variety()


def sample_patches(
    examples: list[Example],
    size: int,
    rng: np.random.Generator,
    strength: float = 1.0,
    variety: Variety = USUAL,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw an augmented patch of each example, with its targets.

    Parameters
    ----------
    examples : list of Example
    size : int
        Edge length of the patches in pixels.
    rng : numpy.random.Generator
        Decides everything.
    strength : float, 0 to 1
        How often, and how much, nuclei and colours are changed; positions, orientations and sizes
        are drawn in any case.
    variety : Variety, optional

    Returns
    -------
    images : Tensor, shape (n, 3, size, size), float32
    targets : Tensor, shape (n, 4, size, size), float32
    weights : Tensor, shape (n, 1, size, size), float32
        0 beyond the image, else as from :func:`make_targets`.
    """
    patches = [_augment(example, size, rng, strength, variety) for example in examples]
    images, targets, pixel_weights = (torch.stack(parts) for parts in zip(*patches, strict=True))
    return images, targets, pixel_weights


def _augment(
    example: Example, size: int, rng: np.random.Generator, strength: float, variety: Variety
) -> tuple[Tensor, Tensor, Tensor]:
    zoom = _draw_zoom(example.diameter, rng)
    grid, inside = _draw_positions(example, size, zoom, rng)
    image = _sample(example.image, grid, "bilinear")
    labels = _sample(example.labels, grid, "nearest")[0].numpy().round().astype(np.int32)
    patch = _vary_nuclei(Patch(image, labels, example.diameters * zoom), rng, strength, variety)
    target, weight = make_targets(patch.labels, patch.diameters)
    if example.known is not None:
        inside = inside * (_sample(example.known, grid, "bilinear") > ALL_BUT)
    return (
        recolour(patch.image, rng, strength, wide=variety.wide),
        torch.from_numpy(target),
        torch.from_numpy(weight) * inside,
    )


def _vary_nuclei(
    patch: Patch, rng: np.random.Generator, strength: float, variety: Variety
) -> Patch:
    """Change which nuclei there are, and how bright each is."""

    def happens(chance: float) -> bool:
        return bool(rng.random() < chance * strength)

    wide = variety.wide
    if patch.labels.any():
        # nothing is drawn without, so that a seed gives the patches that it always gave
        if variety.paste != "nothing" and happens(PASTED):
            patch = with_pasted(patch, rng, variety.paste)
        elif happens(CROWDED):
            patch = crowded(patch, rng, strength) if wide else with_rotated_copy(patch)
        if wide and happens(MICRONUCLEI):
            patch = with_micronuclei(patch, rng)
        if happens(RELIT):
            patch = replace(patch, image=relit(patch.image, patch.labels, rng))
    if wide and happens(HAZED) and not is_bright_field(patch.image):
        patch = replace(patch, image=hazed(patch.image.clamp(0, 1), rng))
    return patch


def whole_images(
    examples: list[Example], size: int, rng: np.random.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Resize whole images to squares, as the paper of the recipe ``seed`` does.

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
    images, targets, weights = [], [], []
    for example in examples:
        resized = resize_example(example, (size, size))
        image, labels = resized.image, resized.labels
        if rng is not None and rng.random() < 0.5:
            image, labels = image.flip(-1), labels.flip(-1)
        target, weight = make_targets(labels[0].numpy().astype(np.int32))
        images.append(image)
        targets.append(torch.from_numpy(target))
        weights.append(torch.from_numpy(weight))
    return torch.stack(images), torch.stack(targets), torch.stack(weights)


def resize_example(example: Example, shape: Sequence[int]) -> Example:
    """Resize a whole example to this height and width."""
    return replace(
        example,
        image=resize_tensor(example.image, shape),
        labels=resize_nearest(example.labels, shape),
        known=None if example.known is None else resize_nearest(example.known, shape),
    )


def rescale_example(example: Example, zoom: float) -> Example:
    """Rescale a whole example; a ``zoom`` of less than 1 shrinks it."""
    extents = example.labels.shape[1:]
    return resize_example(example, [max(1, round(zoom * extent)) for extent in extents])


def _draw_zoom(diameter: float, rng: np.random.Generator) -> float:
    zoom, chance = float(np.exp(rng.normal(0, LOG_ZOOM_DEVIATION))), rng.random()
    if diameter and chance < ANY_SIZE_SHARE:
        drawn = np.exp(rng.uniform(np.log(MIN_DRAWN_DIAMETER), np.log(MAX_DRAWN_DIAMETER)))
        zoom = float(drawn) / diameter
    elif diameter and chance > ANY_SIZE_SHARE + ORIGINAL_SIZE_SHARE:
        zoom *= TYPICAL_DRAWN_DIAMETER / diameter
    return min(max(zoom, MIN_PATCH_ZOOM), MAX_PATCH_ZOOM)


def _draw_positions(
    example: Example, size: int, zoom: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the relative sampling positions of a patch, and whether each is in the image."""
    grid = _draw_offsets(size, rng) / zoom
    span = size / zoom
    overhang = OVERHANG / zoom if rng.random() < 0.5 else 0.0
    centre = rng.random(2) * example.labels.shape[1:]
    if example.known_positions.size:
        centre = rng.choice(example.known_positions)
    if example.centres.size and rng.random() < NUCLEUS_CENTRED_SHARE:
        centre = rng.choice(example.centres) + rng.uniform(-0.4, 0.4, 2) * span
    is_inside = torch.ones(size, size, dtype=torch.bool)
    for axis, extent in ((0, example.labels.shape[2]), (1, example.labels.shape[1])):
        margin = max(extent - span, 0) / 2 + overhang
        middle = (extent - 1) / 2
        position = grid[..., axis] + np.clip(centre[1 - axis], middle - margin, middle + margin)
        is_inside &= (position > -0.5) & (position < extent - 0.5)
        grid[..., axis] = 2 * position / max(extent - 1, 1) - 1
    return grid[None], is_inside.float()[None]


def _sample(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    # corners aligned: mirrored about the middle of the edge pixel, as arrays.tiling does
    return F.grid_sample(
        image[None], grid, mode=mode, padding_mode="reflection", align_corners=True
    )[0]


def _draw_offsets(size: int, rng: np.random.Generator) -> Tensor:
    """Draw offsets (x, y) in pixels from the patch's centre, of shape (size, size, 2)."""
    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], dim=-1)
    if rng.random() < 0.5:
        bend = interpolate_grid(rng.normal(0, 3, (2, 6, 6)), size, "bicubic")
        grid = grid + bend.permute(1, 2, 0)
    if rng.random() < 0.5:
        grid = grid.flip(0)
    return torch.rot90(grid, int(rng.integers(4)), (0, 1))
