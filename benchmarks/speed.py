"""Measure what the speed of the plugin is judged by, in one go, in turn with a peer.

    python benchmarks/speed.py [--peer "other/bin/python benchmarks/stardist_speed.py --runs 1
        --model MODEL_FOLDER --image {image}"] [--runs 5] [--edge 4096] [--images 200]
        [--stream-edge 16384] [--out speed.md]

Prints a table in Markdown with the commands beside the numbers, all medians of runs that were made
in turn. ``{image}`` in the peer's command becomes an image file, or a folder of them. A last line
``seconds S`` that the peer prints is what it took without loading its libraries; else that of its
whole process counts. Nothing else should run meanwhile. All files are in a temporary folder, which
is removed; ``--stream-edge 0`` leaves the stream out, which takes longest.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import larger_than_memory
import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from napari_nuclei_unet.samples.images import repeated_sample

SMALL_EDGE = 512
OURS = [sys.executable, "-m", "napari_nuclei_unet.cli"]
SHOWN = "nuclei-unet"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    value: str
    target: str
    command: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="its command; {image} in it is a file, or a folder")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--edge", type=int, default=4096)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--stream-edge", type=int, default=16384)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *large_image(Path(folder), args),
            *many_images(Path(folder), args),
            *first_result(Path(folder), args),
            *(streamed(args) if args.stream_edge else ()),
        ]
    lines = ["| | measured | target | command |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {row.target} | `{row.command}` |" for row in rows]
    print(*lines, sep="\n")
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


def large_image(folder: Path, args: argparse.Namespace) -> list[Row]:
    """Segment a large image in memory, in turn with the peer."""
    path = folder / "large.tif"
    tifffile.imwrite(path, crop(args.edge))
    command = ["bench", str(path), "--runs", "1", "--json"]
    made: list[dict] = []

    def ours() -> float:
        made.append(json.loads(run([*OURS, *command])))
        return made[-1]["end_to_end"]

    seconds, peer = in_turn(ours, args, path)
    shown = f"{SHOWN} bench large.tif"
    median = statistics.median(seconds)
    last = made[-1]
    peak = max(one["peak_memory"] for one in made) / 1e9
    size = f"{args.edge}²"
    return [
        Row(f"{size} end to end", f"{median:.2f} s, {last['megapixels'] / median:.2f} Mpx/s, "
            f"{last['plan']['precision']}", "", shown),
        *against(f"{size} against the peer", seconds, peer, "4.5", args),
        Row(f"{size}, pixels read for each kept", f"{last['read_per_pixel']:.2f}", "", shown),
        Row(f"{size}, of the peak of a convolution",
            f"{last['gflops']:.0f} of {last['peak_gflops']:.0f} GFLOP/s", "", shown),
        Row(f"peak at {size}", f"{peak:.2f} GB", "1.2 GB", shown),
    ]  # fmt: skip


def many_images(folder: Path, args: argparse.Namespace) -> list[Row]:
    """Segment a folder of small images by the command line, in turn with the peer."""
    images = folder / "images"
    images.mkdir()
    large = repeated_sample(4096)
    side = 4096 - SMALL_EDGE
    for number in range(args.images):
        top, left = 97 * number % side, 211 * number % side
        crop = large[top : top + SMALL_EDGE, left : left + SMALL_EDGE]
        PIL.Image.fromarray(crop).save(images / f"{number:04}.png")
    command = ["segment", str(images), "--overwrite", "--out", str(folder / "many")]
    seconds, peer = in_turn(lambda: clock([*OURS, *command]), args, images)
    what = f"{args.images} images of {SMALL_EDGE}²"
    median = statistics.median(seconds)
    shown = f"{SHOWN} segment images --out many"
    return [
        Row(what, f"{median:.1f} s, {1000 * median / args.images:.0f} ms each", "", shown),
        *against(f"{what} against the peer", seconds, peer, "4", args),
    ]


def first_result(folder: Path, args: argparse.Namespace) -> list[Row]:
    """Segment one small image in a fresh process, in turn with loading torch alone."""
    path = folder / "small.png"
    PIL.Image.fromarray(crop(SMALL_EDGE)).save(path)
    command = ["segment", str(path), "--overwrite", "--out", str(folder / "first")]
    clock([*OURS, *command])  # files are in the cache
    times = [
        (clock([*OURS, *command]), clock([sys.executable, "-c", "import torch"]))
        for _ in range(args.runs)
    ]
    ours, torch = map(statistics.median, zip(*times, strict=True))
    return [
        Row(f"first result, {SMALL_EDGE}²", f"{ours:.2f} s", "1.5 s",
            f"{SHOWN} segment small.png --out first"),
        Row("torch alone", f"{torch:.2f} s", "", 'python -c "import torch"'),
    ]  # fmt: skip


def streamed(args: argparse.Namespace) -> list[Row]:
    """Segment a zarr block by block, against an image in memory."""
    edge = args.stream_edge
    whole = larger_than_memory.measured(larger_than_memory.WHOLE, args.edge, args.runs)
    made = larger_than_memory.measured(larger_than_memory.STREAM, edge, 1)
    pace = [one["seconds"] / n**2 for one, n in ((whole, args.edge), (made, edge))]
    shown = f"python benchmarks/larger_than_memory.py --sizes {edge}"
    return [
        Row(f"{edge}² zarr against {args.edge}² in memory, per pixel", f"{pace[0] / pace[1]:.2f}",
            "0.85", shown),
        Row(f"peak at {edge}² streamed", f"{made['peak'] / 1e9:.2f} GB", "1.8 GB", shown),
    ]  # fmt: skip


def crop(edge: int) -> NDArray[np.uint8]:
    """Return a square of the repeated sample, which is larger than the sample."""
    return repeated_sample(max(edge, 1024))[:edge, :edge]


def in_turn(
    ours: Callable[[], float], args: argparse.Namespace, image: Path
) -> tuple[list[float], list[float]]:
    """Run both in turn; seconds of each run, of the peer none where there is no peer."""
    mine, theirs = [], []
    for _ in range(args.runs):
        if args.peer:
            parts = [part.replace("{image}", str(image)) for part in shlex.split(args.peer)]
            start = time.perf_counter()
            printed = run(parts).splitlines()
            whole = time.perf_counter() - start
            last = printed[-1].split() if printed else []
            theirs.append(float(last[1]) if last[:1] == ["seconds"] else whole)
        mine.append(ours())
    return mine, theirs


def against(
    what: str, ours: list[float], peer: list[float], target: str, args: argparse.Namespace
) -> list[Row]:
    """Line with the ratio of medians, if there is a peer."""
    if not peer:
        return []
    ratio = statistics.median(peer) / statistics.median(ours)
    value = f"{ratio:.2f} times as fast ({statistics.median(peer):.2f} s)"
    return [Row(what, value, target, args.peer)]


def clock(command: list[str]) -> float:
    """Seconds that a command takes as a whole."""
    start = time.perf_counter()
    run(command)
    return time.perf_counter() - start


def run(command: list[str]) -> str:
    """Run a command to its end, and return what it prints."""
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    main()
