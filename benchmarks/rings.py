"""Measure how long rings around 10,000 nuclei take, in three channels.

    python benchmarks/rings.py [--nuclei 10000] [--ring 5] [--turns 3]

A plane is filled with a sample's annotation, as by `export_nuclei.py`; its channels are noise of 16
bits. The fastest turn counts. Cells are also found by `skimage.segmentation.expand_labels`, and
must be the same, to the pixel.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from export_nuclei import many_nuclei
from skimage.segmentation import expand_labels

from napari_nuclei_unet import MeasureOptions, Result, measure_result, open_lazily
from napari_nuclei_unet.labels.cells import expand_nuclei

# Seconds, for all columns of three channels.
TARGET = 3.0


def main() -> None:
    """Print a row for each part of the work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuclei", type=int, default=10_000)
    parser.add_argument("--ring", type=float, default=5.0)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    labels = many_nuclei(args.nuclei)
    print(f"{labels.max()} nuclei, {labels.shape[0]} x {labels.shape[1]} pixels, "
          f"ring of {args.ring:g}\n")  # fmt: skip
    print("| | seconds |\n|---|---|")
    ours = fastest(lambda: expand_nuclei(labels, args.ring), args.turns)
    theirs = fastest(lambda: expand_labels(labels, args.ring), args.turns)
    print(f"| cells | {ours.seconds:.2f} |\n| by expand_labels | {theirs.seconds:.2f} |")
    if not np.array_equal(ours.value, theirs.value):
        raise SystemExit("The cells are not those of expand_labels.")
    options, none = MeasureOptions(ring=args.ring), MeasureOptions()
    result = Result(labels, {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "channels.tif"
        noise = np.random.default_rng(0).integers(0, 60_000, (3, *labels.shape), np.uint16)
        tifffile.imwrite(path, noise, metadata={"axes": "CYX"}, photometric="minisblack")
        image = open_lazily(path)
        for name, given in (("measured", none), (f"with rings (target {TARGET:g})", options)):
            took = fastest(lambda: measure_result(result, [image], given), args.turns)  # noqa: B023
            print(f"| {name} | {took.seconds:.2f} |", flush=True)


@dataclass(frozen=True)
class Timed:
    """What a call returned, and the seconds of the fastest turn."""

    value: object
    seconds: float


def fastest(work: Callable[[], object], turns: int) -> Timed:
    """Return the fastest turn of a call."""
    taken = []
    for _ in range(turns):
        begun = time.perf_counter()
        value = work()
        taken.append(time.perf_counter() - begun)
    return Timed(value, min(taken))


if __name__ == "__main__":
    main()
