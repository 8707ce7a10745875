"""``convert``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ._common import Commands, print_error
from ._measure_flags import add_border_flag, read_chosen
from ._results import (
    ENDINGS,
    add_cells_flag,
    list_targets,
    outline_options,
    parse_formats,
    write_targets,
)


def add_convert_command(commands: Commands) -> None:
    """Add the command ``convert``."""
    convert = commands.add_parser(
        "convert", help="convert labels for other programs: tables, outlines, OME-TIFF, GEFF"
    )
    convert.add_argument("paths", nargs="+", type=Path, metavar="LABELS")
    convert.add_argument(
        "--to", required=True, type=parse_formats, metavar="FORMAT",
        help=f"one or more of {', '.join(ENDINGS)}, with commas between them",
    )  # fmt: skip
    convert.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where files go; default: beside the labels"
    )
    add_cells_flag(convert)
    add_border_flag(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace files that exist")
    convert.set_defaults(command=run_convert)


def run_convert(args: argparse.Namespace) -> int:
    """Convert labels, one after the other; a bad one does not stop the rest."""
    failed = False
    for path in args.paths:
        try:
            for target in _convert(path, args):
                print(target)
        except (UserError, OSError) as error:
            print_error(error)
            failed = True
    return 2 if failed else 0


def _convert(path: Path, args: argparse.Namespace) -> Iterator[Path]:
    """Write all files of some labels, and yield the path of each."""
    outlines = outline_options(args, args.to)
    targets = list_targets(path, args.to, args.out or path.parent)
    if existing := [target for target in targets if target.exists() and not args.overwrite]:
        raise UserError(f"{existing[0]} exists: choose another folder, or `overwrite` it.")
    write_targets(read_chosen(path, args.exclude_border, targets), targets, outlines)
    yield from targets
