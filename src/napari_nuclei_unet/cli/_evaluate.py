"""``evaluate`` and ``models``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nuclei_unet.cli._common import Commands
from napari_nuclei_unet.errors import UserError

if TYPE_CHECKING:
    from napari_nuclei_unet.core.scores import Counts


def add_to(commands: Commands) -> None:
    """Add the commands ``evaluate`` and ``models``."""
    one = commands.add_parser("evaluate", help="compare labels with annotations")
    one.add_argument("predicted", type=Path, metavar="PREDICTED_DIR")
    one.add_argument("true", type=Path, metavar="TRUE_DIR")
    one.add_argument(
        "--groups", type=Path, metavar="CSV", help="table with the columns id and modality"
    )
    one.add_argument("--each", action="store_true", help="also a row for each image")
    one.add_argument("--json", action="store_true", help="print JSON instead of a table")
    one.set_defaults(command=evaluate)

    one = commands.add_parser("models", help="list the models and their cards")
    one.add_argument("--json", action="store_true", help="print JSON instead of text")
    one.set_defaults(command=models)


def evaluate(args: argparse.Namespace) -> int:
    """Print how well labels agree with annotations."""
    from napari_nuclei_unet.core.scores import by_image, count, pooled
    from napari_nuclei_unet.learning.annotations import read_groups, refuse_masks

    pairs = _pairs(args.predicted, args.true)
    refuse_masks(true for _, true in pairs.values())
    groups = read_groups(args.groups, pairs, ("modality",)) if args.groups else {}
    counts, parts = {}, defaultdict(list)
    for stem, (predicted, true) in pairs.items():
        if predicted.shape != true.shape:
            raise UserError(
                f"{stem}: predicted labels have the shape {predicted.shape}, "
                f"true ones {true.shape}."
            )
        counts[stem] = count(true, predicted)
        if modality := groups.get(stem, {}).get("modality"):
            parts[modality].append(counts[stem])

    def tables(some: list[Counts]) -> dict[str, Any]:
        return {"images": len(some), "by image": by_image(some), "pooled": pooled(some)}

    modalities = {name: tables(some) for name, some in sorted(parts.items())}
    everything = tables(list(counts.values()))
    each = {stem: one.scores() for stem, one in counts.items()}
    if args.json:
        print(json.dumps({**everything, "modalities": modalities, "each": each}, indent=2))
        return 0
    for name, table in [*modalities.items(), ("all", everything)]:
        title = f"{name} ({table['images']} images)"
        _print_scores({f"{title}, {way}": table[way] for way in ("by image", "pooled")})
    if args.each:
        _print_scores(each)
    return 0


def _print_scores(rows: dict[str, dict[str, float]]) -> None:
    """Print one table; its header says which column is which score."""
    wide = max(map(len, rows))
    names = list(next(iter(rows.values())))
    print(" " * wide, *(f"{name:>7}" for name in names))
    for title, scores in rows.items():
        print(title.ljust(wide), *(f"{scores[name]:7.3f}" for name in names))


def _pairs(predicted: Path, true: Path) -> dict[str, tuple[Any, Any]]:
    """Labels of both folders by stem; ``_labels`` at the end of a name does not count."""
    from napari_nuclei_unet.files import read_labels
    from napari_nuclei_unet.learning.annotations import labels_by_stem

    found = [labels_by_stem(folder) for folder in (predicted, true)]
    missing = sorted(found[1].keys() - found[0].keys())
    if missing:
        raise UserError(
            f"{predicted} has no labels for {len(missing)} of the {len(found[1])} annotated "
            f"images, the first is {missing[0]}."
        )
    return {stem: (read_labels(found[0][stem]), read_labels(found[1][stem])) for stem in found[1]}


def models(args: argparse.Namespace) -> int:
    """Print the cards of the models."""
    from napari_nuclei_unet.models import available_models, read_card

    cards = [dataclasses.asdict(read_card(path)) for path in available_models().values()]
    if args.json:
        print(json.dumps(cards, indent=2))
        return 0
    for card in cards:
        print(card["name"])
        for key, value in card.items():
            if key != "name" and value:
                print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0
