"""Score a model on the validation part, by modality, through the engine that users run.

    python benchmarks/accuracy.py IMAGES LABELS GROUPS.csv [--model nuclei] [--scale 1.0]

The validation part is the one that ``nuclei-unet train`` held back with the seed of the model's
card. ``--scale`` resizes images and annotations first, to see what size of nuclei a model takes.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from skimage.transform import resize

from napari_nuclei_unet import SegmentParams, load_model, run, segment_steps
from napari_nuclei_unet.core.scores import Counts, by_image, count, pooled
from napari_nuclei_unet.files import find_images, image_stem, read_examples, read_image
from napari_nuclei_unet.training import split

COLUMNS = ("AP@0.5", "AP@0.6", "AP@0.7", "AP@0.8", "AP@0.9", "mean AP", "F1", "PQ", "AJI", "Dice")


def main() -> None:
    """Print one table by image and one pooled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--scale", type=float, default=1.0)
    args = parser.parse_args()

    model = load_model(args.model)
    training = model.card.training
    examples = read_examples(args.images, args.labels, args.groups)
    _, validation = split(examples, training["validation"], training["seed"])
    files = {image_stem(path): path for path in find_images([args.images])}
    counts: dict[str, list[Counts]] = defaultdict(list)
    for one in validation:
        image = read_image(files[one.name])
        truth = one.labels[0].numpy().astype(np.int32)
        if args.scale != 1:
            shape = tuple(max(1, round(edge * args.scale)) for edge in truth.shape)
            image = resize(image, shape, order=1, anti_aliasing=args.scale < 1, preserve_range=True)
            truth = resize(truth, shape, order=0, preserve_range=True, anti_aliasing=False)
        result = run(segment_steps(image, model, SegmentParams()))
        for kind in (one.kind, "all"):
            counts[kind].append(count(truth, result.labels))
    how = result.record["ran_on"]
    print(f"model {model.card.name} {model.card.sha256[:12]}, {how['device']}, {how['precision']}")
    for name, summary in (("by image", by_image), ("pooled", pooled)):
        print(f"\n| {name} | images | nuclei | " + " | ".join(COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 3) + "|")
        for kind, some in sorted(counts.items()):
            scores = summary(some)
            nuclei = sum(c.n_true for c in some)
            cells = " | ".join(f"{scores[column]:.3f}" for column in COLUMNS)
            print(f"| {kind} | {len(some)} | {nuclei} | {cells} |")


if __name__ == "__main__":
    main()
