"""Results in other formats: flags and files of ``segment --save`` and of ``convert``."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..io.labels import LABELS_SUFFIX, STORE_SUFFIX
from ..io.ngff import DEFAULT_NGFF, NgffVersion
from ..io.tables import TABLE_SUFFIX, TRACK_GRAPH_SUFFIX
from ._distance import parse_distance
from ._measure_flags import add_border_flag, add_surroundings_flags, measure_options

if TYPE_CHECKING:
    from ..batch.job import ImageJob
    from ..export import MeasureOptions, OutlineOptions, Result

# What follows the name of a result in each format.
ENDINGS = {
    "csv": TABLE_SUFFIX,
    "geojson": "_nuclei.geojson",
    "rois": "_rois.zip",
    "ome-tiff": LABELS_SUFFIX,
    "ome-zarr": STORE_SUFFIX,
    "geff": TRACK_GRAPH_SUFFIX,
}
# Suffixes of formats with measurements.
MEASURED = (".csv", ".geojson")


def parse_formats(text: str) -> list[str]:
    """Return the formats of a flag, each once."""
    formats = [part.strip() for part in text.split(",")]
    if unknown := [part for part in formats if part not in ENDINGS]:
        raise argparse.ArgumentTypeError(
            f"'{unknown[0]}': choose among {', '.join(ENDINGS)}, separated by commas"
        )
    return list(dict.fromkeys(formats))


def add_cells_flag(parser: argparse._ActionsContainer) -> None:
    """Add ``--cells``."""
    parser.add_argument(
        "--cells", type=parse_distance, metavar="DISTANCE",
        help="in GeoJSON, expand nuclei to cells by up to this distance, such as 5px or 2um",
    )  # fmt: skip


def add_result_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``segment`` that say what is measured and written of nuclei."""
    group = parser.add_argument_group("what is measured and written")
    group.add_argument(
        "--measure", metavar="NAMES",
        help="channels in which nuclei are measured: all, or names or numbers separated by commas. "
        "Default: the segmented channel; with --ring or --neighbours, all. For OME-Zarr output, "
        "only in volumes",
    )  # fmt: skip
    add_surroundings_flags(group)
    add_border_flag(group)
    add_cells_flag(group)


def check_saved_formats(args: argparse.Namespace) -> None:
    """Raise an error for formats of ``--save`` that cannot be written in the end.

    Raises
    ------
    UserError
    """
    if "geff" not in args.save:
        return
    if not args.track:
        raise UserError("GEFF contains tracks: add `track`, or leave geff out of the formats.")
    # in the functions, so that --help does not load pandas
    from ..export.geff import check_geff_installed

    check_geff_installed()


def measure_of_run(args: argparse.Namespace) -> MeasureOptions | None:
    """Return what is measured right after segmenting; None: what is segmented."""
    if args.measure is None and args.ring is None and args.neighbours is None:
        return None
    return measure_options(args, args.measure or "all")


def outline_options(args: argparse.Namespace, formats: Sequence[str]) -> OutlineOptions:
    """Return what is outlined.

    Raises
    ------
    UserError
        If cells are asked for, and no format has them.
    """
    from ..export import OutlineOptions

    if args.cells is None:
        return OutlineOptions()
    if "geojson" not in formats:
        raise UserError("Only GeoJSON has cells: add geojson to the formats, or leave `cells` out.")
    return OutlineOptions(args.cells.value, args.cells.in_micrometers)


def list_targets(labels: Path, formats: Sequence[str], folder: Path) -> list[Path]:
    """Return the paths of some labels in other formats."""
    from ..export.read import result_stem

    return [folder / f"{result_stem(labels)}{ENDINGS[kind]}" for kind in formats]


def write_targets(
    result: Result,
    targets: Sequence[Path],
    outlines: OutlineOptions,
    decimal_comma: bool = False,
    ngff: NgffVersion = DEFAULT_NGFF,
) -> None:
    """Write a result to files, in the formats of their endings.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    from ..export.result import with_shapes
    from ..export.save import save

    if not len(result.table.columns) and any(one.suffix in MEASURED for one in targets):
        result = with_shapes(result)
    for target in targets:
        save(target, result, outlines, decimal_comma=decimal_comma, ngff=ngff)


def check_formats_writable(job: ImageJob, formats: Sequence[str], overwrite: bool) -> None:
    """Raise an error for files of a format that are there, while labels of ours are not.

    Raises
    ------
    UserError
    """
    labels = job.results.known_labels
    if overwrite or labels.exists() or not formats:
        return
    written = (labels, *job.tables)
    targets = [one for one in list_targets(labels, formats, labels.parent) if one not in written]
    if existing := [one for one in targets if one.exists()]:
        raise UserError(f"{existing[0]} exists: choose another folder, or `overwrite` it.")


def save_formats(
    job: ImageJob, formats: Sequence[str], skipped: bool, decimal_comma: bool = False
) -> None:
    """Write a result in other formats, too; of one that was done before those that are missing.

    GeoJSON is written anew if there are to be cells, as nobody knows how large those
    that it has are.
    """
    from ..export import read_result

    labels, outlines = job.results.known_labels, job.settings.outlines
    written = (labels, *job.tables)
    if not job.settings.track:  # an image without frames, of a run that tracks the others
        formats = [kind for kind in formats if kind != "geff"]
    targets = list_targets(labels, formats, labels.parent) if formats else []
    has_cells = outlines.cells is not None
    targets = [
        one
        for one in targets
        if one not in written
        and not (skipped and one.exists() and not (has_cells and one.suffix == ".geojson"))
    ]
    if not targets:
        return
    result = read_result(labels)
    if result.micrometers is None:  # plain TIFF does not say
        result = dataclasses.replace(result, spacing=job.grid.scale, units=job.grid.units)
    write_targets(result, targets, outlines, decimal_comma, job.settings.ngff)
