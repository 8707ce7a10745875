"""``convert``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ..io.image_labels import DEFAULT_NAME
from ..io.paths import printable
from ._bar import run_with_bar
from ._common import Commands, add_decimal_comma_flag, print_error
from ._into_image import add_ngff_flag
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
        "--to", type=parse_formats, default=(), metavar="FORMAT",
        help=f"one or more of {', '.join(ENDINGS)}, separated by commas",
    )  # fmt: skip
    convert.add_argument(
        "--out", type=Path, metavar="FOLDER", help="output folder; default: beside the labels"
    )
    convert.add_argument(
        "--into-image", type=str, metavar="IMAGE",
        help="write the labels into this OME-Zarr image, to which they belong",
    )  # fmt: skip
    convert.add_argument(
        "--name",
        default=DEFAULT_NAME,
        help=f"name of the labels in the image; default: {DEFAULT_NAME}",
    )
    add_ngff_flag(convert)
    add_decimal_comma_flag(convert)
    add_cells_flag(convert)
    add_border_flag(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace files that exist")
    convert.set_defaults(command=run_convert)


def run_convert(args: argparse.Namespace) -> int:
    """Convert labels, one after the other; a bad one does not stop the rest."""
    if not args.to and not args.into_image:
        raise UserError("Give the formats with --to, or an image with --into-image.")
    if args.into_image and len(args.paths) > 1:
        raise UserError(
            f"--into-image {args.into_image} is one image for {len(args.paths)} labels: convert "
            "one of them."
        )
    failed = False
    for path in args.paths:
        try:
            for target in _convert(path, args):
                print(printable(target))
        except (UserError, OSError) as error:
            print_error(error)
            failed = True
    return 2 if failed else 0


def _convert(path: Path, args: argparse.Namespace) -> Iterator[Path]:
    """Write all files of some labels, and yield the path of each."""
    # in the function, so that --help does not load pandas
    from ..export.into_image import save_into_image_steps
    from ..export.read import result_folder

    outlines = outline_options(args, args.to)
    targets = list_targets(path, args.to, args.out or result_folder(path))
    if existing := [target for target in targets if target.exists() and not args.overwrite]:
        raise UserError(f"{existing[0]} exists: choose another folder, or `overwrite` it.")
    result = read_chosen(path, args.exclude_border, targets)
    write_targets(result, targets, outlines, args.decimal_comma, args.ngff)
    yield from targets
    if args.into_image:
        steps = save_into_image_steps(args.into_image, result, args.name, args.overwrite)
        yield run_with_bar(steps, path.name)
