"""Measure time and memory of planes that are segmented block by block, as they grow.

    python benchmarks/larger_than_memory.py [--sizes 4096 8192 16384 32768]
                                            [--figure docs/images/larger_than_memory.webp]
                                            [--limits 2000 1500 1000 [--ulimit]]

For each size a 16-bit zarr is written, chunk by chunk: a fluorescence sample, mirrored again and
again. A process of its own streams it into labels on disk, with table, journal and pyramid, while
this one looks every 50 ms at how much memory it has (resident; of all its processes together, so
pages that they share count more than once). The same sample at 4096 x 4096, all of it in memory and
without a table, says what that costs. Both are warm before the clock starts: model and torch are
loaded. All files are in a temporary folder (`TMPDIR`), which is removed; the largest take 3 GB. If
that folder is itself in memory, its files are not counted.

With `--limits`, in MB, it instead runs the command line on each image under each limit, as in a
SLURM job, and says what came of it: nuclei, or one sentence, and how much memory it had. With
`--ulimit` the limit is one of the address space, to which libraries count, too, and which the
system enforces.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import zarr
from numpy.typing import NDArray

from napari_nuclei_unet.samples.images import read_sample

CHUNK = 1024
POLL = 0.05
IN_MEMORY = 4096
RATIO, DRIFT = 0.70, 0.15
STREAM, WHOLE = "stream", "whole"


def main() -> None:
    """Print the table; draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 8192, 16384, 32768])
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--runs", type=int, default=1, help="of each; the fastest counts")
    parser.add_argument("--limits", type=int, nargs="+", help="in MB")
    parser.add_argument("--ulimit", action="store_true")
    args = parser.parse_args()
    if args.limits:
        under_limits(args)
        return
    made = {size: measured(STREAM, size, args.runs) for size in sorted(args.sizes)}
    edge = min(IN_MEMORY, max(args.sizes))
    whole = measured(WHOLE, edge, args.runs)
    print(f"\nin memory, {edge} x {edge}: {line(edge, whole)}")
    speed = megapixels(edge) / whole["seconds"]
    first = min(made)
    pace = made[first]["seconds"] / megapixels(first)
    print(f"\n| edge | of the speed in memory (target {RATIO}) | time a pixel, against the first |")
    print("|---|---|---|")
    for size, one in made.items():
        ratio = megapixels(size) / one["seconds"] / speed
        drift = one["seconds"] / megapixels(size) / pace - 1
        print(f"| {size} | {ratio:.2f} | {100 * drift:+.0f} % (allowed {100 * DRIFT:.0f}) |")
    if args.figure:
        draw(args.figure, made, edge, whole)


def megapixels(size: int) -> float:
    """How many there are in a square plane."""
    return size * size / 1e6


def line(size: int, one: dict) -> str:
    """Seconds, speed, memory, nuclei."""
    return (
        f"{one['seconds']:.1f} s, {megapixels(size) / one['seconds']:.2f} Mpx/s, peak "
        f"{one['peak'] / 1e9:.2f} GB, {one['nuclei']} nuclei, {one['how']}"
    )


def measured(what: str, size: int, runs: int) -> dict:
    """Do it in processes of its own; the fastest run, with the most memory of all runs."""
    made = [once(what, size) for _ in range(runs)]
    best = min(made, key=lambda one: one["seconds"])
    best["peak"] = max(one["peak"] for one in made)
    if what == STREAM:
        print(f"{size} x {size}, {megapixels(size):.0f} Mpx: {line(size, best)}", flush=True)
    return best


def once(what: str, size: int) -> dict:
    """Write the image, start the process, and look at its memory until it ends."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.zarr"
        if what == STREAM:
            write_image(image, size)
        program = [sys.executable, __file__, "--child", what, str(size), str(image)]
        child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        peak = 0
        while child.poll() is None:
            peak = max(peak, resident(child.pid))
            time.sleep(POLL)
        assert child.stdout is not None
        said = child.stdout.read()
        if child.returncode:
            raise SystemExit(f"the process ended with {child.returncode}: {said}")
        return json.loads(said.splitlines()[-1]) | {"peak": peak}


def under_limits(args: argparse.Namespace) -> None:
    """Print what comes of each size under each limit."""
    print("| edge | limit (MB) | peak (MB) | seconds | exit code | result |")
    print("|---|---|---|---|---|---|")
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "image.zarr"
            write_image(image, size)
            for limit in args.limits:
                out = Path(folder) / f"out{limit}"
                peak, seconds, code, said = run_limited(image, out, limit, args.ulimit)
                print(
                    f"| {size} | {limit} | {peak} | {seconds:.0f} | {code} | {said} |", flush=True
                )


def run_limited(image: Path, out: Path, limit: int, ulimit: bool) -> tuple[int, float, int, str]:
    """Segment an image; return the peak of memory in MB, seconds, exit code and the last line."""
    program = [sys.executable, "-m", "napari_nuclei_unet.cli", "segment", image, "--out", out]
    if ulimit:
        program = ["sh", "-c", f'ulimit -v {limit * 1000} && exec "$@"', "sh", *program]
    slurm = {} if ulimit else {"SLURM_MEM_PER_NODE": str(limit * 10**6 // 2**20)}
    begun, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as written:
        child = subprocess.Popen(
            program, env=os.environ | slurm, stdout=written, stderr=subprocess.STDOUT
        )
        while child.poll() is None:
            peak = max(peak, resident(child.pid))
            time.sleep(POLL)
        written.seek(0)
        lines = [line.strip() for line in written.read().replace("\r", "\n").splitlines()]
    said = " / ".join([line for line in lines if line][-2:])
    return round(peak / 1e6), time.perf_counter() - begun, child.returncode, said


def resident(pid: int) -> int:
    """Memory of a process and of all that it has started, in bytes."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for one in (parent, *parent.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def mirrored(rows: slice, columns: slice) -> NDArray[np.uint16]:
    """Part of a sample that is mirrored without end, as ``np.pad`` does it; 16 bits."""
    image, _ = read_sample("fluorescence_small")
    at = []
    for part, edge in zip((rows, columns), image.shape, strict=True):
        place = np.arange(part.start, part.stop) % (2 * edge)
        at.append(np.minimum(place, 2 * edge - 1 - place))
    return image[np.ix_(*at)].astype(np.uint16) * 257


