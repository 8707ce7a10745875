"""Synthetic crowds: nuclei cut out of images, and pasted one by one until they touch everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.boxes import bounding_box
from ..arrays.resampling import resize_tensor
from .copy_paste import MAX_HIDDEN_SHARE, MIN_VISIBLE_SHARE, RIM, SEAM, Patch, find_edge_ids

# Nuclei of smaller diameters than this part of the median are not cut out: pasted as often as the
# others, micronuclei and fragments would fill every gap.
MIN_RELATIVE_DIAMETER = 0.5
# Standard deviation of the logarithm of how bright a pasted nucleus is, beside its original.
BRIGHTNESS = 0.25
# A patch is full when so many nuclei in a row found no room.
MAX_FAILURES = 60
# Different nuclei that are pasted into a patch, and the most of it that they cover.
POOL, MAX_COVERAGE = 24, 0.85
# Quantile that is white after pasting, as in segmentation.intensity_range.
WHITE = 0.998
# Nuclei of smaller diameters, in pixels, show neither texture nor lobes.
MIN_SHAPED_DIAMETER = 14.0
# Grain of chromatin relative to the diameter, and its contrast.
GRAIN, GRAIN_CONTRAST = (0.04, 0.14), (0.12, 0.4)
# Radius of a notch between lobes relative to the diameter; the area that must be left of the
# nucleus; and the blur by which its corners are rounded, relative to the diameter.
NOTCH, MIN_LOBED_AREA, ROUNDING = (0.15, 0.3), 0.6, 0.06
# Chromosomes in the plane of a spindle: width relative to the nucleus, and how much brighter they
# are than it, as they are condensed.
PLATE_WIDTH, PLATE_BRIGHTNESS = (0.3, 0.5), (1.4, 2.2)
# Of smaller nuclei a plate would be a hair, and of one of less than this part of the area crumbs.
MIN_MITOTIC_DIAMETER, MIN_PLATE_AREA = 20.0, 0.2
# Blur of nuclei beside the plane of focus relative to the diameter; those farther away are not
# annotated.
DEFOCUS = (0.02, 0.09)


@dataclass(frozen=True, eq=False)
class Cutout:
    """A nucleus that was cut out of an image.

    Attributes
    ----------
    light : ndarray, shape (3, H, W), float32
        What it adds to the background; less than 0 where nuclei are dark.
    inside : ndarray, shape (H, W), bool
        Without the rim around it.
    opacity : ndarray, shape (H, W), float32, values 0 to 1
        Fades out in the rim.
    """

    light: NDArray[np.float32]
    inside: NDArray[np.bool_]
    opacity: NDArray[np.float32]

    @property
    def diameter(self) -> float:
        """That of the circle of the same area, in pixels."""
        return float(np.sqrt(4 / np.pi * self.inside.sum()))


def with_pasted(patch: Patch, rng: np.random.Generator, kind: str = "all") -> Patch:
    """Paste nuclei of a patch into it, some of them changed, until it is more or less full.

    Parameters
    ----------
    patch : Patch
    rng : numpy.random.Generator
    kind : str
        As ``TrainParams.paste``.

    Returns
    -------
    Patch
        The same where no nucleus is whole.
    """
    cutouts = cut_out(patch)
    if not cutouts:
        return patch
    pool = [cutouts[int(one)] for one in rng.integers(len(cutouts), size=POOL)]
    for name, (share, change) in CHANGES.items():
        if kind in (name, "all"):
            pool = [change(one, rng) if rng.random() < share else one for one in pool]
    crowd = pack(patch, pool, rng.uniform(0, MAX_COVERAGE), rng)
    # as a camera is exposed for what is brightest; where light adds up that is more than before
    brightest = max(float(np.quantile(crowd.image.numpy(), WHITE)), 1.0)
    return replace(crowd, image=crowd.image / brightest)


def cut_out(patch: Patch) -> list[Cutout]:
    """Cut out the nuclei that neither the edges nor other nuclei hide much of, but small ones."""
    labels, pixels = patch.labels, patch.image.numpy()
    ground = measure_background(patch)[:, None, None]
    area = np.bincount(labels.ravel(), minlength=len(patch.diameters))
    whole = area >= MIN_VISIBLE_SHARE * np.pi / 4 * patch.diameters**2
    whole[find_edge_ids(labels)] = False
    whole[0] = False
    if not whole.any():
        return []
    whole &= patch.diameters >= MIN_RELATIVE_DIAMETER * np.median(patch.diameters[whole])
    cutouts = []
    for one, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or not whole[one]:
            continue
        inside = np.pad(labels[box] == one, RIM)
        light = np.pad(pixels[:, *box], ((0, 0), (RIM, RIM), (RIM, RIM)), mode="edge") - ground
        nearest = ndimage.distance_transform_edt(
            ~inside, return_distances=False, return_indices=True
        )
        # beyond its edge its own colour goes on, or it would bring its surroundings with it
        cutouts.append(make_cutout(light[:, *nearest], inside))
    return cutouts


def measure_background(patch: Patch) -> NDArray[np.float32]:
    """Return the median of what is no nucleus, for each channel; 0 where there is nothing else."""
    outside = patch.labels == 0
    if not outside.any():
        return np.zeros(3, np.float32)
    return np.asarray(np.median(patch.image.numpy()[:, outside], axis=1), np.float32)


def make_cutout(light: NDArray[np.floating], inside: NDArray[np.bool_]) -> Cutout:
    """Create a cutout whose opacity fades at the edge of the nucleus."""
    opacity = ndimage.gaussian_filter(inside.astype(np.float32), SEAM)
    return Cutout(np.asarray(light, np.float32), inside, opacity)


def pack(
    patch: Patch,
    cutouts: Sequence[Cutout],
    coverage: float,
    rng: np.random.Generator,
) -> Patch:
    """Paste nuclei at random places until this share of the patch is covered, or no room is left.

    Of two in one place the first stays, above the other. Where nuclei are bright a part of the
    light of the lower one shines through, the same in all of the patch, as it depends on how thick
    the tissue is.

    Parameters
    ----------
    patch : Patch
        May be empty of nuclei.
    cutouts : sequence of Cutout
        At least one; each is pasted repeatedly, turned or mirrored, and brighter or dimmer.
    coverage : float, 0 to 1
    rng : numpy.random.Generator

    Returns
    -------
    Patch
        Pasted nuclei have ids from ``len(patch.diameters)`` on.
    """
    image, labels = patch.image.numpy().copy(), patch.labels.copy()
    diameters = list(patch.diameters)
    is_bright = np.mean([cutout.light.mean() for cutout in cutouts]) > 0
    shining = rng.uniform(0, 1) if is_bright else 0.0
    failures = 0
    while failures < MAX_FAILURES:
        free = np.flatnonzero(labels == 0)
        if labels.size - free.size >= coverage * labels.size:
            break
        cutout = turned(cutouts[int(rng.integers(len(cutouts)))], rng)
        centre = np.unravel_index(int(rng.choice(free)), labels.shape)
        here, part = _overlap(centre, cutout.inside.shape, labels.shape)
        inside, covered = cutout.inside[part], labels[here] > 0
        if not inside.any() or (inside & covered).sum() > MAX_HIDDEN_SHARE * inside.sum():
            failures += 1
            continue
        above = ndimage.gaussian_filter(covered.astype(np.float32), SEAM)
        share = cutout.opacity[part] * (1 - (1 - shining) * above)
        image[:, *here] += share * cutout.light[:, *part]
        labels[here][inside & ~covered] = len(diameters)
        diameters.append(cutout.diameter)
        failures = 0
    return Patch(torch.from_numpy(image), labels, np.array(diameters))


def _overlap(
    centre: Sequence[np.integer], extents: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a box around a centre lies in a patch, and which part of the box that is."""
    here, part = [], []
    for middle, extent, size in zip(centre, extents, shape, strict=True):
        first = int(middle) - extent // 2
        start, stop = max(first, 0), min(first + extent, size)
        here.append(slice(start, stop))
        part.append(slice(start - first, stop - first))
    return tuple(here), tuple(part)


