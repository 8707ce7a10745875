"""``evaluate``."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UserError
from ._common import Commands

if TYPE_CHECKING:
    from ..metrics.matching import MatchCounts


def add_evaluate_command(commands: Commands) -> None:
    """Add the command ``evaluate``."""
    evaluate = commands.add_parser("evaluate", help="compare labels with annotations")
    evaluate.add_argument("predicted", type=Path, metavar="PREDICTED_DIR")
    evaluate.add_argument("true", type=Path, metavar="TRUE_DIR")
    evaluate.add_argument(
        "--groups", type=Path, metavar="CSV", help="table with the columns id and modality"
    )
    evaluate.add_argument("--each", action="store_true", help="also a row for each image")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.set_defaults(command=run_evaluate)


class _ComparedImage(NamedTuple):
    """Comparison of an image: its counts, and the number of errors of each kind."""

    counts: MatchCounts
    errors: dict[str, int]


def run_evaluate(args: argparse.Namespace) -> int:
    """Print how well labels agree with annotations."""
    # in the functions, so that --help does not load torch
    from ..labels.masks import check_all_instances
    from ..training.dataset import read_groups

    pairs = _read_label_pairs(args.predicted, args.true)
    _check_shapes(pairs)
    for side, folder in enumerate((args.predicted, args.true)):
        check_all_instances({str(folder / stem): pair[side] for stem, pair in pairs.items()})
    groups = read_groups(args.groups, pairs, ("modality",)) if args.groups else {}
    compared, by_modality = {}, defaultdict(list)
    for stem, (predicted, true) in pairs.items():
        compared[stem] = _compare_image(predicted, true)
        if modality := groups.get(stem, {}).get("modality"):
            by_modality[modality].append(compared[stem])
    modalities = {name: _score_table(images) for name, images in sorted(by_modality.items())}
    overall = _score_table(list(compared.values()))
    each = {stem: image.counts.scores() for stem, image in compared.items()}
    if args.json:
        rows = {stem: {**each[stem], "errors": image.errors} for stem, image in compared.items()}
        print(json.dumps({**overall, "modalities": modalities, "each": rows}, indent=2))
        return 0
    for name, table in [*modalities.items(), ("all", overall)]:
        title = f"{name} ({table['images']} images)"
        _print_scores({f"{title}, {way}": table[way] for way in ("by image", "pooled")})
    if args.each:
        _print_scores(each)
    _print_errors(overall)
    return 0


def _check_shapes(pairs: dict[str, tuple[Any, Any]]) -> None:
    for stem, (found, true) in pairs.items():
        if found.shape != true.shape:
            raise UserError(
                f"{stem}: predicted labels have the shape {found.shape}, true ones {true.shape}."
            )


def _compare_image(predicted: Any, true: Any) -> _ComparedImage:
    from ..metrics.error_types import compare

    comparison = compare(true, predicted)
    return _ComparedImage(comparison.counts, comparison.numbers)


def _score_table(images: list[_ComparedImage]) -> dict[str, Any]:
    """Compute the scores of images, and their total nuclei and errors."""
    from ..metrics.matching import average_scores, pool_scores

    counts = [image.counts for image in images]
    return {
        "images": len(images),
        "annotated": sum(count.n_true for count in counts),
        "found": sum(count.n_predicted for count in counts),
        "errors": {kind: sum(image.errors[kind] for image in images) for kind in images[0].errors},
        "by image": average_scores(counts),
        "pooled": pool_scores(counts),
    }


def _print_errors(table: dict[str, Any]) -> None:
    errors = ", ".join(f"{number:,} {kind}" for kind, number in table["errors"].items())
    print(f"{table['annotated']:,} nuclei annotated, {table['found']:,} found: {errors}")


def _print_scores(rows: dict[str, dict[str, float]]) -> None:
    """Print a table with a column for each score."""
    width = max(map(len, rows))
    names = list(next(iter(rows.values())))
    print(" " * width, *(f"{name:>7}" for name in names))
    for title, scores in rows.items():
        print(title.ljust(width), *(f"{scores[name]:7.3f}" for name in names))


def _read_label_pairs(predicted: Path, true: Path) -> dict[str, tuple[Any, Any]]:
    """Read the labels of both folders by stem, without ``_labels`` at the end of a name."""
    from ..io.labels import read_labels
    from ..training.dataset import find_labels_by_stem

    annotated = find_labels_by_stem(true)
    found = [find_labels_by_stem(predicted, annotated), annotated]
    missing = sorted(found[1].keys() - found[0].keys())
    if missing:
        raise UserError(
            f"{predicted} has no labels for {len(missing)} of the {len(found[1])} annotated "
            f"images, the first is {missing[0]}."
        )
    return {stem: (read_labels(found[0][stem]), read_labels(found[1][stem])) for stem in found[1]}
