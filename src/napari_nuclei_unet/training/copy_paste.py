"""Copies of a patch's own nuclei, pasted among them: crowds, micronuclei and fragments.

Copies bring their labels with them (Ghiasi et al. 2021, arXiv:2012.07177).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

# A nucleus is not added where others would hide more of it than this part.
MOST_HIDDEN = 0.3
# Chance that a crowded patch becomes twice as crowded again, and how often at most: from nuclei
# that touch here and there to tissue in which they touch everywhere.
CROWDED_AGAIN, MOST_ROUNDS = 0.6, 3
# Blur of the seam around an added nucleus, in pixels.
SEAM = 1.0
# Nuclei with micronuclei and fragments have at least this diameter, in pixels: those of smaller
# ones would be specks of a pixel or two.
LEAST_PARENT = 24.0
# A nucleus is copied where others leave at least this part of it visible.
LEAST_WHOLE = 0.8
# Diameters of micronuclei relative to those of nuclei: from a sixteenth to a third are usual
# (Fenech 2007, doi:10.1038/nprot.2007.77); under 0.12 hardly a pixel is left.
LEAST_SHRUNK, MOST_SHRUNK = 0.12, 0.35
# Most micronuclei in a patch; and their smallest area in pixels, as fewer are noise.
MOST_MICRONUCLEI, LEAST_AREA = 4, 6
# Largest gap between nucleus and micronucleus, relative to the diameter of the nucleus: within
# the cell.
LARGEST_GAP = 0.3
# How much of what is behind it a micronucleus hides, and by how much its edge is blurred, in
# pixels: a shrunken copy is sharper than any lens.
OPACITY, SOFTNESS = (0.5, 1.0), (0.4, 1.3)
# Pixels around a copy that its blur may reach.
RIM = 3


@dataclass(frozen=True, eq=False)
class Patch:
    """A patch and its nuclei.

    Attributes
    ----------
    image : Tensor, shape (3, size, size)
    labels : ndarray, shape (size, size), int32
    diameters : ndarray, shape (n,)
        Of every id, those included that do not occur; of the background at 0.
    """

    image: Tensor
    labels: NDArray[np.int32]
    diameters: NDArray[np.float64]


def crowded(patch: Patch, rng: np.random.Generator, strength: float = 1.0) -> Patch:
    """Add mirror images of a patch's nuclei, one to three times, until many touch.

    Parameters
    ----------
    patch : Patch
    rng : numpy.random.Generator
        Decides how often, and which mirror images.
    strength : float, 0 to 1
        How likely it is done again.

    Returns
    -------
    Patch
        Added nuclei have ids from ``len(patch.diameters)`` on.
    """
    turns = rng.permutation(MOST_ROUNDS)
    shifts = rng.integers(0, patch.labels.shape, (MOST_ROUNDS, 2))
    again = rng.random(MOST_ROUNDS) < CROWDED_AGAIN * strength
    for done, turn in enumerate(turns):
        if done and not again[done]:
            break
        patch = with_mirror_image(patch, int(turn), shifts[done])
    return patch


def with_mirror_image(patch: Patch, turn: int, shift: NDArray[np.integer]) -> Patch:
    """Add the whole nuclei of the patch turned by 180° (0), upside down (1) or transposed (2).

    The mirror image is shifted, or nuclei on its axis would grow together with themselves. Where
    nuclei are brighter than what is around them the brighter of both images shows, else the darker
    one, as overlapping nuclei add up or absorb. Of two in one place the first stays.
    """
    image, labels, diameters = patch.image, patch.labels, patch.diameters
    n = len(diameters)
    turned = _turned(torch.from_numpy(labels), turn).numpy()
    cut = _cut(labels)
    turned = np.roll(turned, shift, (0, 1))
    mirrored = _turned(image, turn).roll(shift.tolist(), (1, 2))
    area = np.bincount(turned.ravel(), minlength=n)
    hidden = np.bincount(turned.ravel(), labels.ravel() > 0, minlength=n)
    fits = hidden <= MOST_HIDDEN * area
    fits[0] = False
    fits[cut] = False
    added = fits[turned]
    both = np.where((labels == 0) & added, turned + n, labels).astype(np.int32)
    blend = torch.maximum if _is_bright(image, labels) else torch.minimum
    around = ndimage.binary_dilation(added, iterations=2).astype(np.float32)
    share = torch.from_numpy(ndimage.gaussian_filter(around, SEAM))
    image = image + share * (blend(image, mirrored) - image)
    return Patch(image, both, np.tile(diameters, 2))


def _cut(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the ids at the edges of a patch, which may cut them; some of them repeatedly."""
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def _turned(image: Tensor, turn: int) -> Tensor:
    """Turn the last two axes by 180°, upside down, or transpose them."""
    return (image.flip(-2, -1), image.flip(-2), image.transpose(-2, -1))[turn]


