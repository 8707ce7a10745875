"""What fewer bits cost: scores by modality, and how alike labels are to those of fp32.

    python benchmarks/precisions.py IMAGES LABELS GROUPS.csv [--precision int8 bf16]
        [--all] [--kinds grayscale_tissue ...]

On the validation part of the model, as ``accuracy.py``; ``--all``: on every image.
"""

from collections import defaultdict

from validation_part import arguments, load

from napari_nuclei_unet import SegmentParams, run, segment_steps
from napari_nuclei_unet.metrics.matching import MatchCounts, count_matches, pool_scores


def main() -> None:
    """Print a table, with a row for each modality."""
    parser = arguments(__doc__)
    parser.add_argument("--precision", nargs="+", default=["int8"])
    parser.add_argument("--all", action="store_true", help="not only the validation part")
    parser.add_argument("--kinds", nargs="+", help="of these modalities only")
    args = parser.parse_args()
    model, images = load(args, args.all)
    precisions = ["fp32", *args.precision]
    counts: dict[tuple[str, str], list[MatchCounts]] = defaultdict(list)
    kinds = defaultdict(int)
    for kind, image, truth in images:
        if args.kinds and kind not in args.kinds:
            continue
        full = None
        for precision in precisions:
            params = SegmentParams(precision=precision)
            labels = run(segment_steps(image, model, params, "cpu")).labels
            full = labels if full is None else full
            for name in (kind, "all"):
                counts[name, precision].append(count_matches(truth, labels))
                counts[name, f"{precision} as fp32"].append(count_matches(full, labels))
        kinds[kind] += 1
    print("| modality | images | nuclei | precision | AP@0.5 | mean AP | AP@0.9 against fp32 |")
    print("|---|---|---|---|---|---|---|")
    for kind in [*sorted(kinds), "all"]:
        for precision in precisions:
            found = counts[kind, precision]
            scores, same = pool_scores(found), pool_scores(counts[kind, f"{precision} as fp32"])
            nuclei = sum(one.n_true for one in found)
            print(
                f"| {kind} | {len(found)} | {nuclei} | {precision} | {scores['AP@0.5']:.4f} "
                f"| {scores['mean AP']:.4f} | {same['AP@0.9']:.4f} |"
            )


if __name__ == "__main__":
    main()
