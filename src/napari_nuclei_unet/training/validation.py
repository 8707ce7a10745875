"""Validation of a network on annotated images while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays.tiling import plan_tiles, read_tile
from ..metrics.matching import average_scores, count_annotated_matches, pool_scores
from ..network.aligned_halo import aligned_halo
from ..network.unet import UNet
from ..segmentation.watershed import SeparationParams, separate_nuclei
from .augmentation import rescale_example, resize_example
from .example import Example, make_loss, make_targets
from .plots import ValidationPicture

# Thresholds while a model is trained; the final ones are tuned.
VALIDATION_THRESHOLDS: dict[str, Any] = {
    "threshold": 0.5,
    "separation": 0.85,
    "confidence": 0.0,
    "minimum_area": 10,
}
# Edge of the tiles of validation images, in pixels: the memory is full of training.
VALIDATION_TILE = 1024
# Largest edge of the picture of a validation image, in pixels: its centre is shown.
MAX_PICTURE_EDGE = 320


@dataclass(frozen=True, eq=False)
class ValidationCase:
    """One validation image with its targets.

    Attributes
    ----------
    image : Tensor, shape (3, Y, X), values 0 to 1
    truth : ndarray, shape (Y, X), int32
    target, weight : Tensor, shape (1, 4, Y, X) and (1, 1, Y, X)
        As from :func:`make_targets`; the weight is 0 where nothing is known.
    known : ndarray, shape (Y, X), bool
        Where predictions are scored.
    """

    image: Tensor
    truth: NDArray[np.int32]
    target: Tensor
    weight: Tensor
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, example: Example) -> ValidationCase:
        """Prepare an example."""
        target, weight = (torch.from_numpy(part)[None] for part in make_targets(example.ids))
        if example.known is not None:
            weight = weight * example.known[None]
        return cls(example.image, example.ids, target, weight, example.is_known)


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """Scores of a network.

    Attributes
    ----------
    loss : float
        Mean over images.
    iou, ap : float
        Of the foreground, and AP at IoU 0.5.
    found : ndarray, shape (Y, X), int32
        Nuclei in the image that is shown.
    """

    loss: float
    iou: float
    ap: float
    found: NDArray[np.int32]


class Validation:
    """Validation images, prepared once for all epochs.

    Parameters
    ----------
    examples : list of Example
    thresholds : dict, optional
        By which nuclei are separated; without, ``VALIDATION_THRESHOLDS``.
    pool : bool
        Whether scores are of all nuclei together, and not the mean over images: for areas with a
        few nuclei each.
    zooms : sequence of float, optional
        Of each image, as the network gets it.
    """

    def __init__(
        self,
        examples: list[Example],
        thresholds: dict[str, Any] | None = None,
        pool: bool = False,
        zooms: Sequence[float] = (),
    ) -> None:
        self.examples = examples
        zooms = zooms or [1.0] * len(examples)
        pairs = zip(examples, zooms, strict=True)
        self.cases = [
            ValidationCase.of(example if zoom == 1 else rescale_example(example, zoom))
            for example, zoom in pairs
        ]
        self._separation = SeparationParams(**(thresholds or VALIDATION_THRESHOLDS))
        self._scores = pool_scores if pool else average_scores
        self.shown_index = max(range(len(examples)), key=lambda i: len(examples[i].centres))

    @classmethod
    def resized(cls, examples: list[Example], size: int) -> Validation:
        """Prepare whole images resized to squares of ``size`` pixels; 0: as they are."""
        return cls([resize_example(one, (size, size)) for one in examples] if size else examples)

    @torch.inference_mode()
    def validate(self, network: UNet) -> ValidationResult:
        """Score a network in evaluation mode."""
        loss_of = make_loss(network.config.out_channels)
        losses, counts, all_found = [], [], []
        for case in self.cases:
            logits = predict_logits(network, case.image)
            losses.append(loss_of(logits, case.target, case.weight).item())
            found = separate_nuclei(torch.sigmoid(logits)[0].numpy(), self._separation)
            counts.append(count_annotated_matches(case.truth, found, case.known))
            all_found.append(found)
        scores = self._scores(counts)
        loss = float(np.mean(losses))
        return ValidationResult(loss, scores["IoU"], scores["AP@0.5"], all_found[self.shown_index])

    def picture(self, validated: ValidationResult) -> ValidationPicture:
        """Create a picture of one of the images with its annotation and the nuclei found."""
        case = self.cases[self.shown_index]
        starts = [max(0, (extent - MAX_PICTURE_EDGE) // 2) for extent in case.truth.shape]
        box = tuple(slice(start, start + MAX_PICTURE_EDGE) for start in starts)
        known = case.known[box]
        image = case.image[:, *box].permute(1, 2, 0).numpy()
        image = np.where(known[..., None], image, 0.4 * image)  # unknown pixels are darker
        true, found = (np.where(known, part[box], 0) for part in (case.truth, validated.found))
        return ValidationPicture(self.examples[self.shown_index].name, image, true, found)


def predict_logits(network: UNet, image: Tensor) -> Tensor:
    """Predict the logits of a whole image, tiled and with a mirrored border.

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
    for tile in plan_tiles(shape, VALIDATION_TILE, aligned_halo(config), config.divisor):
        batch = torch.from_numpy(read_tile(pixels, tile)).permute(2, 0, 1)[None]
        logits[:, :, *tile.core] = network(batch.to(device)).cpu()[:, :, *tile.core_in_read]
    return logits
