"""``demo`` and ``bench``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from ..batch.ownership import check_tables_overwritable
from ..errors import UserError
from ..io.tables import TABLE_SUFFIX
from ..models.model import load_model
from ..params import DEVICES, SegmentParams
from ._bar import run_with_bar
from ._common import Commands, add_flags, params_from_flags


def add_bench_commands(commands: Commands) -> None:
    """Add the commands ``demo`` and ``bench``."""
    demo = commands.add_parser("demo", help="segment the sample images of the package")
    demo.add_argument("--out", default=Path("nuclei-demo"), type=Path, metavar="DIR")
    demo.set_defaults(command=run_demo)

    bench = commands.add_parser("bench", help="measure how fast this computer segments")
    bench.add_argument(
        "image", nargs="?", type=Path, metavar="IMAGE",
        help="without, a sample repeated to 4096 x 4096 pixels",
    )  # fmt: skip
    bench.add_argument("--model", default="nuclei", help="name or .safetensors file")
    bench.add_argument("--device", default="auto", choices=DEVICES)
    bench.add_argument("--runs", type=int, default=3, metavar="N", help="the fastest of N counts")
    bench.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_flags(bench, SegmentParams)
    bench.set_defaults(command=run_bench)


def run_demo(args: argparse.Namespace) -> int:
    """Segment the samples of the package."""
    # in the functions, so that --help does not load torch
    from ..batch.outputs import write_results
    from ..io.overlay import write_overlay
    from ..samples.images import SAMPLES, read_sample
    from ..segmentation.segment import segment_steps

    model = load_model()
    check_tables_overwritable(*(args.out / f"{name}{TABLE_SUFFIX}" for name in SAMPLES))
    for name, title in SAMPLES.items():
        image, annotation = read_sample(name)
        result = run_with_bar(segment_steps(image, model), name)
        write_results(args.out, name, result)
        write_overlay(args.out / f"{name}_overlay.png", result.plane.normalized(), result.labels)
        print(f"{title}: {result.count} nuclei (annotated: {len(set(annotation.flat)) - 1})")
    print(f"Labels, tables and overlay pictures are in {args.out.resolve()}")
    return 0


def run_bench(args: argparse.Namespace) -> int:
    """Print how fast this computer segments."""
    from ..io.images import read_plane
    from ..samples.images import repeated_sample
    from ..segmentation.benchmark import run_benchmark

    params = params_from_flags(args, SegmentParams())
    if args.runs < 1:
        raise UserError("--runs must be at least 1.")
    image = read_plane(args.image) if args.image else repeated_sample()
    model = load_model(args.model)
    bench = run_benchmark(image, model, params, args.device, args.runs)
    if args.json:
        speed = {"megapixels_per_second": bench.megapixels / bench.end_to_end}
        print(json.dumps(dataclasses.asdict(bench) | speed | {"model_sha256": model.card.sha256}))
        return 0
    print(
        f"{model.card.name} {model.card.sha256[:12]}: {bench.megapixels:.1f} Mpx, "
        f"{bench.nuclei} nuclei, zoom {bench.zoom:g}"
    )
    print(f"{bench.plan}, {bench.plan.precision}, {bench.threads} threads, fastest of {args.runs}")
    for stage, seconds in [*bench.seconds.items(), ("end to end*", bench.end_to_end)]:
        print(f"{stage:12} {seconds:8.2f} s {bench.megapixels / seconds:8.2f} Mpx/s")
    print(f"peak memory  {bench.peak_memory / 1e9:8.2f} GB    (* without measure)")
    return 0
