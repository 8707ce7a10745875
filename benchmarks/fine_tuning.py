"""Measure what fine-tuning on five crops gives to a model that has seen no histology.

    python benchmarks/fine_tuning.py IMAGES LABELS GROUPS.csv --base BASE.safetensors

BASE is trained first if it is not there: by the recipe of the shipped model, in 8 epochs, on all
images but histology (about 35 minutes of one core). It is then fine-tuned, by the recipe
`finetune`, on five crops of 256 x 256 of purple histology, each of another field of view, from
those with small nuclei to those with large ones; nothing of histology is mixed in. Scores are by
image, of the histology of all other fields of view, and of the fluorescence that was held back
when BASE was trained. `--set NAME=VALUE` changes a parameter, `--seeds N` repeats it with other
crops.
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
from validation_part import arguments

from napari_nuclei_unet import load_model, run
from napari_nuclei_unet.io.images import find_images, read_image
from napari_nuclei_unet.io.lazy_images import image_stem
from napari_nuclei_unet.metrics.matching import average_scores, pool_scores
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.dataset import read_examples
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.finetune import fine_tune_steps
from napari_nuclei_unet.training.finetune_data import Pair, make_finetune_data
from napari_nuclei_unet.training.loop import Epoch
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.training.reference_images import read_reference_images
from napari_nuclei_unet.training.split import split_by_group
from napari_nuclei_unet.training.threshold_tuning import predict_examples
from napari_nuclei_unet.training.train import train

CROPS, EDGE = 5, 256


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    examples = read_examples(args.images, args.labels, args.groups)
    histology = [one for one in examples if one.kind.startswith("histology")]
    others = [one for one in examples if not one.kind.startswith("histology")]
    if not args.base.is_file():
        train(others, dataclasses.replace(TrainParams(), epochs=8), args.base)
    model = load_model(args.base)
    training = model.card.training
    _, validation = split_by_group(others, training["validation"], training["seed"])
    fluorescence = [one for one in validation if one.kind.startswith("fluorescence")]
    # validated on a tenth, as the numbers in the docs were measured
    recipe = dataclasses.replace(RECIPES["finetune"], validation_nuclei=0)
    params = changed(recipe, args.set)
    files = {image_stem(path): path for path in find_images([args.images])}
    print(f"base {model.card.sha256[:12]}, {torch.get_num_threads()} threads, {params}")
    for seed in range(args.seeds):
        crops, fields = chosen([one for one in histology if one.kind == "histology_purple"], seed)
        unseen = [one for one in histology if one.group not in fields]
        tuned, seconds = fine_tuned(crops, files, args.base, params)
        print(f"seed {seed}: fine-tuned in {seconds:.0f} s, {tuned.verdict}")
        for name, some in (("other histology", unseen), ("fluorescence", fluorescence)):
            table = zip(scored(model, some), scored(tuned.model, some), strict=True)
            for way, (before, after) in zip(("by image", "pooled"), table, strict=True):
                changes = "  ".join(
                    f"{score} {before[score]:.3f} -> {after[score]:.3f}"
                    for score in ("AP@0.5", "mean AP")
                )
                print(f"{name:16} {len(some):3} images, {way}  {changes}", flush=True)


def changed(params: TrainParams, settings: list[str]) -> TrainParams:
    """Change parameters as ``--set`` says."""
    given = dict(one.split("=") for one in settings)
    kinds = {name: type(getattr(params, name)) for name in given}
    return dataclasses.replace(params, **{name: kinds[name](given[name]) for name in given})


def chosen(histology: list[Example], seed: int) -> tuple[list[Example], set[str]]:
    """Choose an image of each of five fields of view, from those with small nuclei to large ones.

    As a user would, who annotates what differs. The seed says which of each fifth.
    """
    rng = np.random.default_rng(seed)
    fields = {one.group: one for one in histology if len(one.centres) >= 10}
    ranked = sorted(fields.values(), key=lambda one: one.diameter)
    fifths = np.array_split(np.arange(len(ranked)), CROPS)
    picked = [ranked[rng.choice(part) if seed else part[len(part) // 2]] for part in fifths]
    return picked, {one.group for one in picked}


def fine_tuned(crops: list[Example], files: dict[str, Path], base: Path, params: TrainParams):
    """Fine-tune the base model on the first 256 x 256 pixels of images; and how long it took."""
    started = time.perf_counter()
    box = slice(EDGE), slice(EDGE)
    pairs = [Pair(read_image(files[one.name])[box], one.ids[box], one.name) for one in crops]
    known = [one for one in read_reference_images("learn") if not one.kind.startswith("histology")]
    lesson = make_finetune_data(pairs, params, references=known)
    first = []

    def show(step):
        if isinstance(step, Epoch):
            first.append(time.perf_counter() - started)
            print(step, f"{first[-1]:.0f} s", file=sys.stderr)

    return run(fine_tune_steps(lesson, base, params), show), time.perf_counter() - started


def scored(model: Model, examples: list[Example]) -> tuple[dict[str, float], dict[str, float]]:
    """Score by image and pooled, as users get it."""
    counts = [one.count(model.card.thresholds) for one in predict_examples(model, examples)]
    return average_scores(counts), pool_scores(counts)


if __name__ == "__main__":
    main()
