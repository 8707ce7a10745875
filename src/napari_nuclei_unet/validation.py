"""What a network scores on annotated images, and the thresholds that suit it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nuclei_unet.core.augment import resized
from napari_nuclei_unet.core.instances import separate
from napari_nuclei_unet.core.learning import Example, loss_for, targets
from napari_nuclei_unet.core.scores import Counts, by_image, count
from napari_nuclei_unet.core.tiles import plan_tiles, read_tile
from napari_nuclei_unet.core.unet import UNet

# While a model is trained; the final ones are tuned.
THRESHOLDS: dict[str, Any] = {"threshold": 0.5, "separation": 0.85, "minimum_area": 10}
GRID: dict[str, tuple[Any, ...]] = {
    "threshold": (0.5, 0.6, 0.7),
    "separation": (0.6, 0.7, 0.75, 0.8, 0.85),
    "minimum_area": (10, 20, 30),
}
TUNED_FOR = ("AP@0.5", "AP@0.6", "AP@0.7", "AP@0.8", "AP@0.9")


@dataclass(frozen=True, eq=False)
class Case:
    """One validation image as the network sees it.

    Attributes
    ----------
    image : Tensor, shape (3, Y, X), values 0 to 1
    truth : ndarray, shape (Y, X), int32
    target, weight : Tensor, shape (1, 4, Y, X) and (1, 1, Y, X)
        As from ``core.learning.targets``.
    """

    image: Tensor
    truth: NDArray[np.int32]
    target: Tensor
    weight: Tensor


def cases(examples: list[Example], resize: int = 0) -> list[Case]:
    """Prepare examples for :func:`validate`, once for all epochs.

    Parameters
    ----------
    examples : list of Example
    resize : int
        Edge of the squares that whole images become; 0: as they are.
    """
    return [_case(_resized(one, resize) if resize else one) for one in examples]


def _case(example: Example) -> Case:
    target, weight = (torch.from_numpy(part)[None] for part in targets(example.ids))
    return Case(example.image, example.ids, target, weight)


def _resized(example: Example, size: int) -> Example:
    image, labels = resized(example, size)
    return replace(example, image=image, labels=labels)


@torch.inference_mode()
def validate(network: UNet, validation: list[Case]) -> tuple[float, list[Counts]]:
    """Loss and counts on whole images.

    Parameters
    ----------
    network : UNet
        In evaluation mode.
    validation : list of Case

    Returns
    -------
    loss : float
        Mean over images.
    counts : list of Counts
        In the order of the cases.
    """
    loss_of = loss_for(network.config.out_channels)
    losses, counts = [], []
    for case in validation:
        logits = predict(network, case.image)
        losses.append(loss_of(logits, case.target, case.weight).item())
        maps = torch.sigmoid(logits)[0].numpy()
        counts.append(count(case.truth, separate(maps, **THRESHOLDS)))
    return float(np.mean(losses)), counts


def predict(network: UNet, image: Tensor) -> Tensor:
    """Logits of a whole image, with the mirrored border that the engine gives it.

    Parameters
    ----------
    network : UNet
    image : Tensor, shape (3, Y, X), values 0 to 1

    Returns
    -------
    Tensor, shape (1, out_channels, Y, X)
    """
    shape = (image.shape[1], image.shape[2])
    (tile,) = plan_tiles(shape, max(shape), network.config.halo, network.config.divisor)
    seen = torch.from_numpy(read_tile(image.permute(1, 2, 0).numpy(), tile))
    device = next(network.parameters()).device
    logits: Tensor = network(seen.permute(2, 0, 1)[None].to(device)).cpu()
    return logits[:, :, *tile.keep]


def tune(network: UNet, examples: list[Example]) -> dict[str, Any]:
    """Find the thresholds with the highest mean AP at 0.5, 0.6, 0.7, 0.8 and 0.9 by image.

    Parameters
    ----------
    network : UNet
        In evaluation mode.
    examples : list of Example

    Returns
    -------
    dict
        ``threshold``, ``separation`` and ``minimum_area``.
    """
    predicted = [(_maps(network, one), one.ids) for one in examples]

    def score(values: Iterable[Any]) -> float:
        thresholds = dict(zip(GRID, values, strict=True))
        found = [(truth, separate(maps, **thresholds)) for maps, truth in predicted]
        table = by_image([count(*pair) for pair in found])
        return float(np.mean([table[name] for name in TUNED_FOR]))

    return dict(zip(GRID, max(product(*GRID.values()), key=score), strict=True))


def scores_by_kind(
    network: UNet, examples: list[Example], thresholds: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Score by image, for each kind of image and for all.

    Parameters
    ----------
    network : UNet
        In evaluation mode.
    examples : list of Example
    thresholds : dict
        As from :func:`tune`.

    Returns
    -------
    dict of dict
        Scores, rounded to four digits, and ``images``, under each kind and ``all``.
    """
    counts: dict[str, list[Counts]] = defaultdict(list)
    for one in examples:
        found = find(network, one, thresholds)
        for kind in dict.fromkeys((one.kind or "image", "all")):
            counts[kind].append(count(one.ids, found))
    return {
        kind: {name: round(value, 4) for name, value in by_image(some).items()}
        | {"images": len(some)}
        for kind, some in sorted(counts.items())
    }


def find(network: UNet, example: Example, thresholds: dict[str, Any]) -> NDArray[np.int32]:
    """Labels of an example, shape (Y, X)."""
    return separate(_maps(network, example), **thresholds)


@torch.inference_mode()
def _maps(network: UNet, example: Example) -> NDArray[np.float32]:
    return torch.sigmoid(predict(network, example.image))[0].numpy()
