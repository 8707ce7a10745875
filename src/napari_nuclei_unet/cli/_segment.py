"""``segment``, ``demo`` and ``bench``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nuclei_unet.cli._common import (
    Commands,
    add_flags,
    complain,
    params_of,
)
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import DEVICES, SegmentParams
from napari_nuclei_unet.writing import check_writable

if TYPE_CHECKING:
    from napari_nuclei_unet.core.regions import Region
    from napari_nuclei_unet.engine import Segmentation
    from napari_nuclei_unet.models import Model
    from napari_nuclei_unet.prediction import Step


def add_to(commands: Commands) -> None:
    """Add the commands ``segment``, ``demo`` and ``bench``."""
    one = commands.add_parser("segment", help="find the nuclei in image files")
    one.add_argument(
        "paths", nargs="+", metavar="PATH", help="TIFF, PNG, JPEG, or a folder of them"
    )
    one.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    one.add_argument("--model", default="nuclei", help="name or .safetensors file")
    one.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(one, SegmentParams)
    where = one.add_argument_group("which part of the image")
    where.add_argument(
        "--axes", metavar="LETTERS",
        help="a letter for each axis of a stack: Y and X for the plane, C for channels. "
        "Default: TZYX, TZCYX with --channel, as many as there are.",
    )  # fmt: skip
    where.add_argument(
        "--planes", type=_positions, default=(), metavar="N,N",
        help="position, from 0, on each axis beside plane and channel",
    )  # fmt: skip
    where.add_argument("--channel", type=_channel, metavar="N", help="channel, from 0, or: mean")
    where.add_argument(
        "--level", type=int, default=0, metavar="N",
        help="of a pyramid; 0 is full resolution, which the labels have in any case",
    )  # fmt: skip
    where.add_argument(
        "--region", type=_polygon, action="append", metavar="'Y,X Y,X Y,X'",
        help="polygon in pixels of which nuclei are wanted; may be given more than once",
    )  # fmt: skip
    one.set_defaults(command=segment)

    one = commands.add_parser("demo", help="segment the sample images of the package")
    one.add_argument("--out", default=Path("nuclei-demo"), type=Path, metavar="DIR")
    one.set_defaults(command=demo)

    one = commands.add_parser("bench", help="measure how fast this computer segments")
    one.add_argument(
        "image", nargs="?", type=Path, metavar="IMAGE",
        help="without, a sample repeated to 4096 x 4096 pixels",
    )  # fmt: skip
    one.add_argument("--model", default="nuclei", help="name or .safetensors file")
    one.add_argument("--device", default="auto", choices=DEVICES)
    one.add_argument("--runs", type=int, default=3, metavar="N", help="the fastest of N counts")
    one.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_flags(one, SegmentParams)
    one.set_defaults(command=bench)


def _positions(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers, such as 3,0") from error


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
    from napari_nuclei_unet.core.regions import Region
    from napari_nuclei_unet.files import LABELS_END, find_images, image_stem, write_results
    from napari_nuclei_unet.models import load_model

    params = params_of(args, SegmentParams())
    paths = find_images(args.paths, skip=LABELS_END)
    model = load_model(args.model)
    region = Region.of(args.region) if args.region else None
    check_writable(args.out)
    failed = 0
    for path in paths:
        try:
            result = _segmented(path, args, model, params, region)
            write_results(args.out, image_stem(path), result)
        except (UserError, OSError) as error:  # the other files go on
            failed += 1
            complain(error, f"{path.name}: ")
            continue
        print(f"{path.name}: {result.count} nuclei")
    print(f"{len(paths) - failed} of {len(paths)} files written to {args.out}")
    return 2 if failed else 0


def _segmented(
    path: Path, args: argparse.Namespace, model: Model, params: SegmentParams, region: Region | None
) -> Segmentation:
    """Segment the plane of a file that the flags say."""
    from napari_nuclei_unet.core.axes import default_cut
    from napari_nuclei_unet.files import read_axes, read_image
    from napari_nuclei_unet.models import shipped_models
    from napari_nuclei_unet.repeating import at_full_resolution, source_of

    image = read_image(path, args.level)
    axes = args.axes or (read_axes(path) if args.planes or args.channel is not None else None)
    cut, axes = default_cut(image.shape, axes, args.planes, args.channel)
    plane = cut.read(image)
    full = cut.read(read_image(path)) if args.level else plane
    shapes = full.shape[:2], plane.shape[:2]
    there = None if region is None else region.scaled(*shapes)
    result = _with_bar(plane, path.name, model, params, args.device, there)
    result = at_full_resolution(result, full)
    file = str(path.resolve())
    result.record["source"] = source_of(cut, axes, file, args.level, image.dtype, shapes)
    result.record["region"] = None if region is None else region.polygons
    own = args.model in shipped_models()
    result.record["model_file"] = None if own else str(Path(args.model).resolve())
    return result


def _with_bar(
    image: Any,
    name: str,
    model: Model,
    params: SegmentParams,
    device: str,
    region: Region | None = None,
) -> Segmentation:
    """Segment with a progress bar, and say on stderr what the user has to know."""
    from tqdm import tqdm

    from napari_nuclei_unet.engine import segment_steps
    from napari_nuclei_unet.prediction import run

    said: set[str] = set()

    def say(notice: str) -> None:
        if notice and notice not in said:
            said.add(notice)
            tqdm.write(f"{name}: {notice}", file=sys.stderr)

    with tqdm(desc=name, unit="tile", leave=False, disable=None) as bar:

        def show(step: Step) -> None:
            say(step.notice)
            bar.total, bar.n = step.total, step.done
            bar.refresh()

        result = run(segment_steps(image, model, params, device, region), show)
    for notice in result.notices:
        say(notice)
    return result


def demo(args: argparse.Namespace) -> int:
    """Segment the samples of the package."""
    from napari_nuclei_unet.files import write_overlay, write_results
    from napari_nuclei_unet.models import load_model
    from napari_nuclei_unet.samples import SAMPLES, read_sample

    model = load_model()
    for name, title in SAMPLES.items():
        image, annotation = read_sample(name)
        result = _with_bar(image, name, model, SegmentParams(), "auto")
        write_results(args.out, name, result)
        write_overlay(args.out / f"{name}_overlay.png", result.plane, result.labels)
        print(f"{title}: {result.count} nuclei (annotated: {len(set(annotation.flat)) - 1})")
    print(f"Labels, tables and overlay pictures are in {args.out.resolve()}")
    return 0


def bench(args: argparse.Namespace) -> int:
    """Print how fast this computer segments."""
    from napari_nuclei_unet.bench import bench as measured
    from napari_nuclei_unet.files import read_image
    from napari_nuclei_unet.models import load_model
    from napari_nuclei_unet.samples import repeated_sample

    params = params_of(args, SegmentParams())
    if args.runs < 1:
        raise UserError("--runs must be at least 1.")
    image = read_image(args.image) if args.image else repeated_sample()
    model = load_model(args.model)
    made = measured(image, model, params, args.device, args.runs)
    if args.json:
        speed = {"megapixels_per_second": made.megapixels / made.end_to_end}
        print(json.dumps(dataclasses.asdict(made) | speed | {"model_sha256": model.card.sha256}))
        return 0
    print(
        f"{model.card.name} {model.card.sha256[:12]}: {made.megapixels:.1f} Mpx, "
        f"{made.nuclei} nuclei, zoom {made.zoom:g}"
    )
    print(f"{made.plan}, {made.plan.precision}, {made.threads} threads, fastest of {args.runs}")
    for stage, seconds in [*made.seconds.items(), ("end to end*", made.end_to_end)]:
        print(f"{stage:12} {seconds:8.2f} s {made.megapixels / seconds:8.2f} Mpx/s")
    print(f"peak memory  {made.peak_memory / 1e9:8.2f} GB    (* without measure)")
    return 0
