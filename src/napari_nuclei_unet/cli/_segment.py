"""``segment``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nuclei_unet.cli._bar import with_bar
from napari_nuclei_unet.cli._common import (
    Commands,
    add_flags,
    complain,
    params_of,
    sentence,
    told_stopped,
)
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import check_writable
from napari_nuclei_unet.params import DEVICES, SegmentParams

if TYPE_CHECKING:
    from napari_nuclei_unet.arrays.selection import Positions
    from napari_nuclei_unet.batch.inputs import Input
    from napari_nuclei_unet.batch.job import Job, Settings
    from napari_nuclei_unet.batch.outputs import Outcome, Wanted
    from napari_nuclei_unet.batch.run import Row
    from napari_nuclei_unet.blockwise.run import Compute

FILES = (".tif", ".tiff", ".zarr")
# No folder is called so: a file was meant.
NO_RESULTS = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".csv", ".json", ".npy", ".npz", ".h5", ".hdf5",
    ".ome", ".zip",
)  # fmt: skip


def add_to(commands: Commands) -> None:
    """Add the command ``segment``."""
    one = commands.add_parser("segment", help="find the nuclei in image files")
    one.add_argument(
        "paths", nargs="+", metavar="PATH",
        help="TIFF, PNG, JPEG, OME-Zarr image or plate, a folder of these, or a pattern such as "
        "'day*/*.tif'",
    )  # fmt: skip
    one.add_argument(
        "--out", required=True, type=_out, metavar="DIR",
        help="where results go; of a single image it may be a file: .tif or .zarr",
    )  # fmt: skip
    one.add_argument("--model", default="nuclei", help="name or .safetensors file")
    one.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(one, SegmentParams)
    _add_where(one)
    _add_how(one)
    one.set_defaults(command=segment)


def _add_where(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("which part of the image")
    where.add_argument(
        "--axes", metavar="LETTERS",
        help="a letter for each axis of a stack: Y and X for the plane, C for channels. "
        "Default: as the file says, else TZYX, TZCYX with --channel, as many as there are.",
    )  # fmt: skip
    where.add_argument(
        "--planes", type=_planes, default=(), metavar="N,N",
        help="for each axis beside plane and channel a position from 0, a range such as 0-9, or "
        "all. Default: all planes.",
    )  # fmt: skip
    where.add_argument(
        "--channel", type=_channel, metavar="N",
        help="channel, from 0, or: mean. Of several images, those in grey or RGB have none, and "
        "are segmented as they are",
    )  # fmt: skip
    where.add_argument(
        "--level", type=int, default=0, metavar="N",
        help="of a pyramid; 0 is full resolution, which labels in TIFF have in any case; in "
        "OME-Zarr they have that of the level",
    )  # fmt: skip
    where.add_argument(
        "--region", type=_polygon, action="append", metavar="'Y,X Y,X Y,X'",
        help="polygon in pixels of which nuclei are wanted; may be given more than once",
    )  # fmt: skip


def _add_how(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("stacks, large images and many files")
    how.add_argument(
        "--join", metavar="AXIS",
        help="join cross sections along this axis, such as z, to nuclei with one id",
    )  # fmt: skip
    how.add_argument(
        "--track", action="store_true",
        help="follow nuclei along axis T: they keep their id, and a table of tracks is written",
    )  # fmt: skip
    how.add_argument(
        "--format", choices=("tiff", "zarr"),
        help="of the labels. Default: tiff; zarr where a plane has more than 64 million pixels, "
        "and with --scheduler. A run into zarr that was broken off goes on where it was.",
    )  # fmt: skip
    how.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="compute on a cluster of dask.distributed: tcp://host:port, a scheduler file, or "
        "local:N for N processes on this computer",
    )  # fmt: skip
    how.add_argument(
        "--overwrite", action="store_true",
        help="segment again what is done already; without, it is skipped",
    )  # fmt: skip


def _out(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: give a folder, such as results")
    return Path(text)


def _planes(text: str) -> tuple[Positions, ...]:
    return tuple(_positions(part.strip(), text) for part in text.split(","))


def _positions(part: str, text: str) -> Positions:
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


def _channel(text: str) -> int | str:
    if text == "mean" or text.isdigit():
        return text if text == "mean" else int(text)
    raise argparse.ArgumentTypeError(f"'{text}': a whole number from 0, or mean")


def _polygon(text: str) -> list[list[float]]:
    try:
        pairs = [pair.split(",") for pair in text.split()]
        return [[float(y), float(x)] for y, x in pairs]
    except ValueError as error:
        words = f"'{text}': y,x of each corner, such as '0,0 0,99 99,99'"
        raise argparse.ArgumentTypeError(words) from error


def segment(args: argparse.Namespace) -> int:
    """Segment files, one after the other; a bad one does not stop the rest."""
    from napari_nuclei_unet.batch.inputs import find_inputs
    from napari_nuclei_unet.batch.run import SUMMARY, Summary
    from napari_nuclei_unet.io.locks import locked

    inputs = find_inputs(args.paths)
    mixed = len(args.paths) > 1 or Path(args.paths[0]) != inputs[0].path
    settings = _settings(args, mixed)
    wanted = _wanted(args, len(inputs))
    folder = args.out.parent if wanted.is_file else args.out
    summary = Summary(None if wanted.is_file else folder / SUMMARY)
    summary.check()
    check_writable(folder)
    alone = nullcontext() if summary.path is None else locked(summary.path)
    with alone, _computing(args.scheduler, settings) as compute:
        for item in inputs:
            row = _segmented(item, settings, wanted, (args.overwrite, compute))
            summary.add(row)
            if row.status == "stopped":
                return told_stopped(goes_on=bool(row.result))
    return _told(summary.rows, args.out)


def _told(rows: list[Row], out: Path) -> int:
    """Say how a run has ended; its exit code."""
    count = {s: sum(row.status == s for row in rows) for s in ("failed", "skipped")}
    before = f", {count['skipped']} of them before" if count["skipped"] else ""
    print(f"{len(rows) - count['failed']} of {len(rows)} files written to {out}{before}")
    return 2 if count["failed"] else 0


def _settings(args: argparse.Namespace, mixed: bool) -> Settings:
    from napari_nuclei_unet.arrays.boxes import Region
    from napari_nuclei_unet.batch.job import Settings
    from napari_nuclei_unet.models.model import load_model

    is_file = args.model.endswith(".safetensors")
    return Settings(
        model=load_model(args.model),
        model_name=str(Path(args.model).resolve()) if is_file else args.model,
        params=params_of(args, SegmentParams()),
        device=args.device,
        axes=args.axes,
        planes=args.planes,
        channel=args.channel,
        level=args.level,
        region=Region.of(args.region) if args.region else None,
        join=args.join,
        follow=args.track,
        mixed=mixed,
    )


def _wanted(args: argparse.Namespace, count: int) -> Wanted:
    """Say where results go, and refuse flags that contradict one another."""
    from napari_nuclei_unet.batch.outputs import Wanted

    out, suffix, kind = args.out, args.out.suffix.lower(), args.format
    is_file = suffix in FILES and (suffix == ".zarr" or not out.is_dir())
    if suffix in NO_RESULTS and not out.is_dir():
        raise UserError(
            f"--out {out} is no folder: give one, or a file .tif or .zarr for the labels."
        )
    if is_file and count > 1:
        raise UserError(f"--out {out} is one file for {count} images: give a folder.")
    if is_file:
        written = "zarr" if suffix == ".zarr" else "tiff"
        if kind not in (None, written):
            raise UserError(f"--out {out} is no {kind}: leave --format out, or name a folder.")
        kind = written
    if args.scheduler and kind == "tiff":
        raise UserError("A cluster writes OME-Zarr: with --scheduler take --format zarr.")
    return Wanted(out, is_file, kind, bool(args.scheduler))


@contextmanager
def _computing(address: str | None, settings: Settings) -> Iterator[Compute | None]:
    if address is None:
        yield None
        return
    from napari_nuclei_unet.blockwise.cluster import computing_on

    with computing_on(address, settings.model_name) as compute:
        yield compute


def _segmented(
    item: Input, settings: Settings, wanted: Wanted, how: tuple[bool, Compute | None]
) -> Row:
    """Segment an image, and say how it went; a failure is told, and the other files go on."""
    from napari_nuclei_unet.batch.job import open_job
    from napari_nuclei_unet.batch.run import failures, segment_job_steps, stopped_at

    since = time.monotonic()
    job: Job | None = None
    try:
        job = open_job(item, settings, wanted)
        ended = with_bar(segment_job_steps(job, *how), item.title)
    except MemoryError:
        short = UserError("There is not enough memory: close other programs, or use --format zarr.")
        complain(short, f"{item.title}: ")
        return _row(item, "failed", error=str(short), seconds=_seconds(since))
    except (UserError, OSError) as error:  # the other files go on
        complain(error, f"{item.title}: ")
        return _row(item, "failed", error=sentence(error), seconds=_seconds(since))
    except KeyboardInterrupt:
        kept = stopped_at(job) if job else None
        some_done = _result(job, kept) if job and kept else {}
        return _row(item, "stopped", seconds=_seconds(since), **some_done)
    done = _result(job, ended)
    if ended.failed:
        some = UserError(f"Parts could not be read, and have no nuclei: {failures(ended)}")
        complain(some, f"{item.title}: ")
        return _row(item, "failed", error=str(some), seconds=_seconds(since), **done)
    planes = f" in {ended.planes} planes" if ended.planes > 1 else ""
    before = " (done before)" if ended.skipped else ""
    print(f"{item.title}: {ended.nuclei} nuclei{planes}{before}", flush=True)
    return _row(item, "skipped" if ended.skipped else "done", seconds=_seconds(since), **done)


def _result(job: Job, ended: Outcome) -> dict[str, Any]:
    return {"result": str(job.results.labels), "planes": ended.planes, "nuclei": ended.nuclei}


def _seconds(since: float) -> float:
    return round(time.monotonic() - since, 3)


def _row(item: Input, status: str, **about: Any) -> Row:
    from napari_nuclei_unet.batch.run import Row

    return Row(str(item.path), status=status, **about)