def turned(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Turn by quarters, mirror, and make brighter or dimmer."""
    turns = int(rng.integers(4))
    columns = slice(None, None, -1 if rng.random() < 0.5 else None)

    def turn(part: NDArray[Any]) -> NDArray[Any]:
        return np.rot90(part, turns, (-2, -1))[..., columns]

    brightness = np.float32(np.exp(rng.normal(0, BRIGHTNESS)))
    return Cutout(turn(cutout.light) * brightness, turn(cutout.inside), turn(cutout.opacity))


def textured(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Add a grain to chromatin, from fine to that of a few large clumps."""
    if cutout.diameter < MIN_SHAPED_DIAMETER:
        return cutout
    sigma = rng.uniform(*GRAIN) * cutout.diameter
    grain = ndimage.gaussian_filter(rng.standard_normal(cutout.inside.shape), sigma)
    grain *= rng.uniform(*GRAIN_CONTRAST) / grain[cutout.inside].std()
    return replace(cutout, light=cutout.light * np.exp(grain).astype(np.float32))


def lobed(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Notch the edge once, or twice on opposite sides: the nucleus of a lobed cell is one."""
    if cutout.diameter < MIN_SHAPED_DIAMETER:
        return cutout
    depth = ndimage.distance_transform_edt(cutout.inside)
    edge = np.argwhere((depth > 0) & (depth <= 1))
    notch = edge[rng.integers(len(edge))]
    middle = np.argwhere(cutout.inside).mean(axis=0)
    opposite = edge[np.square(edge - (2 * middle - notch)).sum(axis=1).argmin()]
    inside = cutout.inside.copy()
    y, x = np.indices(inside.shape)
    for place in (notch, opposite)[: int(rng.integers(1, 3))]:
        radius = rng.uniform(*NOTCH) * cutout.diameter
        inside &= np.hypot(y - place[0], x - place[1]) > radius
    # cells have no corners
    inside = ndimage.gaussian_filter(inside.astype(np.float32), ROUNDING * cutout.diameter) > 0.5
    pieces = ndimage.label(inside)[1]
    if pieces != 1 or inside.sum() < MIN_LOBED_AREA * cutout.inside.sum():
        return cutout
    return make_cutout(cutout.light, inside)


def mitotic(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Condense a nucleus to the plate of chromosomes of a metaphase, seen from its side."""
    if cutout.diameter < MIN_MITOTIC_DIAMETER:
        return cutout
    box = bounding_box(cutout.inside)
    axis = int(rng.integers(2))
    shape = [extent.stop - extent.start for extent in box]
    shape[axis] = max(3, round(rng.uniform(*PLATE_WIDTH) * shape[axis]))
    both = np.concatenate([cutout.light[:, *box], cutout.inside[None, *box].astype(np.float32)])
    small = resize_tensor(torch.from_numpy(both), shape).numpy()
    small = ndimage.rotate(small, rng.uniform(0, 180), (1, 2), order=1)
    # ragged, as arms of chromosomes stick out
    ragged = small[3] + ndimage.gaussian_filter(rng.standard_normal(small.shape[1:]), 1.0)
    pieces, count = ndimage.label(np.pad(ragged > 0.5, RIM))
    if count == 0:
        return cutout
    inside = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    if inside.sum() < MIN_PLATE_AREA * cutout.inside.sum():
        return cutout
    mean = cutout.light[:, cutout.inside].mean(axis=1)[:, None, None]
    grain = small[:3] / np.where(mean == 0, 1, mean)
    light = np.pad(np.clip(grain, 0.7, 1.3), ((0, 0), (RIM, RIM), (RIM, RIM)), mode="edge") * mean
    return make_cutout(light * np.float32(rng.uniform(*PLATE_BRIGHTNESS)), inside)


def defocused(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Blur a nucleus as if it lay a little above or below the plane of focus."""
    sigma = rng.uniform(*DEFOCUS) * cutout.diameter
    return replace(
        cutout,
        light=ndimage.gaussian_filter(cutout.light, (0, sigma, sigma)),
        opacity=ndimage.gaussian_filter(cutout.opacity, sigma),
    )


# Changes of pasted nuclei by their name in ``TrainParams.paste``, and the share of nuclei that get
# each: mitoses are rare.
CHANGES = {
    "texture": (0.3, textured),
    "lobes": (0.2, lobed),
    "mitoses": (0.08, mitotic),
    "focus": (0.3, defocused),
}
