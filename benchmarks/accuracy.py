"""Score a model on the validation part, by modality, through the engine that users run.

    python benchmarks/accuracy.py IMAGES LABELS GROUPS.csv [--model nuclei]
        [--scale 1.0] [--diameter 8 100] [--disturbed] [--confidence 0.9] [--with-fragments]
        [--second aitslab_u2os [--write FOLDER]]

The validation part is the one that ``nuclei-unet train`` held back with the seed of the model's
card. ``--scale`` resizes images and annotations first, to see what size of nuclei a model takes;
``--diameter`` leaves out images whose median nucleus is then smaller or larger, in pixels.
``--disturbed`` changes colour, contrast, light, sharpness and noise as the training does, to see
what a model makes of other microscopes. ``--with-fragments`` leaves out no micronuclei.
``--second`` scores the second validation part instead (``training/second_part.py``), which is made
of the first and of images of another microscope, in the folders images and labels beside their
table images.csv; ``--write`` keeps it as files.
"""

from collections import defaultdict

import numpy as np
import torch
from skimage.transform import resize
from validation_part import arguments, load

from napari_nuclei_unet import SegmentParams, run, segment_steps
from napari_nuclei_unet.metrics.matching import (
    IOU_THRESHOLDS,
    MatchCounts,
    average_scores,
    count_matches,
    pool_scores,
)
from napari_nuclei_unet.segmentation.normalization import check_plane
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.photometric import disturbed

COLUMNS = (*(f"AP@{t:g}" for t in IOU_THRESHOLDS), "mean AP", "F1", "PQ", "AJI", "Dice")


def main() -> None:
    """Print one table by image and one pooled."""
    parser = arguments(__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--diameter", type=float, nargs=2, default=(0, np.inf))
    parser.add_argument("--disturbed", action="store_true")
    parser.add_argument("--confidence", type=float)
    parser.add_argument("--with-fragments", action="store_true")
    args = parser.parse_args()

    model, validation = load(args)
    counts: dict[str, list[MatchCounts]] = defaultdict(list)
    for seed, (kind, image, truth) in enumerate(validation):
        if args.disturbed:
            image = as_another_microscope(image, seed)
        if args.scale != 1:
            shape = tuple(max(1, round(edge * args.scale)) for edge in truth.shape)
            image = resize(image, shape, order=1, anti_aliasing=args.scale < 1, preserve_range=True)
            truth = resize(truth, shape, order=0, preserve_range=True, anti_aliasing=False)
        areas = np.bincount(truth.ravel())[1:]
        diameter = np.sqrt(4 / np.pi * np.median(areas[areas > 0])) if truth.any() else 0
        if not args.diameter[0] <= diameter <= args.diameter[1]:
            continue
        params = SegmentParams(
            confidence=args.confidence, leave_out_fragments=not args.with_fragments
        )
        result = run(segment_steps(image, model, params))
        for name in (kind, "all"):
            counts[name].append(count_matches(truth, result.labels))
    how = result.record["ran_on"]
    print(f"model {model.card.name} {model.card.sha256[:12]}, {how['device']}, {how['precision']}")
    for name, summary in (("by image", average_scores), ("pooled", pool_scores)):
        print(f"\n| {name} | images | nuclei | " + " | ".join(COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 3) + "|")
        for kind, some in sorted(counts.items()):
            scores = summary(some)
            nuclei = sum(c.n_true for c in some)
            cells = " | ".join(f"{scores[column]:.3f}" for column in COLUMNS)
            print(f"| {kind} | {len(some)} | {nuclei} | {cells} |")


def as_another_microscope(image: np.ndarray, seed: int) -> np.ndarray:
    """Disturb an image as the training does."""
    pixels = torch.from_numpy(np.atleast_3d(check_plane(image).normalized())).permute(2, 0, 1)
    labels = torch.zeros(1, *pixels.shape[1:])
    changed = disturbed(Example("", pixels.expand(3, -1, -1), labels, "", ""), seed)
    return changed.image.permute(1, 2, 0).numpy()


if __name__ == "__main__":
    main()
