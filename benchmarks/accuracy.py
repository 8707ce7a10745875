"""Score a model on the validation part, by modality, through the engine that users run.

    python benchmarks/accuracy.py IMAGES LABELS GROUPS.csv [--model nuclei] [--scale 1.0]

The validation part is the one that ``nuclei-unet train`` held back with the seed of the model's
card. ``--scale`` resizes images and annotations first, to see what size of nuclei a model takes.
"""

from collections import defaultdict

from skimage.transform import resize
from validation_part import arguments, load

from napari_nuclei_unet import SegmentParams, run, segment_steps
from napari_nuclei_unet.core.scores import Counts, by_image, count, pooled

COLUMNS = ("AP@0.5", "AP@0.6", "AP@0.7", "AP@0.8", "AP@0.9", "mean AP", "F1", "PQ", "AJI", "Dice")


def main() -> None:
    """Print one table by image and one pooled."""
    parser = arguments(__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    args = parser.parse_args()

    model, validation = load(args)
    counts: dict[str, list[Counts]] = defaultdict(list)
    for kind, image, truth in validation:
        if args.scale != 1:
            shape = tuple(max(1, round(edge * args.scale)) for edge in truth.shape)
            image = resize(image, shape, order=1, anti_aliasing=args.scale < 1, preserve_range=True)
            truth = resize(truth, shape, order=0, preserve_range=True, anti_aliasing=False)
        result = run(segment_steps(image, model, SegmentParams()))
        for name in (kind, "all"):
            counts[name].append(count(truth, result.labels))
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
