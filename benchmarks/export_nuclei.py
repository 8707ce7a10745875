"""Measure how long saving many nuclei takes, and how large the files are.

    python benchmarks/export_nuclei.py [--nuclei 10000] [--turns 3]

A plane is filled with a sample's annotation, mirrored again and again, and as many of its nuclei
are kept as are asked for. Seconds are the median of all turns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_nuclei_unet.export import FORMATS, Result, save
from napari_nuclei_unet.labels.contours import trace_contours
from napari_nuclei_unet.labels.regionprops import measure
from napari_nuclei_unet.samples.images import read_sample


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuclei", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    labels = many_nuclei(args.nuclei)
    result = Result(labels, measure(labels, None))
    print(f"{labels.max()} nuclei, {labels.shape[0]} x {labels.shape[1]} pixels\n")
    print("| format | seconds | MB |\n|---|---|---|")
    print(f"| (outlines alone) | {median(lambda: trace_contours(labels), args.turns):.1f} | |")
    with tempfile.TemporaryDirectory() as folder:
        for end in FORMATS:
            path = Path(folder) / f"nuclei{end}"
            seconds = median(lambda: save(path, result), args.turns)  # noqa: B023
            print(f"| {end} | {seconds:.1f} | {path.stat().st_size / 1e6:.1f} |", flush=True)


def many_nuclei(n: int) -> NDArray[np.int32]:
    """Fill a square with nuclei 1..n of a sample."""
    annotation = read_sample("fluorescence_small")[1]
    height, width = annotation.shape
    edge = int(1.1 * np.sqrt(n * annotation.size / annotation.max())) + max(height, width)
    sides = ((0, edge - height), (0, edge - width))
    labels = label(np.pad(annotation, sides, mode="symmetric"), connectivity=1)
    return np.where(labels <= n, labels, 0).astype(np.int32)


def median(work: Callable[[], object], turns: int) -> float:
    """Seconds that it takes."""
    taken = []
    for _ in range(turns):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


if __name__ == "__main__":
    main()
