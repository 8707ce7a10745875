"""``segment``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..arrays.axes import COLOURS
from ..errors import UserError
from ..io.atomic import check_writable
from ..io.paths import printable
from ..io.record_paths import real_path
from ..models.model import load_model
from ..params import DEVICES, SegmentParams
from ._common import (
    Commands,
    add_decimal_comma_flag,
    add_flags,
    loads_network,
    params_from_flags,
    report_stopped,
)
from ._distance import parse_distance
from ._interruption import ending_at_interruption
from ._into_image import add_store_flags, choose_out
from ._results import (
    add_result_flags,
    check_saved_formats,
    measure_of_run,
    outline_options,
    parse_formats,
)
from ._segment_files import segment_files

if TYPE_CHECKING:
    from ..arrays.selection import Positions
    from ..batch.inputs import InputImage
    from ..batch.outputs import OutputOptions
    from ..batch.settings import JobSettings
    from ..batch.summary import SummaryRow
    from ..blockwise.run import ComputeBlocks

LABELS_FILE_SUFFIXES = (".tif", ".tiff", ".zarr")
# A folder is never named so: a file was meant.
REFUSED_OUT_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".csv", ".json", ".npy", ".npz", ".h5", ".hdf5",
    ".ome", ".zip",
)  # fmt: skip


def add_segment_command(commands: Commands) -> None:
    """Add the command ``segment``."""
    parser = commands.add_parser("segment", help="segment nuclei in image files")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH",
        help="TIFF, PNG, JPEG, OME-Zarr image or plate, a folder of these, or a pattern such as "
        "'day*/*.tif'",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=_parse_out, metavar="DIR",
        help="output folder; for a single image, it can be a file: .ome.tif or .zarr",
    )  # fmt: skip
    parser.add_argument("--model", default="nuclei", help="name of a model, or a .safetensors file")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(parser, SegmentParams)
    _add_image_flags(parser)
    _add_run_flags(parser)
    parser.set_defaults(command=run_segment)


def _add_image_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which part of the image")
    group.add_argument(
        "--axes", metavar="LETTERS",
        help="a letter for each axis of a stack: Y and X for the plane, C for channels. "
        "Default: from the file, else the last letters of TZYX, or of TZCYX with --channel.",
    )  # fmt: skip
    group.add_argument(
        "--planes", type=_parse_planes, default=(), metavar="N,N",
        help="for each axis except plane and channel: a position counted from 0, a range such as "
        "0-9, or all. Default: all planes.",
    )  # fmt: skip
    group.add_argument(
        "--channel", type=_parse_channel, metavar="N",
        help="channel number, counted from 0, or mean. For RGB: red, green or blue; by "
        "default, the colours are used together. In a batch, images without channels are "
        "segmented as they are, and so are RGB images if others have channels and N is a number",
    )  # fmt: skip
    group.add_argument(
        "--scene", type=int, metavar="N",
        help="number of the image in files with several images, counted from 0. Default: all, each "
        "with its own results",
    )  # fmt: skip
    group.add_argument(
        "--level", type=int, default=0, metavar="N",
        help="resolution level of a multiscale image; 0 is the full resolution. Labels in TIFF "
        "always have the full resolution, labels in OME-Zarr that of the level",
    )  # fmt: skip
    group.add_argument(
        "--region", type=_parse_polygon, action="append", metavar="'Y,X Y,X Y,X'",
        help="segment only inside this polygon, in pixels; can be given more than once",
    )  # fmt: skip


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stacks, large images and many files")
    group.add_argument(
        "--volume", action="store_true",
        help="segment the slices along Z as a volume: they share one brightness and one nucleus "
        "size, and each nucleus is a 3-D object with one row in the table",
    )  # fmt: skip
    group.add_argument(
        "--z-step", type=parse_distance, metavar="DIST",
        help="distance between the slices of a volume, such as 2um, or 3px for pixels of the "
        "plane. Default: from the file, else estimated from the shape of the nuclei",
    )  # fmt: skip
    group.add_argument(
        "--join", metavar="AXIS",
        help="give the cross sections of a nucleus along this axis one id; z is the same as "
        "--volume, except with --scheduler",
    )  # fmt: skip
    group.add_argument(
        "--track", action="store_true",
        help="link nuclei along axis T: they keep their id, and a table of tracks is written",
    )  # fmt: skip
    group.add_argument(
        "--format", choices=("tiff", "zarr"),
        help="format of the labels. Default: tiff; zarr for planes of more than 64 million "
        "pixels, and with --scheduler. An interrupted run into zarr resumes where it stopped.",
    )  # fmt: skip
    group.add_argument(
        "--save", type=parse_formats, default=(), metavar="FORMATS",
        help="also write the nuclei in these formats, separated by commas: csv, geojson, rois, "
        "ome-tiff, ome-zarr; with --track, geff",
    )  # fmt: skip
    add_store_flags(group)
    add_decimal_comma_flag(group)
    add_result_flags(parser)
    group.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="compute in N processes on this computer, local:N, or on a dask.distributed cluster: "
        "tcp://host:port or a scheduler file",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=_parse_workers, metavar="N",
        help="number of images processed at the same time, in threads; large images are processed "
        "alone. Default: one per core, as far as memory allows; 1 on a graphics card",
    )  # fmt: skip
    group.add_argument(
        "--verify", action="store_true",
        help="read finished results as a whole before they are skipped: labels in OME-Zarr are "
        "compared with their checksums, labels in TIFF must be readable",
    )  # fmt: skip
    group.add_argument(
        "--overwrite", action="store_true",
        help="replace existing results; without this flag, finished images are skipped",
    )  # fmt: skip


def _parse_out(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: give a folder, such as results")
    return Path(text)


def _parse_planes(text: str) -> tuple[Positions, ...]:
    return tuple(_parse_positions(part.strip(), text) for part in text.split(","))


def _parse_positions(part: str, text: str) -> Positions:
    first, dash, last = part.partition("-")
    if part == "all":
        return None
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise argparse.ArgumentTypeError(
            f"'{text}': whole numbers from 0, ranges such as 0-9, or all, with commas between axes"
        )
    if not dash:
        return int(first)
    if int(last) < int(first):
        raise argparse.ArgumentTypeError(f"'{part}': a range goes up, such as {last}-{first}")
    return range(int(first), int(last) + 1)


def _parse_channel(text: str) -> int | str:
    if text in ("mean", *COLOURS) or text.isdecimal():
        return int(text) if text.isdecimal() else text
    raise argparse.ArgumentTypeError(
        f"'{text}': a whole number from 0, mean, or of RGB red, green or blue"
    )


def _parse_workers(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1")
    return int(text)


def _parse_polygon(text: str) -> list[list[float]]:
    try:
        pairs = [pair.split(",") for pair in text.split()]
        return [[float(y), float(x)] for y, x in pairs]
    except ValueError as error:
        message = f"'{text}': y,x of each corner, such as '0,0 0,99 99,99'"
        raise argparse.ArgumentTypeError(message) from error


@loads_network
def run_segment(args: argparse.Namespace) -> int:
    """Segment files; a bad one does not stop the rest."""
    with ending_at_interruption():
        # in the functions, so that --help does not load pandas
        from ..batch.inputs import describe_passed_over, find_inputs, select_scene
        from ..batch.series_image import SegmentRun
        from ..batch.summary import SUMMARY_FILE_NAME, Summary
        from ..batch.workers import plan_workers
        from ..io.locks import write_lock

    if args.z_step is not None and not args.volume and args.join not in ("z", "Z"):
        raise UserError("`z_step` only applies to volumes: add `volume`, or leave it out.")
    inputs = find_inputs(args.paths)
    args.out = choose_out(args, inputs)
    if args.scene is not None:
        inputs = select_scene(inputs, args.scene)
    check_saved_formats(args)
    settings = _job_settings(args, inputs)
    output = _output_options(args, len(inputs))
    folder = args.out.parent if output.is_file else args.out
    summary = Summary(None if output.is_file else folder / SUMMARY_FILE_NAME, args.decimal_comma)
    summary.check()
    check_writable(folder)
    alone = nullcontext() if summary.path is None else write_lock(summary.path)
    if others := describe_passed_over(args.paths):
        print(f"{others}.", flush=True)
    # blocks come in the order in which a cluster is asked; images may share the group of a plate
    is_serial = args.scheduler is not None or args.into_image is not None
    plan = plan_workers(1 if is_serial else args.workers, len(inputs), settings)
    with alone, _compute_on(args.scheduler, settings) as compute:
        run = SegmentRun(settings, output, args.overwrite, compute)
        try:
            with closing(segment_files(inputs, run, plan)) as rows:
                for row in rows:
                    summary.add(row)
        except KeyboardInterrupt:
            stopped = [row for row in summary.rows if row.status == "stopped"]
            return report_stopped(is_resumable=any(row.result for row in stopped))
    return _report_end(summary.rows, args.out)


def _report_end(rows: list[SummaryRow], out: Path) -> int:
    """Print the result of a run; return its exit code."""
    count = {s: sum(row.status == s for row in rows) for s in ("failed", "skipped")}
    before = f", {count['skipped']} of them before" if count["skipped"] else ""
    written = sum(bool(row.result) for row in rows)  # also where parts could not be read
    print(f"{written} of {len(rows)} files written to {printable(out)}{before}")
    return 2 if count["failed"] else 0


def _job_settings(args: argparse.Namespace, inputs: list[InputImage]) -> JobSettings:
    from ..arrays.roi import Region
    from ..batch.inputs import any_has_channels
    from ..batch.settings import JobSettings
    from ..batch.slice_distance import SliceDistance

    is_mixed = len(inputs) > 1 or len(args.paths) > 1 or Path(args.paths[0]) != inputs[0].path
    is_number = is_mixed and isinstance(args.channel, int)
    is_file = args.model.endswith(".safetensors")
    return JobSettings(
        model=load_model(args.model),
        model_name=str(real_path(args.model)) if is_file else args.model,
        params=params_from_flags(args, SegmentParams()),
        device=args.device,
        axes=args.axes,
        planes=args.planes,
        channel=args.channel,
        level=args.level,
        region=Region.of(args.region) if args.region else None,
        join=args.join,
        track=args.track,
        volume=args.volume,
        z_step=None
        if args.z_step is None
        else SliceDistance(args.z_step.value, args.z_step.in_micrometers),
        is_mixed=is_mixed,
        has_multichannel=is_number and any_has_channels(inputs, args.axes),
        measure=measure_of_run(args),
        exclude_border=args.exclude_border,
        outlines=outline_options(args, args.save),
        limits=args.limits,
        ngff=args.ngff,
        verify=args.verify,
    )


def _output_options(args: argparse.Namespace, count: int) -> OutputOptions:
    """Return where results go; raise an error for flags that contradict each other."""
    from ..batch.outputs import OutputOptions

    out, suffix, kind = args.out, args.out.suffix.lower(), args.format
    is_file = suffix in LABELS_FILE_SUFFIXES and (suffix == ".zarr" or not out.is_dir())
    if suffix in REFUSED_OUT_SUFFIXES and not out.is_dir():
        raise UserError(
            f"--out {out} is not a folder: give a folder, or a file .ome.tif or .zarr for the "
            "labels."
        )
    if is_file and count > 1:
        raise UserError(f"--out {out} is one file for {count} images: give a folder.")
    if is_file:
        written = "zarr" if suffix == ".zarr" else "tiff"
        if kind not in (None, written):
            raise UserError(
                f"--out {out} does not match --format {kind}: leave --format out, or name a folder."
            )
        kind = written
    if args.scheduler and kind == "tiff":
        raise UserError("A cluster writes OME-Zarr: use --format zarr with --scheduler.")
    return OutputOptions(
        out, is_file, kind, bool(args.scheduler), tuple(args.save),
        into_image=args.into_image, decimal_comma=args.decimal_comma,
    )  # fmt: skip


@contextmanager
def _compute_on(address: str | None, settings: JobSettings) -> Iterator[ComputeBlocks | None]:
    if address is None:
        yield None
        return
    from ..blockwise.cluster import connect_to_cluster

    timeout = settings.limits.scheduler_timeout
    with connect_to_cluster(address, settings.model_name, timeout) as compute:
        yield compute
