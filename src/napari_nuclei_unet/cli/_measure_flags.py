"""Flags of what is measured: shared by ``measure``, ``convert`` and ``segment``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ._distance import parse_distance

if TYPE_CHECKING:
    from ..export import MeasureOptions, Result


def add_surroundings_flags(parser: argparse._ActionsContainer) -> None:
    """Add ``--ring`` and ``--neighbours``."""
    parser.add_argument(
        "--ring", type=parse_distance, metavar="DISTANCE",
        help="also measure the ring (cytoplasm) around each nucleus, such as 5px or 1.5um",
    )  # fmt: skip
    parser.add_argument(
        "--neighbours", type=parse_distance, metavar="DISTANCE",
        help="also count other nuclei up to this distance, such as 50px or 20um",
    )  # fmt: skip


def add_border_flag(parser: argparse._ActionsContainer) -> None:
    """Add ``--exclude-border``."""
    parser.add_argument(
        "--exclude-border", action="store_true",
        help="leave out nuclei at the edge of the image, which may be cut off; in volumes, the"
        " first and the last slice are edges, too",
    )  # fmt: skip


def measure_options(args: argparse.Namespace, channels: str) -> MeasureOptions:
    """Return what is measured.

    Parameters
    ----------
    args : argparse.Namespace
    channels : str
        Names or numbers, with commas between them; empty, or all: all.

    Raises
    ------
    UserError
        If distances are in different units.
    """
    # in the functions, so that --help does not load pandas
    from ..export import MeasureOptions

    given = [one for one in (args.ring, args.neighbours) if one is not None]
    if len({one.in_micrometers for one in given}) > 1:
        raise UserError("Give --ring and --neighbours in the same unit: px or um.")
    names = tuple(part.strip() for part in channels.split(",") if part.strip())
    return MeasureOptions(
        channels=() if names == ("all",) else names,
        ring=args.ring and args.ring.value,
        neighbours=args.neighbours and args.neighbours.value,
        in_micrometers=any(one.in_micrometers for one in given),
    )


def read_chosen(
    labels: Path, without_border: bool, targets: Sequence[Path], axes: str | None = None
) -> Result:
    """Read a result, with or without the nuclei at the edge of the image.

    Parameters
    ----------
    labels : Path
    without_border : bool
    targets : sequence of Path
        Where it goes.
    axes : str, optional
        A letter for each axis of their image, if the file does not say them or is wrong.

    Raises
    ------
    UserError
        If labels and table would not belong together any more.
    """
    from ..export import exclude_border, read_result
    from ..export.read import result_table_path

    result = read_result(labels, axes)
    if not without_border:
        return result
    own = {path.resolve() for path in (labels, result_table_path(labels))}
    if spoilt := [path for path in targets if path.resolve() in own]:
        raise UserError(
            f"{spoilt[0]} belongs to labels with all nuclei: choose another place with --out, or "
            "leave --exclude-border out."
        )
    return exclude_border(result)
