"""``demo`` and ``bench``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.ownership import check_tables_overwritable
from ..counts import choose_noun
from ..errors import UserError
from ..io.paths import printable
from ..io.tables import TABLE_SUFFIX
from ..models.model import Model, load_model
from ..params import DEVICES, SegmentParams
from ._against import IMAGE_PLACEHOLDER, SpeedComparison, compare_in_turn, image_file
from ._bar import run_with_bar
from ._common import Commands, add_flags, loads_network, params_from_flags

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..segmentation.benchmark import BenchmarkResult

SEGMENT_PARAMETERS = tuple(field.name for field in dataclasses.fields(SegmentParams))


def add_bench_commands(commands: Commands) -> None:
    """Add the commands ``demo`` and ``bench``."""
    demo = commands.add_parser("demo", help="segment the sample images of the package")
    demo.add_argument("--out", default=Path("nuclei-demo"), type=Path, metavar="DIR")
    demo.set_defaults(command=run_demo)

    bench = commands.add_parser("bench", help="measure how fast this computer segments")
    bench.add_argument(
        "image", nargs="?", type=Path, metavar="IMAGE",
        help="image to segment; default: a sample repeated to 4096 x 4096 pixels",
    )  # fmt: skip
    bench.add_argument("--model", default="nuclei", help="name of a model, or a .safetensors file")
    bench.add_argument("--device", default="auto", choices=DEVICES)
    bench.add_argument(
        "--runs",
        type=int,
        default=3,
        metavar="N",
        help="number of runs, of which the fastest counts",
    )
    bench.add_argument(
        "--against", metavar="COMMAND",
        help="also run the command of another program, in turn, and compare the medians of whole "
        f"processes; in the command, {IMAGE_PLACEHOLDER} stands for the image file",
    )  # fmt: skip
    bench.add_argument("--json", action="store_true", help="print JSON instead of text")
    bench.add_argument(
        "--report", action="store_true",
        help="measure nothing: print versions, processor, memory and plugins for an issue report",
    )  # fmt: skip
    add_flags(bench, SegmentParams)
    bench.set_defaults(command=run_bench)


@loads_network
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
        noun, annotated = choose_noun(result.count, "nucleus"), len(set(annotation.flat)) - 1
        print(f"{title}: {result.count} {noun} (annotated: {annotated})")
    print(f"Labels, tables and overlay pictures are in {printable(args.out.resolve())}")
    return 0


def run_bench(args: argparse.Namespace) -> int:
    """Print how fast this computer segments, or what a report of a fault should say of it."""
    if not args.report:
        return _run_benchmark(args)
    from ._system_report import iter_report_lines

    print(*iter_report_lines(), sep="\n")
    return 0


@loads_network
def _run_benchmark(args: argparse.Namespace) -> int:
    from ..io.images import read_plane
    from ..samples.images import repeated_sample
    from ..segmentation.benchmark import run_benchmark
    from ..segmentation.flops import measure_peak_gflops

    params = params_from_flags(args, SegmentParams())
    if args.runs < 1:
        raise UserError("--runs must be at least 1.")
    start = time.perf_counter()
    image = read_plane(args.image) if args.image else repeated_sample()
    read_seconds = time.perf_counter() - start if args.image else None
    model = load_model(args.model)
    compared = None
    if args.against is None:
        bench = run_benchmark(image, model, params, args.device, args.runs)
    else:
        bench, compared = _run_in_turn(args, image, model, params)
    report = BenchReport(bench, read_seconds, measure_peak_gflops(bench.plan), compared)
    if args.json:
        print(json.dumps(report.to_json() | {"model_sha256": model.card.sha256}))
        return 0
    print(
        f"{model.card.name} {model.card.sha256[:12]}: {bench.megapixels:.1f} Mpx, "
        f"{bench.nuclei} {choose_noun(bench.nuclei, 'nucleus')}, zoom {bench.zoom:g}"
    )
    print(f"{bench.plan}, {bench.plan.precision}, {bench.threads} threads, fastest of {args.runs}")
    print(*report.lines(), sep="\n")
    return 0


def _run_in_turn(
    args: argparse.Namespace, image: NDArray[np.generic], model: Model, params: SegmentParams
) -> tuple[BenchmarkResult, SpeedComparison]:
    """Run the benchmark in turn with a peer; return its fastest run, and the comparison."""
    from ..segmentation.benchmark import run_benchmark

    made: list[BenchmarkResult] = []

    def time_once() -> float:
        made.append(run_benchmark(image, model, params, args.device, 1))
        return made[-1].end_to_end

    given = {name: getattr(args, name) for name in ("model", "device", *SEGMENT_PARAMETERS)}
    # joined, or a negative number would be taken for a flag
    flags = [
        f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None
    ]
    with image_file(args.image, image) as path:
        compared = compare_in_turn(args.against, path, flags, time_once, args.runs)
    return min(made, key=lambda one: one.end_to_end), compared


@dataclass(frozen=True)
class BenchReport:
    """What ``bench`` prints.

    Attributes
    ----------
    bench : BenchmarkResult
    read_seconds : float or None
        Of reading the file, if it was one.
    peak_gflops : float
        Of a convolution on the same device, in the same precision.
    compared : SpeedComparison or None
    """

    bench: BenchmarkResult
    read_seconds: float | None
    peak_gflops: float
    compared: SpeedComparison | None

    def to_json(self) -> dict[str, object]:
        """Convert to what JSON can hold."""
        bench = self.bench
        derived: dict[str, object] = {
            "megapixels_per_second": bench.megapixels / bench.end_to_end,
            "end_to_end": bench.end_to_end,
            "core_use": {stage: bench.core_use(stage) for stage in bench.seconds},
            "read_seconds": self.read_seconds,
            "gflops": bench.gflops,
            "peak_gflops": self.peak_gflops,
        }
        compared = {} if self.compared is None else self.compared.to_json()
        return dataclasses.asdict(bench) | derived | compared

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of the table."""
        bench = self.bench
        if self.read_seconds is not None:
            yield self._line("read", self.read_seconds)
        for stage, seconds in bench.seconds.items():
            use = f"{100 * bench.core_use(stage):8.0f} % of {bench.cores} cores"
            yield self._line(stage, seconds) + use
        yield self._line("end to end*", bench.end_to_end)
        yield f"peak memory  {bench.peak_memory / 1e9:8.2f} GB    (* without read and measure)"
        yield f"for a pixel  {bench.bytes_per_pixel:8.1f} bytes"
        yield f"pixels read  {bench.read_per_pixel:8.2f} for each kept"
        yield (
            f"network      {bench.network_gflop / bench.megapixels:8.2f} GFLOP/Mpx, "
            f"{bench.gflops:.0f} GFLOP/s of the {self.peak_gflops:.0f} of a convolution"
        )
        yield from () if self.compared is None else self.compared.lines()

    def _line(self, stage: str, seconds: float) -> str:
        return f"{stage:12} {seconds:8.2f} s {self.bench.megapixels / seconds:8.2f} Mpx/s"