def with_micronuclei(patch: Patch, rng: np.random.Generator) -> Patch:
    """Paste shrunken copies of large, bright nuclei next to them, each a nucleus of its own.

    In bright-field images nothing is pasted: small dark specks are pigment and debris there.

    Parameters
    ----------
    patch : Patch
    rng : numpy.random.Generator

    Returns
    -------
    Patch
        Pasted ones have ids from ``len(patch.diameters)`` on; the same patch where no nucleus
        is large enough, or there is no room.
    """
    parents = _parents(patch)
    if not parents.size or not _is_bright(patch.image, patch.labels):
        return patch
    for _ in range(int(rng.integers(1, MOST_MICRONUCLEI + 1))):
        patch = _with_micronucleus(patch, parents, rng)
    return patch


def _is_bright(image: Tensor, labels: NDArray[np.int32]) -> bool:
    """Whether nuclei are brighter than what is around them."""
    inside = torch.from_numpy(labels > 0)
    return bool(inside.all() or image[:, inside].mean() > image[:, ~inside].mean())


def _parents(patch: Patch) -> NDArray[np.intp]:
    """Return the ids of large nuclei of which no edge and no other nucleus hides much."""
    area = np.bincount(patch.labels.ravel(), minlength=len(patch.diameters))
    whole = area >= LEAST_WHOLE * np.pi / 4 * patch.diameters**2
    large = patch.diameters >= LEAST_PARENT
    large[0] = False
    large[_cut(patch.labels)] = False
    return np.flatnonzero(whole & large)


def _with_micronucleus(patch: Patch, parents: NDArray[np.intp], rng: np.random.Generator) -> Patch:
    """Paste a copy of one of the ``parents`` next to one of them, if there is room."""
    image, labels, diameters = patch.image, patch.labels, patch.diameters
    source, beside = rng.choice(parents, 2)
    small, mask = _shrunken(image, labels == source, rng.uniform(LEAST_SHRUNK, MOST_SHRUNK))
    place = _room(labels, beside, mask, LARGEST_GAP * diameters[beside], rng)
    if place is None:
        return patch
    core = (mask > 0.5) & (labels[place] == 0)
    if core.sum() < LEAST_AREA:
        return patch
    sigma = rng.uniform(*SOFTNESS)
    # dimmer than its nucleus, as there is less of it above and below the plane of focus
    opacity = torch.from_numpy(ndimage.gaussian_filter(mask, sigma)) * rng.uniform(*OPACITY)
    soft = torch.from_numpy(ndimage.gaussian_filter(small.numpy(), (0, sigma, sigma)))
    image, labels = image.clone(), labels.copy()
    image[:, *place] += opacity * (soft - image[:, *place])
    labels[place][core] = len(diameters)
    return Patch(image, labels, np.append(diameters, np.sqrt(4 / np.pi * core.sum())))


def _shrunken(
    image: Tensor, inside: NDArray[np.bool_], ratio: float
) -> tuple[Tensor, NDArray[np.float32]]:
    """Return a nucleus shrunk by ``ratio``, with its colour around it, and its soft mask."""
    box = ndimage.find_objects(inside.astype(np.int8))[0]
    mask = torch.from_numpy(inside[box])
    pixels = image[:, *box]
    mean = pixels[:, mask].mean(1)[:, None, None]
    both = torch.cat([torch.where(mask, pixels, mean), mask[None].float()])[None]
    shape = [max(1, round(ratio * extent)) for extent in mask.shape]
    both = F.interpolate(both, shape, mode="bilinear", antialias=True)
    both = F.pad(both, [RIM] * 4, mode="replicate")[0]
    rim = np.pad(np.ones(shape, np.float32), RIM)
    return both[:3], both[3].numpy() * rim


def _room(
    labels: NDArray[np.int32],
    beside: int,
    mask: NDArray[np.float32],
    gap: float,
    rng: np.random.Generator,
) -> tuple[slice, slice] | None:
    """Return a random place for ``mask`` within ``gap`` of a nucleus, off all others, if any."""
    radius = np.sqrt((mask > 0.5).sum() / np.pi)
    free = ndimage.distance_transform_edt(labels == 0)
    near = ndimage.distance_transform_edt(labels != beside)
    fits = (free > radius) & (near <= radius + gap)
    before = [extent // 2 for extent in mask.shape]
    for axis, extent in enumerate(mask.shape):
        along = np.moveaxis(fits, axis, 0)
        along[: before[axis]] = False
        along[len(along) - (extent - before[axis]) + 1 :] = False
    places = np.argwhere(fits)
    if not len(places):
        return None
    y, x = places[rng.integers(len(places))] - before
    return slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
