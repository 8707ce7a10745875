"""Pick the reference images of the package from the Data Science Bowl 2018 (BBBC038, CC0).

    python tools/pick_references.py IMAGES LABELS GROUPS.csv

Crops of 256 x 256 of images with a typical number of nuclei, each of another field of view. Those
to learn from are of the training part of the shipped model, those to score with of its validation
part, so that the model before a fine-tuning has seen none of these.
"""

import sys
from pathlib import Path

import numpy as np
import PIL.Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from validation_part import arguments

from napari_nuclei_unet import load_model
from napari_nuclei_unet.io.images import find_images, read_image
from napari_nuclei_unet.io.lazy_images import image_stem
from napari_nuclei_unet.training.dataset import read_examples
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.reference_images import REFERENCE_FOLDER
from napari_nuclei_unet.training.split import split_by_group

EDGE = 256
WANTED = {
    "learn": {
        "fluorescence_small": 4,
        "fluorescence_large": 2,
        "histology_purple": 3,
        "histology_pink_purple": 1,
        "grayscale_tissue": 2,
    },
    "score": {
        "fluorescence_small": 3,
        "fluorescence_large": 2,
        "histology_purple": 2,
        "grayscale_tissue": 1,
    },
}


def main() -> None:
    """Write the crops."""
    args = arguments(__doc__).parse_args()
    training = load_model().card.training
    parts = split_by_group(
        read_examples(args.images, args.labels, args.groups),
        training["validation"],
        training["seed"],
    )
    files = {image_stem(path): path for path in find_images([args.images])}
    for part, examples in zip(("learn", "score"), parts, strict=True):
        (REFERENCE_FOLDER / part).mkdir(parents=True, exist_ok=True)
        for kind, n in WANTED[part].items():
            for index, one in enumerate(typical([e for e in examples if e.kind == kind], n)):
                write(
                    REFERENCE_FOLDER / part / f"{kind}_{index + 1}",
                    read_image(files[one.name]),
                    one.ids,
                )


def typical(examples: list[Example], n: int) -> list[Example]:
    """Images whose numbers of nuclei part the list into equal pieces, one of each field."""
    fields: dict[str, Example] = {}
    for one in sorted(examples, key=lambda one: one.name):
        if min(one.ids.shape) >= EDGE and len(one.centres) >= 5:
            fields.setdefault(one.group, one)
    ranked = sorted(fields.values(), key=lambda one: (len(one.centres), one.name))
    places = (np.arange(n) + 0.5) / n * len(ranked)
    return [ranked[int(place)] for place in places]


def write(path: Path, image: np.ndarray, labels: np.ndarray) -> None:
    """Write the middle of an image and of its labels."""
    top, left = ((extent - EDGE) // 2 for extent in labels.shape)
    box = slice(top, top + EDGE), slice(left, left + EDGE)
    numbers = np.unique(np.append(0, labels[box]), return_inverse=True)[1][1:]
    PIL.Image.fromarray(image[box]).save(path.with_suffix(".png"), optimize=True)
    annotation = PIL.Image.fromarray(numbers.reshape(EDGE, EDGE).astype(np.uint8))
    annotation.save(f"{path}_annotation.png", optimize=True)


if __name__ == "__main__":
    main()
