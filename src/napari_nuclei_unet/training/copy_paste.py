"""Copy-paste augmentation: a patch's own nuclei as crowds, micronuclei and fragments.

Copies keep their labels (Ghiasi et al. 2021, arXiv:2012.07177).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..arrays.boxes import bounding_box
from ..arrays.resampling import resize_tensor

# A nucleus is not added where others would hide more than this share of it.
MAX_HIDDEN_SHARE = 0.3
# Probability that a crowded patch is doubled once more, and the most rounds: from nuclei that
# touch here and there to tissue in which they touch everywhere.
CROWDED_AGAIN, MAX_CROWDED_ROUNDS = 0.6, 3
# Blur of the seam around an added nucleus, in pixels.
SEAM = 1.0
# Nuclei with micronuclei and fragments have at least this diameter, in pixels: those of smaller
# ones would be specks of a pixel or two.
MIN_PARENT_DIAMETER = 24.0
# A nucleus is copied where others leave at least this share of it visible.
MIN_VISIBLE_SHARE = 0.8
# Diameters of micronuclei relative to those of nuclei: from a sixteenth to a third are usual
# (Fenech 2007, doi:10.1038/nprot.2007.77); under 0.12 hardly a pixel is left.
MIN_SHRUNK, MAX_SHRUNK = 0.12, 0.35
# Most micronuclei in a patch; and their smallest area in pixels, as fewer are noise.
MAX_MICRONUCLEI, MIN_MICRONUCLEUS_AREA = 4, 6
# Largest gap between nucleus and micronucleus, relative to the diameter of the nucleus: within
# the cell.
MAX_GAP = 0.3
# Opacity of a micronucleus, and blur of its edge in pixels: a shrunken copy is sharper than what
# any lens shows.
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


def with_rotated_copy(patch: Patch) -> Patch:
    """Add the nuclei of the patch rotated by 180°, once, where others hide little of them.

    Where nuclei are brighter than their surroundings the brighter of both images shows, else the
    darker one, as overlapping nuclei add up or absorb. Of two in one place the first stays.
    """
    image, labels, n = patch.image, patch.labels, len(patch.diameters)
    rotated = np.ascontiguousarray(labels[::-1, ::-1])
    added = _fitting(rotated, labels, n)[rotated]
    merged = np.where((labels == 0) & added, rotated + n, labels)
    blend = torch.maximum if _is_bright(image, labels) else torch.minimum
    shown = torch.from_numpy(ndimage.binary_dilation(added, iterations=2))
    image = torch.where(shown, blend(image, image.flip(1, 2)), image)
    return Patch(image, merged, np.tile(patch.diameters, 2))


def _fitting(copies: NDArray[np.int32], labels: NDArray[np.int32], n: int) -> NDArray[np.bool_]:
    """Return which of the ids 0 to n - 1 of copied nuclei the labels hide little of."""
    area = np.bincount(copies.ravel(), minlength=n)
    hidden = np.bincount(copies.ravel(), labels.ravel() > 0, minlength=n)
    fits = hidden <= MAX_HIDDEN_SHARE * area
    fits[0] = False
    return fits


def crowded(patch: Patch, rng: np.random.Generator, strength: float = 1.0) -> Patch:
    """Add mirror images of a patch's nuclei, one to three times, until many touch.

    Parameters
    ----------
    patch : Patch
    rng : numpy.random.Generator
        Decides how often, and which mirror images.
    strength : float, 0 to 1
        How likely another round is.

    Returns
    -------
    Patch
        Added nuclei have ids from ``len(patch.diameters)`` on.
    """
    turns = rng.permutation(MAX_CROWDED_ROUNDS)
    shifts = rng.integers(0, patch.labels.shape, (MAX_CROWDED_ROUNDS, 2))
    again = rng.random(MAX_CROWDED_ROUNDS) < CROWDED_AGAIN * strength
    for done, turn in enumerate(turns):
        if done and not again[done]:
            break
        patch = with_mirror_image(patch, int(turn), shifts[done])
    return patch


def with_mirror_image(patch: Patch, turn: int, shift: NDArray[np.integer]) -> Patch:
    """Add the whole nuclei of the patch turned by 180° (0), upside down (1) or transposed (2).

    The mirror image is shifted, or nuclei on its axis would grow together with themselves; both
    images are blended as in :func:`with_rotated_copy`.
    """
    image, labels, diameters = patch.image, patch.labels, patch.diameters
    n = len(diameters)
    mirrored_labels = _turn(torch.from_numpy(labels), turn).numpy()
    edge_ids = find_edge_ids(labels)
    mirrored_labels = np.roll(mirrored_labels, shift, (0, 1))
    mirrored = _turn(image, turn).roll(shift.tolist(), (1, 2))
    fits = _fitting(mirrored_labels, labels, n)
    fits[edge_ids] = False
    added = fits[mirrored_labels]
    merged = np.where((labels == 0) & added, mirrored_labels + n, labels).astype(np.int32)
    blend = torch.maximum if _is_bright(image, labels) else torch.minimum
    surroundings = ndimage.binary_dilation(added, iterations=2).astype(np.float32)
    share = torch.from_numpy(ndimage.gaussian_filter(surroundings, SEAM))
    image = image + share * (blend(image, mirrored) - image)
    return Patch(image, merged, np.tile(diameters, 2))


def find_edge_ids(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the ids at the edges of a patch, which may cut them; some of them repeatedly."""
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def _turn(image: Tensor, turn: int) -> Tensor:
    """Rotate the last two axes by 180°, flip them upside down, or transpose them."""
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
    parents = _find_parents(patch)
    if not parents.size or not _is_bright(patch.image, patch.labels):
        return patch
    for _ in range(int(rng.integers(1, MAX_MICRONUCLEI + 1))):
        patch = _add_micronucleus(patch, parents, rng)
    return patch


