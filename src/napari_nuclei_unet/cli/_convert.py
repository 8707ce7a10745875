"""``convert``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError
from ..io.image_labels import DEFAULT_NAME
from ..io.tables import TABLE_SUFFIX
from ._bar import run_with_bar
from ._common import Commands, add_decimal_comma_flag, print_error

# What follows the name of a result in each format.
ENDINGS = {
    "csv": TABLE_SUFFIX,
    "geojson": "_nuclei.geojson",
    "rois": "_rois.zip",
    "ome-tiff": "_labels.ome.tif",
}
# Suffixes of formats with measurements.
MEASURED = (".csv", ".geojson")


def add_convert_command(commands: Commands) -> None:
    """Add the command ``convert``."""
    convert = commands.add_parser(
        "convert", help="convert labels for other programs: tables, outlines, OME-TIFF"
    )
    convert.add_argument("paths", nargs="+", type=Path, metavar="LABELS")
    convert.add_argument(
        "--to", type=parse_formats, default=(), metavar="FORMAT",
        help=f"one or more of {', '.join(ENDINGS)}, with commas between them",
    )  # fmt: skip
    convert.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where files go; default: beside the labels"
    )
    convert.add_argument(
        "--into-image", type=str, metavar="IMAGE",
        help="the OME-Zarr image that the labels are of: they are written into it",
    )  # fmt: skip
    convert.add_argument(
        "--name", default=DEFAULT_NAME, help=f"of the labels in the image; default: {DEFAULT_NAME}"
    )
    add_decimal_comma_flag(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace files that exist")
    convert.set_defaults(command=run_convert)


def parse_formats(text: str) -> list[str]:
    """Return the formats of a flag, each once."""
    formats = [part.strip() for part in text.split(",")]
    if unknown := [part for part in formats if part not in ENDINGS]:
        raise argparse.ArgumentTypeError(
            f"'{unknown[0]}': choose among {', '.join(ENDINGS)}, with commas between them"
        )
    return list(dict.fromkeys(formats))


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
                print(target)
        except (UserError, OSError) as error:
            print_error(error)
            failed = True
    return 2 if failed else 0


def _convert(path: Path, args: argparse.Namespace) -> Iterator[Path]:
    """Write all files of some labels, and yield the path of each."""
    from ..export.read import result_folder  # imports pandas

    targets = list_targets(path, args.to, args.out or result_folder(path))
    if existing := [target for target in targets if target.exists() and not args.overwrite]:
        raise UserError(f"{existing[0]} exists: choose another folder, or `overwrite` it.")
    write_targets(path, targets, args.decimal_comma)
    yield from targets
    if args.into_image:
        yield _write_into_image(path, args)


def _write_into_image(path: Path, args: argparse.Namespace) -> Path:
    from ..export.into_image import save_into_image_steps
    from ..export.read import read_result

    steps = save_into_image_steps(args.into_image, read_result(path), args.name, args.overwrite)
    return run_with_bar(steps, path.name)


def list_targets(labels: Path, formats: Sequence[str], folder: Path) -> list[Path]:
    """Return the paths of some labels in other formats."""
    from ..export.read import result_stem

    return [folder / f"{result_stem(labels)}{ENDINGS[kind]}" for kind in formats]


def write_targets(labels: Path, targets: Sequence[Path], decimal_comma: bool = False) -> None:
    """Write labels to files, in the formats of their endings; tables with decimal commas if asked.

    Raises
    ------
    UserError
        If the labels cannot be read, or a file cannot be written.
    """
    # in the functions, so that --help does not load pandas
    from ..export.read import read_result
    from ..export.result import with_shapes
    from ..export.save import save

    if not targets:
        return
    result = read_result(labels)
    if not len(result.table.columns) and any(one.suffix in MEASURED for one in targets):
        result = with_shapes(result)
    for target in targets:
        save(target, result, decimal_comma)
