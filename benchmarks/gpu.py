"""Measure a graphics card in one go: the network alone, transfers, and end to end.

    python benchmarks/gpu.py [--device cuda] [--edge 8192] [--tiles 512 1024 2048]
                             [--batches 1 4 8] [--precisions fp32 bf16 fp16] [--runs 3]
    python benchmarks/gpu.py --device cpu --edge 256 --tiles 128 --batches 1 --precisions fp32

The second line is a test of this script. The network alone runs on tiles that are on the card
already; end to end goes from pixels in memory to labels in memory, with the best precision, tile
and batch of the network alone, and with those that the plugin chooses. What does not fit into the
memory of the card is shown as such. Expected at 8192 x 8192: end to end reaches 80 % of the
network alone, and the network alone half of the peak of a convolution.
"""

import argparse
import copy
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from napari_nuclei_unet.memory import is_out_of_memory
from napari_nuclei_unet.models.model import Model, load_model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.samples.images import repeated_sample
from napari_nuclei_unet.segmentation.benchmark import BenchmarkResult, run_benchmark
from napari_nuclei_unet.segmentation.device import AUTOCAST_DTYPES, InferencePlan
from napari_nuclei_unet.segmentation.flops import count_flop_per_pixel, measure_peak_gflops

EXPECTED_SHARE, EXPECTED_PEAK_SHARE = 0.80, 0.50
TRANSFER_EDGE = 4096


@dataclass(frozen=True)
class Rate:
    """Of the network alone, in Mpx/s."""

    plan: InferencePlan
    megapixels: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"))
    parser.add_argument("--edge", type=int, default=8192)
    parser.add_argument("--tiles", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "fp16"])
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    print(f"{name}, torch {torch.__version__}\n")
    model = load_model()
    best = print_network(model, args)
    print_transfers(args.device)
    print_end_to_end(model, best, args)


def print_network(model: Model, args: argparse.Namespace) -> Rate:
    """Print a table of the network alone; return its best line."""
    print("| precision | tile | batch | Mpx/s |\n|---|---|---|---|")
    rates = []
    for precision, tile, batch in itertools.product(args.precisions, args.tiles, args.batches):
        plan = InferencePlan(args.device, precision, tile, batch)
        try:
            rate = Rate(plan, network_rate(model, plan, args.runs))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            print(f"| {precision} | {tile} | {batch} | not enough memory |")
            continue
        rates.append(rate)
        print(f"| {precision} | {tile} | {batch} | {rate.megapixels:.2f} |", flush=True)
    if not rates:
        raise SystemExit("Nothing fits into memory: take smaller --tiles and --batches.")
    return max(rates, key=lambda rate: rate.megapixels)


@torch.inference_mode()
def network_rate(model: Model, plan: InferencePlan, runs: int) -> float:
    """Measure the network on tiles that are on the device, in Mpx/s."""
    network = copy.deepcopy(model.network).to(plan.device)
    images = torch.rand(plan.batch, 3, plan.tile, plan.tile, device=plan.device)
    images = images.contiguous(memory_format=torch.channels_last)
    dtype = AUTOCAST_DTYPES.get(plan.precision)
    with torch.autocast(plan.device, dtype=dtype, enabled=dtype is not None):
        seconds = shortest(lambda: network(images)[0, 0, 0, 0].item(), runs)
    return plan.batch * plan.tile**2 / 1e6 / seconds


def print_transfers(device: str) -> None:
    """Print how fast pixels get to the device, and maps back."""
    print("\n| transfer | GB/s |\n|---|---|")
    size = (TRANSFER_EDGE, TRANSFER_EDGE)
    pageable, there = torch.zeros(size, dtype=torch.uint8), torch.zeros(size, device=device)
    print(f"| uint8 to the device | {transfer_rate(pageable, device):.2f} |")
    if device == "cuda":
        pinned = pageable.pin_memory()
        print(f"| uint8 to the device, pinned | {transfer_rate(pinned, device):.2f} |")
    print(f"| float32 back | {transfer_rate(there, 'cpu'):.2f} |")
    if device == "cpu":
        print("(on a CPU nothing is transferred)")


def transfer_rate(data: torch.Tensor, to: str) -> float:
    """Measure a copy, in GB/s."""
    seconds = shortest(lambda: data.to(to, copy=True).flatten()[0].item(), 3)
    return data.nbytes / 1e9 / seconds


def print_end_to_end(model: Model, best: Rate, args: argparse.Namespace) -> None:
    """Print what is reached end to end, and what is expected."""
    image = repeated_sample(max(args.edge, 1024))[: args.edge, : args.edge]
    plan = best.plan
    given = {"precision": plan.precision, "tile": plan.tile, "batch": plan.batch}
    chosen = SegmentParams()
    print(f"\nEnd to end at {args.edge}², and its stages in seconds:\n")
    print("| | Mpx/s | of the network alone | normalise | network | separate |")
    print("|---|---|---|---|---|---|")
    results = []
    for name, params in (("best of the above", SegmentParams(**given)), ("auto", chosen)):
        bench = run_benchmark(image, model, params, args.device, args.runs)
        results.append(bench)
        speed = bench.megapixels / bench.end_to_end
        stages = " | ".join(
            f"{bench.seconds[stage]:.2f}" for stage in ("normalise", "network", "separate")
        )
        print(
            f"| {name}: {bench.plan}, {bench.plan.precision} | {speed:.2f} | "
            f"{100 * speed / best.megapixels:.0f} % | {stages} |",
            flush=True,
        )
    print_expectations(model, best, results)


def print_expectations(model: Model, best: Rate, results: list[BenchmarkResult]) -> None:
    """Print what is expected, and whether it is reached."""
    share = max(one.megapixels / one.end_to_end for one in results) / best.megapixels
    # FLOP for a pixel times Mpx/s are MFLOP/s
    gflops = count_flop_per_pixel(model.network) * best.megapixels / 1e3
    peak = measure_peak_gflops(best.plan)
    print("\n| expected | measured | reached |\n|---|---|---|")
    for what, expected, measured in (
        ("end to end, of the network alone", EXPECTED_SHARE, share),
        (
            f"network alone, of a convolution's {peak:.0f} GFLOP/s",
            EXPECTED_PEAK_SHARE,
            gflops / peak,
        ),
    ):
        reached = "yes" if measured >= expected else "no"
        print(f"| {what}: {100 * expected:.0f} % | {100 * measured:.0f} % | {reached} |")


def shortest(run: Callable[[], object], runs: int) -> float:
    """Seconds of the fastest run, after one to warm up; each waits for the device."""
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
