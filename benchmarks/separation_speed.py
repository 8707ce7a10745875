"""Time and memory of separating nuclei: compiled by numba, and by NumPy, in turn.

    python benchmarks/separation_speed.py [--edge 4096] [--runs 5] [--maps maps.npy]

Prints the fastest run of each: seconds, seconds of processor time, and what it takes at most
beyond the maps, in bytes a pixel (with the labels, which are four). Threads are as OMP_NUM_THREADS
says. Without maps they are those of the repeated sample.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_nuclei_unet import load_model, run, segment_steps
from napari_nuclei_unet.samples.images import repeated_sample
from napari_nuclei_unet.segmentation.kernel_choice import load_kernels
from napari_nuclei_unet.segmentation.watershed import SeparationParams, separate_nuclei


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edge", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--maps", type=Path, help="predicted maps, written if it is missing")
    return parser.parse_args()


def read_maps(path: Path | None, edge: int) -> np.ndarray:
    """Read nucleus and distance from a file, or predict them."""
    if path is not None and path.exists():
        maps = np.load(path)
    else:
        maps = run(segment_steps(repeated_sample(edge))).maps
        if path is not None:
            np.save(path, maps)
    return maps[[0, -1 if len(maps) == 2 else 2], :edge, :edge]


def time_once(separate: Callable[[], np.ndarray]) -> tuple[float, float]:
    """Return seconds, and seconds of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    separate()
    return time.perf_counter() - wall, time.process_time() - processor


def peak_bytes(separate: Callable[[], np.ndarray]) -> int:
    """Return what NumPy has allocated at most."""
    tracemalloc.start()
    separate()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Print a row for each of the ways."""
    options = read_arguments()
    maps = read_maps(options.maps, options.edge)
    steps = np.round(maps * 65535).astype(np.uint16)
    params = SeparationParams(**load_model("nuclei").card.thresholds)
    start = time.process_time()
    if load_kernels() is None:
        print("without numba, or without a folder for what it compiles: all is by NumPy")
    print(f"kernels loaded in {time.process_time() - start:.2f} s")
    ways = {
        f"{name}, {kind}": lambda given=given, compiled=compiled: separate_nuclei(
            given, params, compiled=compiled
        )
        for name, compiled in (("NumPy", False), ("compiled", True))
        for kind, given in (("float32", maps), ("uint16", steps))
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.runs):
        for name, separate in ways.items():
            times[name].append(time_once(separate))
    print("| way | seconds | of processor | bytes a pixel |\n|---|---|---|---|")
    for name, separate in ways.items():
        wall, processor = (min(column) for column in zip(*times[name], strict=True))
        memory = peak_bytes(separate) / maps[0].size
        print(f"| {name} | {wall:.3f} | {processor:.3f} | {memory:.1f} |")
    found = [separate() for separate in ways.values()]
    same = [np.array_equal(found[0], found[2]), np.array_equal(found[1], found[3])]
    print(f"same labels: {all(same)}, {found[0].max()} nuclei")


if __name__ == "__main__":
    main()
