"""What the benchmarks share: the images that a model was validated on."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from napari_nuclei_unet import Model, load_model
from napari_nuclei_unet.io.images import find_images, read_image
from napari_nuclei_unet.io.lazy_images import image_stem
from napari_nuclei_unet.training.dataset import read_examples
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.second_part import find_judged, make_second_part
from napari_nuclei_unet.training.split import split_by_group


def arguments(doc: str) -> argparse.ArgumentParser:
    """Parser for the folders of images and labels, the table of groups, and the model."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--second", type=Path, metavar="FOLDER")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    return parser


def load(
    args: argparse.Namespace, everything: bool = False
) -> tuple[Model, list[tuple[str, np.ndarray, np.ndarray]]]:
    """Load the model, and kind, image and labels of what its training held back, or of all."""
    model = load_model(args.model)
    training = model.card.training
    examples = read_examples(args.images, args.labels, args.groups)
    _, validation = split_by_group(examples, training["validation"], training["seed"])
    if args.second:
        return model, load_second(args, validation)
    files = {image_stem(path): path for path in find_images([args.images])}
    return model, [
        (one.kind, read_image(files[one.name]), one.labels[0].numpy().astype(np.int32))
        for one in (examples if everything else validation)
    ]


def load_second(
    args: argparse.Namespace, validation: list[Example]
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Make the second validation part, and write it if asked to."""
    others = read_examples(*(args.second / name for name in ("images", "labels", "images.csv")))
    made = make_second_part(validation, find_judged(others))
    if args.write:
        rows = ["id,field_group,modality"]
        for folder in ("images", "labels"):
            (args.write / folder).mkdir(parents=True, exist_ok=True)
        for one in made:
            Image.fromarray(one.image).save(args.write / "images" / f"{one.name}.png")
            truth = Image.fromarray(one.labels.astype(np.uint16))
            truth.save(args.write / "labels" / f"{one.name}.png")
            rows.append(f"{one.name},,{one.kind}")
        (args.write / "images.csv").write_text("\n".join(rows) + "\n")
    return [(one.kind, one.image, one.labels) for one in made]
