"""``measure``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..counts import format_count
from ..errors import UserError
from ..io.paths import printable
from ._common import Commands, add_decimal_comma_flag
from ._measure_flags import add_border_flag, add_surroundings_flags, measure_options, read_chosen


def add_measure_command(commands: Commands) -> None:
    """Add the command ``measure``."""
    parser = commands.add_parser(
        "measure", help="measure labels in images: all channels, rings, neighbours"
    )
    parser.add_argument("labels", type=Path, metavar="LABELS")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument(
        "--channel", default="", metavar="NAMES",
        help="names or numbers of channels, separated by commas; default: all",
    )  # fmt: skip
    parser.add_argument(
        "--volume", action="store_true",
        help="treat a nucleus as one object along z, with one row: volume, surface and so on; not "
        "needed for labels that were segmented with --volume",
    )  # fmt: skip
    parser.add_argument(
        "--axes", metavar="LETTERS",
        help="a letter for each axis of the images: Y and X for the plane, C for channels, which "
        "labels do not have. Default: from the files, else the last letters of TZYX for labels "
        "and of TZCYX for images",
    )  # fmt: skip
    add_surroundings_flags(parser)
    add_border_flag(parser)
    parser.add_argument(
        "--out", type=Path, metavar="CSV", help="table to write; default: the one beside the labels"
    )
    add_decimal_comma_flag(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing table")
    parser.set_defaults(command=run_measure)


def run_measure(args: argparse.Namespace) -> int:
    """Measure labels, and write their table."""
    # in the functions, so that --help does not load pandas
    from ..export.channels import name_axes
    from ..export.read import result_table_path
    from ..export.remeasure import measure_result
    from ..export.save import save
    from ..io.open import open_image

    target = args.out or result_table_path(args.labels)
    if not target.name.lower().endswith(".csv"):
        raise UserError(f"The table {target} must end in .csv: give another name.")
    if target.exists() and not args.overwrite:
        raise UserError(f"{target} exists: choose another name, or `overwrite` it.")
    options = dataclasses.replace(measure_options(args, args.channel), volume=args.volume)
    result = read_chosen(args.labels, args.exclude_border, [target], args.axes)
    images = [name_axes(open_image(path), args.axes) for path in args.images]
    result = measure_result(result, images, options)
    save(target, result, decimal_comma=args.decimal_comma)
    print(f"{format_count(len(result.table), 'nucleus')} measured: {printable(target)}")
    return 0