def write_image(path: Path, size: int) -> None:
    """Write a square plane, chunk by chunk."""
    chunk = min(CHUNK, size)
    array = zarr.create_array(path, shape=(size, size), chunks=(chunk, chunk), dtype="uint16")
    for top in range(0, size, chunk):
        for left in range(0, size, chunk):
            box = (slice(top, min(top + chunk, size)), slice(left, min(left + chunk, size)))
            array[box] = mirrored(*box)
    if hasattr(os, "sync"):
        os.sync()  # else the run that is measured would wait for it


def child(what: str, size: int, image: str) -> None:
    """Segment, and print one line of JSON; what the process that is measured does."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.segment import segment

    corner = slice(0, 512)
    segment(mirrored(corner, corner), load_model())
    begun = time.perf_counter()
    if what == STREAM:
        nuclei, how = stream(Path(image))
        seconds = time.perf_counter() - begun
    else:
        pixels = mirrored(slice(0, size), slice(0, size))
        begun = time.perf_counter()
        nuclei, how = whole(pixels)
        seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "nuclei": nuclei, "how": how}))


def stream(image: Path) -> tuple[int, str]:
    """Segment a zarr block by block, with all that the command line writes of it."""
    from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
    from napari_nuclei_unet.blockwise.journal import Journal
    from napari_nuclei_unet.blockwise.run import segment_blockwise_steps
    from napari_nuclei_unet.blockwise.stages import BlockStep, BlockwisePlane
    from napari_nuclei_unet.io.ngff import LabelsGrid
    from napari_nuclei_unet.io.ome_zarr import LabelsStore
    from napari_nuclei_unet.io.open import open_lazily
    from napari_nuclei_unet.progress import run

    pixels = open_lazily(image).pixels
    grid = LabelsGrid(pixels.shape, "YX", (1.0, 1.0), (None, None))
    labels = image.with_name("labels.zarr")
    store = LabelsStore.create(labels, grid, "int32")
    journal = Journal(labels / "journal.json", image.with_name("nuclei.csv"), {})
    journal.begin()
    blocks = 0

    def show(step: object) -> None:
        nonlocal blocks
        if isinstance(step, BlockStep):
            blocks = max(blocks, step.blocks)

    made = run(
        segment_blockwise_steps(
            [BlockwisePlane(InMemoryPlane(pixels))], store, journal, BlockParams("nuclei")
        ),
        show,
    )
    for _ in store.build_pyramid():
        pass
    store.finish()
    return made.nuclei, f"{blocks} blocks, {len(store.levels)} levels"


def whole(pixels: NDArray[np.uint16]) -> tuple[int, str]:
    """Segment a plane in memory."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.progress import run
    from napari_nuclei_unet.segmentation.segment import segment_steps

    made = run(segment_steps(pixels, load_model()))
    ran = made.record["ran_on"]
    return made.count, f"zoom {made.record['zoom']}, {ran['device']}, {ran['precision']}"


def draw(path: Path, made: dict[int, dict], size: int, in_memory: dict) -> None:
    """Draw memory and time against the size of the plane."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    wide = [megapixels(one) for one in made]
    memory.plot(wide, [one["peak"] / 1e9 for one in made.values()], "o-", label="block by block")
    memory.plot(megapixels(size), in_memory["peak"] / 1e9, "s", label="in memory")
    memory.plot(wide, [6e-3 * one for one in wide], "k--", lw=1, label="image and labels, 6 B/px")
    memory.set(ylabel="peak memory (GB)", xlabel="Mpx", xscale="log", ylim=(0, None))
    seconds.plot(wide, [one["seconds"] for one in made.values()], "o-", label="block by block")
    seconds.plot(megapixels(size), in_memory["seconds"], "s", label="in memory")
    seconds.set(ylabel="time (s)", xlabel="Mpx", xscale="log", yscale="log")
    for axes in (memory, seconds):
        axes.set_xticks(wide, [f"{one:.0f}" for one in wide])
        axes.xaxis.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
