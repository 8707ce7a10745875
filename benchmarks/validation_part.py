"""What the benchmarks share: the images that a model was validated on."""

import argparse
from pathlib import Path

import numpy as np

from napari_nuclei_unet import Model, load_model
from napari_nuclei_unet.io.images import find_images, read_image
from napari_nuclei_unet.io.lazy_images import image_stem
from napari_nuclei_unet.training.dataset import read_examples
from napari_nuclei_unet.training.split import split_by_group


def arguments(doc: str) -> argparse.ArgumentParser:
    """Parser for the folders of images and labels, the table of groups, and the model."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--model", default="nuclei")
    return parser


def load(
    args: argparse.Namespace, everything: bool = False
) -> tuple[Model, list[tuple[str, np.ndarray, np.ndarray]]]:
    """Load the model, and kind, image and labels of what its training held back, or of all."""
    model = load_model(args.model)
    training = model.card.training
    examples = read_examples(args.images, args.labels, args.groups)
    _, validation = split_by_group(examples, training["validation"], training["seed"])
    files = {image_stem(path): path for path in find_images([args.images])}
    return model, [
        (one.kind, read_image(files[one.name]), one.labels[0].numpy().astype(np.int32))
        for one in (examples if everything else validation)
    ]
