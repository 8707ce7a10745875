"""Recipes: complete sets of training parameters."""

from __future__ import annotations

from napari_nuclei_unet.params import TrainParams

# Training parameters that say what the network is, and not how it learns.
ARCHITECTURE = ("encoder", "width", "depth", "stem", "detail", "goal", "normalize")

# Those that only a fine-tuning understands.
FINE_TUNING = ("reference", "margin")

# Recipes of a full training that begins with a model; others fine-tune it.
WARM_START = ("long",)

# Complete sets of training parameters. "finetune" is for a few annotated images
# (docs/decisions/0007-fine-tuning.md). "seed" is the recipe of the paper that the project starts
# from (docs/reference/seed.md); it leaves the base width open. "long" takes a trained model
# further, on all images: nearly twice the steps of "default", at a third of its learning rate,
# which would undo what the model has learnt. Its epochs are short: without a GPU 200 steps take a
# quarter of an hour or more, and what is in no checkpoint yet is lost with the machine.
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
    "long": TrainParams(epochs=105, steps=200, learning_rate=7e-4, average=0.999),
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
