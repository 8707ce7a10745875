"""What the card of a trained model says of it."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import date
from importlib.metadata import version

import numpy as np
import torch

from napari_nuclei_unet.models.model import ModelCard
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.checkpoint import Checkpoint
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.plots import best_epoch_row
from napari_nuclei_unet.training.validation import VALIDATION_THRESHOLDS

# Diameters, in pixels, that a network trained on patches takes as they are, and the one to which
# it gets others zoomed (docs/decisions/0005-size.md).
UNZOOMED_DIAMETERS, ZOOM_TARGET_DIAMETER = (12.0, 40.0), 28.0


def build_model_card(name: str, training: list[Example], checkpoint: Checkpoint) -> ModelCard:
    """Write the card of the network that a checkpoint has as its best so far.

    Parameters
    ----------
    name : str
    training : list of Example
    checkpoint : Checkpoint

    Returns
    -------
    ModelCard
        Thresholds are not tuned yet, and there are no scores.
    """
    params, network = checkpoint.params, checkpoint.network
    kinds = Counter(one.kind or "image" for one in training)
    sizes, ideal = trained_diameters(training, params)
    best = best_epoch_row(checkpoint.history)
    return ModelCard(
        name=name,
        description="U-Net for nuclei, which a watershed separates.",
        network=network,
        thresholds=VALIDATION_THRESHOLDS,
        sizes=sizes,
        ideal=ideal,
        trained_on={
            "images": len(training),
            "nuclei": sum(len(one.centres) for one in training),
            "kinds": dict(kinds),
        },
        training=dataclasses.asdict(params)
        # of a model that was trained further, its own architecture counts
        | {name: network[name] for name in ("encoder", "width", "depth", "stem", "detail")}
        | {
            "best_epoch": best["epoch"] if best else 0,
            "ran_in": checkpoint.precision,
            "threads": torch.get_num_threads(),
        },
        # JSON has no number that is none: row 0 has no training loss
        history=[{k: v for k, v in row.items() if v == v} for row in checkpoint.history],
        version=version("napari-nuclei-unet"),
        created=date.today().isoformat(),
    )


def trained_diameters(
    training: list[Example], params: TrainParams
) -> tuple[tuple[float, ...], float | None]:
    """Diameters that a network takes as they are, and the one to which others are zoomed.

    Patches are drawn in all sizes; of whole images that were resized, the middle half.
    """
    if not params.resize:
        return UNZOOMED_DIAMETERS, ZOOM_TARGET_DIAMETER
    seen = [
        one.diameter * params.resize / math.sqrt(one.labels.numel())
        for one in training
        if one.diameter
    ]
    if not seen:
        return (), None
    low, high = np.percentile(seen, [25, 75])
    return (max(1.0, float(round(low, 1))), max(1.0, float(round(high, 1)))), None
