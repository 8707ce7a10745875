"""Model cards of trained models."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import date
from importlib.metadata import version

import numpy as np
import torch

from ..models.model import ModelCard
from ..params import TrainParams
from .checkpoint import Checkpoint
from .example import Example
from .plots import best_epoch_row
from .validation import VALIDATION_THRESHOLDS

# Diameters, in pixels, that a network trained on patches segments without zoom, and the one to
# which others are zoomed (docs/decisions/0005-size.md).
UNZOOMED_DIAMETERS, ZOOM_TARGET_DIAMETER = (12.0, 40.0), 28.0


def build_model_card(name: str, training: list[Example], checkpoint: Checkpoint) -> ModelCard:
    """Create the card of the best network so far of a checkpoint.

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
    kinds = Counter(example.kind or "image" for example in training)
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
            "nuclei": sum(len(example.centres) for example in training),
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
        # JSON has no NaN: row 0 has no training loss
        history=[{k: v for k, v in row.items() if v == v} for row in checkpoint.history],
        version=version("napari-nuclei-unet"),
        created=date.today().isoformat(),
    )


def trained_diameters(
    training: list[Example], params: TrainParams
) -> tuple[tuple[float, ...], float | None]:
    """Return the diameters that a network takes as they are, and the one to zoom others to.

    Patches are drawn in all sizes; of whole images that were resized, the middle half.
    """
    if not params.resize:
        return UNZOOMED_DIAMETERS, ZOOM_TARGET_DIAMETER
    diameters = [
        example.diameter * params.resize / math.sqrt(example.labels.numel())
        for example in training
        if example.diameter
    ]
    if not diameters:
        return (), None
    low, high = np.percentile(diameters, [25, 75])
    return (max(1.0, float(round(low, 1))), max(1.0, float(round(high, 1)))), None
