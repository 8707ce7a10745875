"""``measure``."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ._common import Commands, add_decimal_comma_flag

if TYPE_CHECKING:
    from ..export.remeasure import MeasureOptions

DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(px|um|µm|μm)?")


@dataclass(frozen=True)
class Distance:
    """A distance in pixels or micrometers."""

    value: float
    in_micrometers: bool


def add_measure_command(commands: Commands) -> None:
    """Add the command ``measure``."""
    parser = commands.add_parser(
        "measure", help="measure labels in images: all channels, rings, neighbours"
    )
    parser.add_argument("labels", type=Path, metavar="LABELS")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument(
        "--channel", default="", metavar="NAMES",
        help="names or numbers of channels, with commas between them; default: all",
    )  # fmt: skip
    parser.add_argument(
        "--ring", type=_parse_distance, metavar="DISTANCE",
        help="also measure the ring (cytoplasm) around each nucleus, such as 5px or 1.5um",
    )  # fmt: skip
    parser.add_argument(
        "--neighbours", type=_parse_distance, metavar="DISTANCE",
        help="also count other nuclei up to this distance, such as 50px or 20um",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="CSV", help="the table; default: that beside the labels"
    )
    add_decimal_comma_flag(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a table that exists")
    parser.set_defaults(command=run_measure)


def _parse_distance(text: str) -> Distance:
    match = DISTANCE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"'{text}': a distance, such as 5px or 1.5um")
    return Distance(float(match[1]), match[2] not in (None, "px"))


def run_measure(args: argparse.Namespace) -> int:
    """Measure labels, and write their table."""
    # in the functions, so that --help does not load pandas
    from ..export.read import read_result, result_table_path
    from ..export.remeasure import measure_result
    from ..export.save import save
    from ..io.open import open_image

    target = args.out or result_table_path(args.labels)
    if not target.name.lower().endswith(".csv"):
        raise UserError(f"The table {target} must end in .csv: give another name.")
    if target.exists() and not args.overwrite:
        raise UserError(f"{target} exists: choose another name, or `overwrite` it.")
    result = measure_result(
        read_result(args.labels), [open_image(path) for path in args.images], _options(args)
    )
    save(target, result, args.decimal_comma)
    print(f"{len(result.table):,} nuclei measured: {target}")
    return 0


def _options(args: argparse.Namespace) -> MeasureOptions:
    from ..export.remeasure import MeasureOptions

    given = [one for one in (args.ring, args.neighbours) if one is not None]
    if len({one.in_micrometers for one in given}) > 1:
        raise UserError("Give --ring and --neighbours in the same unit: px or um.")
    return MeasureOptions(
        channels=tuple(part.strip() for part in args.channel.split(",") if part.strip()),
        ring=args.ring and args.ring.value,
        neighbours=args.neighbours and args.neighbours.value,
        in_micrometers=any(one.in_micrometers for one in given),
    )
