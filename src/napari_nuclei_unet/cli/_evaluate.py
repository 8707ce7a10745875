"""``evaluate``."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..counts import format_count
from ..errors import UserError
from ..io.paths import printable
from ._common import Commands, loads_network

if TYPE_CHECKING:
    from ..export import Result
    from ..metrics.matching import MatchCounts
    from ..training.dataset import Annotation


def add_evaluate_command(commands: Commands) -> None:
    """Add the command ``evaluate``."""
    evaluate = commands.add_parser("evaluate", help="compare labels with annotations")
    for name, whose in (("predicted", "labels to evaluate"), ("true", "reference labels")):
        evaluate.add_argument(
            name,
            type=Path,
            metavar=name.upper(),
            help=f"{whose}: a folder of labels, one in the layout of the Data Science Bowl "
            "(ID/images beside ID/masks), or a CSV of run lengths (ImageId, EncodedPixels)",
        )
    evaluate.add_argument(
        "--groups", type=Path, metavar="CSV", help="table with the columns id and modality"
    )
    evaluate.add_argument("--each", action="store_true", help="also print a row for each image")
    evaluate.add_argument(
        "--volume", action="store_true",
        help="treat nuclei in stacks as 3-D objects, even if they were segmented slice by slice",
    )  # fmt: skip
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.set_defaults(command=run_evaluate)


class _Pair(NamedTuple):
    """Labels of an image, as found and as annotated."""

    found: Result
    true: Result


class _ComparedImage(NamedTuple):
    """Comparison of an image: its counts, the number of errors of each kind, and of volumes."""

    counts: MatchCounts
    errors: dict[str, int]
    volumes: int


@loads_network
def run_evaluate(args: argparse.Namespace) -> int:
    """Print how well labels agree with annotations."""
    # in the functions, so that --help does not load torch
    from ..training.dataset import read_groups

    pairs = _read_label_pairs(args.predicted, args.true)
    _check_shapes(pairs)
    _check_masks(args.predicted, {stem: pair.found for stem, pair in pairs.items()})
    _check_masks(args.true, {stem: pair.true for stem, pair in pairs.items()})
    groups = read_groups(args.groups, pairs, ("modality",)) if args.groups else {}
    compared, by_modality = {}, defaultdict(list)
    for stem, pair in pairs.items():
        compared[stem] = _compare_image(pair, args.volume)
        if modality := groups.get(stem, {}).get("modality"):
            by_modality[modality].append(compared[stem])
    modalities = {name: _score_table(images) for name, images in sorted(by_modality.items())}
    overall = _score_table(list(compared.values()))
    each = {stem: image.counts.scores() for stem, image in compared.items()}
    if args.json:
        rows = {stem: {**each[stem], "errors": image.errors} for stem, image in compared.items()}
        print(json.dumps({**overall, "modalities": modalities, "each": rows}, indent=2))
        return 0
    _print_stacks(pairs, compared)
    for name, table in [*modalities.items(), ("all", overall)]:
        title = f"{name} ({format_count(table['images'], 'image')})"
        _print_scores({f"{title}, {way}": table[way] for way in ("by image", "pooled")})
    if args.each:
        _print_scores(each)
    _print_errors(overall)
    return 0


def _check_shapes(pairs: dict[str, _Pair]) -> None:
    for stem, (found, true) in pairs.items():
        if found.labels.shape != true.labels.shape:
            raise UserError(
                f"{stem}: predicted labels have the shape {found.labels.shape}, true ones "
                f"{true.labels.shape}."
            )


def _check_masks(folder: Path, results: dict[str, Result]) -> None:
    """Raise an error where labels are masks, in which all nuclei have the same number."""
    from ..labels.masks import check_all_instances, check_instances

    images = {
        str(folder / stem): result.labels for stem, result in results.items() if not result.lead
    }
    check_all_instances(images)
    for stem, result in results.items():
        if result.lead:
            check_instances(str(folder / stem), (plane for _, plane in result.planes()))


def _compare_image(pair: _Pair, volume: bool) -> _ComparedImage:
    """Compare nuclei as objects in each volume, or else in each plane."""
    from ..metrics.error_types import compare
    from ..metrics.matching import sum_counts

    has_volumes = all(_has_volumes(result, volume) for result in pair)
    found, true = (one.volumes() if has_volumes else one.planes() for one in pair)
    parts = [compare(right, left) for (_, left), (_, right) in zip(found, true, strict=True)]
    kinds = parts[0].numbers
    return _ComparedImage(
        sum_counts([part.counts for part in parts]),
        {kind: sum(part.numbers[kind] for part in parts) for kind in kinds},
        len(parts) if has_volumes else 0,
    )


def _has_volumes(result: Result, volume: bool) -> bool:
    """Return whether nuclei of labels are objects along z; not if the record denies it."""
    record = result.record
    is_joined = record.get("join") == "Z" or record.get("along") is not None
    return "z" in result.lead and (volume or not record or is_joined or result.is_volume)


def _print_stacks(pairs: dict[str, _Pair], compared: dict[str, _ComparedImage]) -> None:
    """Print as what stacks were compared."""
    stacks = [stem for stem, pair in pairs.items() if pair.true.lead]
    volumes = [compared[stem].volumes for stem in stacks]
    in_space, in_planes = sum(count > 0 for count in volumes), volumes.count(0)
    if in_space:
        print(f"Stacks compared in 3-D: {in_space}, volumes in them: {sum(volumes)}")
    if in_planes:
        print(f"Stacks compared plane by plane: {in_planes}")


def _score_table(images: list[_ComparedImage]) -> dict[str, Any]:
    """Compute the scores of images, and their total nuclei and errors."""
    from ..metrics.matching import average_scores, pool_scores

    counts = [image.counts for image in images]
    return {
        "images": len(images),
        "volumes": sum(image.volumes for image in images),
        "annotated": sum(count.n_true for count in counts),
        "found": sum(count.n_predicted for count in counts),
        "errors": {kind: sum(image.errors[kind] for image in images) for kind in images[0].errors},
        "by image": average_scores(counts),
        "pooled": pool_scores(counts),
    }


def _print_errors(table: dict[str, Any]) -> None:
    errors = ", ".join(f"{number:,} {kind}" for kind, number in table["errors"].items())
    annotated = format_count(table["annotated"], "nucleus")
    print(f"{annotated} annotated, {table['found']:,} found: {errors}")


def _print_scores(rows: dict[str, dict[str, float]]) -> None:
    """Print a table with a column for each score."""
    rows = {printable(title): scores for title, scores in rows.items()}
    width = max(map(len, rows))
    names = list(next(iter(rows.values())))
    print(" " * width, *(f"{name:>7}" for name in names))
    for title, scores in rows.items():
        print(title.ljust(width), *(f"{scores[name]:7.3f}" for name in names))


def _read_label_pairs(predicted: Path, true: Path) -> dict[str, _Pair]:
    """Read the labels of both sides by stem, without ``_labels`` at the end of a name."""
    from ..io.run_length_table import NucleusRuns
    from ..training.dataset import find_annotations

    annotated = find_annotations(true)
    found = find_annotations(predicted, annotated)
    missing = sorted(annotated.keys() - found.keys())
    if missing:
        raise UserError(
            f"{predicted} has no labels for {len(missing)} of the {len(annotated)} annotated "
            f"images, the first is {missing[0]}."
        )
    pairs = {}
    for stem, annotation in annotated.items():
        if isinstance(found[stem], NucleusRuns):  # which take the size of the other side
            right = _read(annotation, stem)
            pairs[stem] = _Pair(_read(found[stem], stem, right.labels.shape), right)
        else:
            left = _read(found[stem], stem)
            pairs[stem] = _Pair(left, _read(annotation, stem, left.labels.shape))
    return pairs


def _read(annotation: Annotation, stem: str, shape: tuple[int, ...] | None = None) -> Result:
    """Read labels; of TIFF also stacks. The shape is needed for run lengths only."""
    from ..export.read import read_labels_of_result
    from ..export.result import Result
    from ..io.labels import read_labels
    from ..io.suffixes import TIFF_SUFFIXES

    if not isinstance(annotation, Path):
        return Result(annotation.read(shape), {}, name=stem)
    if annotation.suffix.lower() in TIFF_SUFFIXES:
        return read_labels_of_result(annotation)
    return Result(read_labels(annotation), {}, name=annotation.stem)
