"""What a network scores on annotated images while it is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nuclei_unet.core.augment import resized
from napari_nuclei_unet.core.instances import separate
from napari_nuclei_unet.core.learning import Example, loss_for, targets
from napari_nuclei_unet.core.scores import Counts, count
from napari_nuclei_unet.core.tiles import plan_tiles, read_tile
from napari_nuclei_unet.core.unet import UNet
from napari_nuclei_unet.devices import CPU_TILE

# While a model is trained; the final ones are tuned.
THRESHOLDS: dict[str, Any] = {
    "threshold": 0.5,
    "separation": 0.85,
    "confidence": 0.0,
    "minimum_area": 10,
}


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
    """Logits of a whole image, tiled and with a mirrored border as the engine has it.

    Parameters
    ----------
    network : UNet
    image : Tensor, shape (3, Y, X), values 0 to 1

    Returns
    -------
    Tensor, shape (1, out_channels, Y, X)
    """
    config, device = network.config, next(network.parameters()).device
    pixels = image.permute(1, 2, 0).numpy()
    shape = (image.shape[1], image.shape[2])
    logits = torch.empty(1, config.out_channels, *shape)
    for tile in plan_tiles(shape, CPU_TILE, config.halo, config.divisor):
        seen = torch.from_numpy(read_tile(pixels, tile)).permute(2, 0, 1)[None]
        logits[:, :, *tile.place] = network(seen.to(device)).cpu()[:, :, *tile.keep]
    return logits
