"""``models``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..io.paths import model_folder, printable
from ..models.library import MODEL_SUFFIX, copy_from_library, import_model
from ..models.model import ModelCard, available_models, find_model_path, read_card, shipped_models
from ._common import Commands, print_error

# Columns of a terminal that does not say how many it has, and the fewest that a table needs.
DEFAULT_COLUMNS, MIN_COLUMNS = 80, 72
# Fewest letters for what a model is for.
MIN_PURPOSE = 16
GAP = "  "


@dataclass(frozen=True)
class ListedModel:
    """A model as it is listed.

    Attributes
    ----------
    name : str
        By which ``--model`` takes it.
    path : Path
    card : ModelCard
    is_shipped : bool
        Whether it is one of the package.
    """

    name: str
    path: Path
    card: ModelCard
    is_shipped: bool


def add_models_command(commands: Commands) -> None:
    """Add the command ``models``."""
    models = commands.add_parser("models", help="list, import and export models")
    action = models.add_mutually_exclusive_group()
    action.add_argument("--json", action="store_true", help="print the full model cards as JSON")
    action.add_argument(
        "--export", nargs=2, metavar=("NAME", "FILE"),
        help=f"copy a model to a {MODEL_SUFFIX} file",
    )  # fmt: skip
    action.add_argument(
        "--import", dest="import_file", type=Path, metavar="FILE",
        help=f"add a {MODEL_SUFFIX} file to your models, under the name of the file",
    )  # fmt: skip
    models.add_argument(
        "--overwrite", action="store_true", help="replace an existing file, or a model of yours"
    )
    models.set_defaults(command=run_models)


def run_models(args: argparse.Namespace) -> int:
    """List the models, or copy one."""
    if args.export:
        name, file = args.export
        print(printable(_export(name, Path(file), args.overwrite)))
        return 0
    if args.import_file:
        added = import_model(args.import_file, model_folder(), args.overwrite)
        print(f"{printable(added.stem)}: {printable(added)}")
        return 0
    listed, is_whole = [], True
    shipped = shipped_models()
    for name, path in available_models().items():
        try:
            listed.append(ListedModel(name, path, read_card(path), name in shipped))
        except UserError as error:  # the others are listed all the same
            print_error(error)
            is_whole = False
    if args.json:
        print(json.dumps([_to_json(model) for model in listed], indent=2))
    else:
        columns = shutil.get_terminal_size((DEFAULT_COLUMNS, 0)).columns
        print(format_models(listed, max(columns, MIN_COLUMNS)))
    return 0 if is_whole else 2


def _export(name: str, to: Path, overwrite: bool) -> Path:
    """Copy a model to a file, and return its path."""
    path = find_model_path(name)
    if to.is_dir():
        to = to / f"{path.stem}{MODEL_SUFFIX}"
    if to.suffix.lower() != MODEL_SUFFIX:
        raise UserError(f"{to} must end in {MODEL_SUFFIX}: give the file another name.")
    if to.exists() and not overwrite:
        raise UserError(f"{to} exists: choose another name, or `overwrite` it.")
    copy_from_library(path, to)
    return to


def _to_json(model: ListedModel) -> dict[str, object]:
    return {
        **dataclasses.asdict(model.card),
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "shipped": model.is_shipped,
    }


def format_models(models: Sequence[ListedModel], columns: int) -> str:
    """Format a table of models that is so many columns wide; what is too long is shortened."""
    rows = [("NAME", "DIAMETER", "SIZE", "MADE", "ORIGIN", "FOR"), *map(_format_row, models)]
    widths = [max(len(row[at]) for row in rows) for at in range(1, 5)]
    rest = columns - sum(widths) - len(GAP) * (len(widths) + 1)
    names = [shorten(row[0], rest - MIN_PURPOSE) for row in rows]
    widths.insert(0, max(map(len, names)))
    lines = []
    for name, (_, *cells, purpose) in zip(names, rows, strict=True):
        texts = [text.ljust(n) for text, n in zip([name, *cells], widths, strict=True)]
        lines.append(GAP.join([*texts, cut(purpose, rest - widths[0])]).rstrip())
    return "\n".join(lines)


def _format_row(model: ListedModel) -> tuple[str, str, str, str, str, str]:
    card = model.card
    size = f"{model.path.stat().st_size / 1e6:.1f} MB"
    diameter = "-".join(f"{value:g}" for value in card.sizes)
    return (
        printable(model.name),
        f"{diameter} px" if diameter else "any",
        size,
        printable(card.created)[:10] or "?",
        "shipped" if model.is_shipped else "own",
        printable(_describe_purpose(card)),
    )


def _describe_purpose(card: ModelCard) -> str:
    """Return what a model was trained on, or else its description."""
    kinds = card.trained_on.get("kinds")
    names = kinds if isinstance(kinds, dict) else {}
    words = dict.fromkeys(name.partition("_")[0] for name in names if name != "image")
    return ", ".join(words) or card.description.rstrip(".")


def shorten(text: str, length: int) -> str:
    """Shorten a name in its middle, as names often differ at their ends."""
    if len(text) <= length:
        return text
    end = (length - 3) // 2
    return f"{text[: length - 3 - end]}...{text[-end:]}"


def cut(text: str, length: int) -> str:
    """Shorten a text at its end."""
    return text if len(text) <= length else f"{text[: length - 3].rstrip(' ,')}..."
