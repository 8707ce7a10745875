"""A second validation part: other microscopes, as far as they can be had from what is annotated.

Textured nuclei of wells that are never trained on, histology of the first part with more and less
stain, and crowds of nuclei of both. Nothing of it is an image that a model was trained on; those of
the first part, on which epochs and thresholds are chosen, are here only changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import hed2rgb, rgb2hed

from .copy_paste import Patch
from .crowds import Cutout, cut_out, defocused, measure_background, pack
from .example import Example
from .photometric import hazed, is_bright_field

# Of the groups in order of their names, every fourth is judged by, from this one on.
JUDGED_GROUPS = slice(3, None, 4)
# How much more, and less, haematoxylin and eosin the sections have.
DARKENED, LIGHTENED = (1.4, 2.2), (0.4, 0.7)
# Median of darkened sections after normalisation: another scanner was seen to have 0.52.
DARK_MEDIAN = (0.42, 0.6)
# Number of crowds of each part, and how much of them nuclei cover: from a culture to tissue in
# which they touch everywhere.
CROWDS, COVERAGE = 12, (0.35, 0.55, 0.75, 0.9)
# Different nuclei that a crowd needs at least; its edge, relative to their diameter and in pixels.
MIN_CUTOUTS, CROWD_WIDTH, MIN_EDGE, MAX_EDGE = 5, 14, 192, 512
# Photons of a bright pixel.
PHOTONS = (60, 600)


@dataclass(frozen=True, eq=False)
class JudgedImage:
    """An annotated image to judge a model by.

    Attributes
    ----------
    name, kind : str
        The kind is its modality and what was done to it.
    image : ndarray, shape (Y, X) or (Y, X, 3), uint8
    labels : ndarray, shape (Y, X), int32
    """

    name: str
    kind: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]


def find_judged(examples: Sequence[Example]) -> list[Example]:
    """Find the examples of the groups that are judged by, and never trained on."""
    groups = sorted({example.group for example in examples})[JUDGED_GROUPS]
    return [example for example in examples if example.group in groups]


def make_second_part(
    validation: Sequence[Example], others: Sequence[Example], seed: int = 0
) -> list[JudgedImage]:
    """Make the second validation part.

    Parameters
    ----------
    validation : sequence of Example
        The first part.
    others : sequence of Example
        Of another microscope, as of :func:`find_judged`; taken as they are, and for crowds.
    seed : int

    Returns
    -------
    list of JudgedImage
        The same for the same seed.
    """
    made = [_as_judged(example, example.kind, example.image) for example in others]
    for number, example in enumerate(validation):
        if is_bright_field(example.image) and not _is_grey(example.image):
            rng = np.random.default_rng((seed, number))
            dark = exposed(restained(example.image, DARKENED, rng), rng.uniform(*DARK_MEDIAN))
            made.append(_as_judged(example, "darkened", dark))
            light = restained(example.image, LIGHTENED, rng)
            made.append(_as_judged(example, "lightened", light))
    for name, source in (("crowd", validation), ("crowd_textured", others)):
        made += _make_crowds(source, name, seed)
    return made


def restained(
    image: torch.Tensor, amount: tuple[float, float], rng: np.random.Generator
) -> torch.Tensor:
    """Change how much of each stain a section of haematoxylin and eosin has.

    Stains are told apart by colour (Ruifrok & Johnston 2001), so that this is no gamma.

    Parameters
    ----------
    image : Tensor, shape (3, H, W), values 0 to 1
    amount : (float, float)
        Smallest and largest factor.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor, shape (3, H, W), values 0 to 1
    """
    stains = rgb2hed(image.permute(1, 2, 0).numpy())
    factors = [*rng.uniform(*amount, 2), 1.0]
    return torch.from_numpy(hed2rgb(stains * factors)).permute(2, 0, 1).float()


def exposed(image: torch.Tensor, median: float) -> torch.Tensor:
    """Darken an image by a gamma to this median, as other scanners do; never lighten it."""
    before = float(image.median())
    return image ** max(np.log(median) / np.log(before), 1.0) if 0 < before < 1 else image


def _make_crowds(examples: Sequence[Example], name: str, seed: int) -> list[JudgedImage]:
    """Make crowds of the nuclei of bright-on-dark examples, each twice: in focus and not."""
    sources = []
    for example in examples:
        if not is_bright_field(example.image):
            patch = Patch(example.image, example.ids, example.diameters)
            cutouts = cut_out(patch)
            if len(cutouts) >= MIN_CUTOUTS:
                sources.append((example, patch, cutouts))
    step = max(1, len(sources) // CROWDS)
    crowds = []
    for number, (example, patch, cutouts) in enumerate(sources[::step][:CROWDS]):
        for part, blurred in ((name, False), (f"{name}_out_of_focus", True)):
            rng = np.random.default_rng((seed, number, blurred))
            made = _make_crowd(patch, cutouts, COVERAGE[number % len(COVERAGE)], blurred, rng)
            labels = torch.from_numpy(made.labels.astype(np.float32))[None]
            own = Example(example.name, made.image, labels, example.group, part)
            crowds.append(_as_judged(own, part, made.image))
    return crowds


def _make_crowd(
    source: Patch,
    cutouts: list[Cutout],
    coverage: float,
    blurred: bool,
    rng: np.random.Generator,
) -> Patch:
    """Paste nuclei on ground of the colour and noise of their image's."""
    diameter = float(np.median([cutout.diameter for cutout in cutouts]))
    edge = int(np.clip(CROWD_WIDTH * diameter, MIN_EDGE, MAX_EDGE))
    ground = torch.from_numpy(measure_background(source))[:, None, None]
    empty = Patch(
        ground.expand(3, edge, edge).contiguous(), np.zeros((edge, edge), np.int32), np.zeros(1)
    )
    pool = [defocused(one, rng) for one in cutouts] if blurred else cutouts
    crowd = pack(empty, pool, coverage, rng)
    image = crowd.image.clamp(0, None)
    image = image / image.max().clamp(min=1)
    image = hazed(image, rng) if blurred else image
    photons = rng.uniform(*PHOTONS)
    counted = rng.poisson(image[0].numpy() * photons).astype(np.float32) / photons
    shown = torch.from_numpy(np.clip(counted, 0, 1)).expand(3, -1, -1)
    return Patch(shown, crowd.labels, crowd.diameters)


def _as_judged(example: Example, kind: str, image: torch.Tensor) -> JudgedImage:
    pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    grey = pixels[..., 0] if _is_grey(image) else pixels
    return JudgedImage(f"{example.name}_{kind}", kind, grey, example.ids)


def _is_grey(image: torch.Tensor) -> bool:
    return bool((image == image[:1]).all())