def _is_bright(image: Tensor, labels: NDArray[np.int32]) -> bool:
    """Return whether nuclei are brighter than their surroundings."""
    inside = torch.from_numpy(labels > 0)
    return bool(inside.all() or image[:, inside].mean() > image[:, ~inside].mean())


def _find_parents(patch: Patch) -> NDArray[np.intp]:
    """Find the ids of large nuclei of which no edge and no other nucleus hides much."""
    area = np.bincount(patch.labels.ravel(), minlength=len(patch.diameters))
    whole = area >= MIN_VISIBLE_SHARE * np.pi / 4 * patch.diameters**2
    large = patch.diameters >= MIN_PARENT_DIAMETER
    large[0] = False
    large[find_edge_ids(patch.labels)] = False
    return np.flatnonzero(whole & large)


def _add_micronucleus(patch: Patch, parents: NDArray[np.intp], rng: np.random.Generator) -> Patch:
    """Paste a copy of one of the ``parents`` next to one of them, if there is room."""
    image, labels, diameters = patch.image, patch.labels, patch.diameters
    source, neighbour = rng.choice(parents, 2)
    small, mask = _shrink(image, labels == source, rng.uniform(MIN_SHRUNK, MAX_SHRUNK))
    box = _find_room(labels, neighbour, mask, MAX_GAP * diameters[neighbour], rng)
    if box is None:
        return patch
    core = (mask > 0.5) & (labels[box] == 0)
    if core.sum() < MIN_MICRONUCLEUS_AREA:
        return patch
    sigma = rng.uniform(*SOFTNESS)
    # dimmer than its nucleus, as there is less of it above and below the plane of focus
    opacity = torch.from_numpy(ndimage.gaussian_filter(mask, sigma)) * rng.uniform(*OPACITY)
    soft = torch.from_numpy(ndimage.gaussian_filter(small.numpy(), (0, sigma, sigma)))
    image, labels = image.clone(), labels.copy()
    image[:, *box] += opacity * (soft - image[:, *box])
    labels[box][core] = len(diameters)
    return Patch(image, labels, np.append(diameters, np.sqrt(4 / np.pi * core.sum())))


def _shrink(
    image: Tensor, inside: NDArray[np.bool_], ratio: float
) -> tuple[Tensor, NDArray[np.float32]]:
    """Shrink a nucleus by ``ratio``; return it, with its colour around it, and its soft mask."""
    box = bounding_box(inside)
    mask = torch.from_numpy(inside[box])
    pixels = image[:, *box]
    mean = pixels[:, mask].mean(1)[:, None, None]
    both = torch.cat([torch.where(mask, pixels, mean), mask[None].float()])
    shape = [max(1, round(ratio * extent)) for extent in mask.shape]
    both = F.pad(resize_tensor(both, shape), [RIM] * 4, mode="replicate")
    rim = np.pad(np.ones(shape, np.float32), RIM)
    return both[:3], both[3].numpy() * rim


def _find_room(
    labels: NDArray[np.int32],
    neighbour: int,
    mask: NDArray[np.float32],
    gap: float,
    rng: np.random.Generator,
) -> tuple[slice, slice] | None:
    """Find a random box for ``mask`` within ``gap`` of a nucleus, off all others, if any."""
    radius = np.sqrt((mask > 0.5).sum() / np.pi)
    free = ndimage.distance_transform_edt(labels == 0)
    near = ndimage.distance_transform_edt(labels != neighbour)
    fits = (free > radius) & (near <= radius + gap)
    margins = [extent // 2 for extent in mask.shape]
    for axis, extent in enumerate(mask.shape):
        moved = np.moveaxis(fits, axis, 0)
        moved[: margins[axis]] = False
        moved[len(moved) - (extent - margins[axis]) + 1 :] = False
    places = np.argwhere(fits)
    if not len(places):
        return None
    y, x = places[rng.integers(len(places))] - margins
    return slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
