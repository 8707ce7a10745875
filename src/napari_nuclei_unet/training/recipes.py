"""Recipes: complete sets of training parameters."""

from __future__ import annotations

from ..params import TrainParams

# Training parameters of the network, as opposed to those of its training.
ARCHITECTURE = ("encoder", "width", "depth", "stem", "detail", "goal", "normalize")

# Those of a fine-tuning only.
FINE_TUNING = ("reference", "margin", "validation_nuclei")

# Recipes of a full training that begins with a model; the others fine-tune it.
WARM_START = ("long",)

# Complete sets of training parameters. "finetune" is for a few annotated images
# (docs/decisions/0007-fine-tuning.md). "seed" is the recipe of the paper that the project starts
# from (docs/reference/seed.md), which leaves the base width open. "long" trains a model further,
# on all images, in patches of wide variety and with pasted nuclei: nearly twice the steps of
# "default", at a third of its learning rate, as the full one would undo the training before. Its
# epochs are short: without a GPU 200 steps take a quarter of an hour or more, and steps since the
# last checkpoint are lost when the machine stops.
RECIPES = {
    "default": TrainParams(),
    "seed": TrainParams(
        width=16,
        depth=5,
        stem=1,
        detail=0,
        epochs=25,
        steps=0,
        batch=10,
        resize=128,
        goal="mask",
        normalize="moments",
        schedule="constant",
        learning_rate=3e-4,
        weight_decay=0.0,
        clip=0.0,
        average=0.0,
    ),
    "long": TrainParams(
        epochs=105,
        steps=200,
        learning_rate=7e-4,
        average=0.999,
        variety="wide",
        paste="all",
    ),
    "finetune": TrainParams(
        epochs=20,
        steps=15,
        batch=4,
        learning_rate=5e-4,
        augment=0.2,
        augment_end=0.1,
        average=0.95,
        patience=8,
        tolerance=0.02,
        reference=0.2,
    ),
}
