"""Measure how long the table of 10,000 nuclei takes, beside that of scikit-image.

    python benchmarks/table_of_nuclei.py [--edge 4096] [--runs 5] [--samples NAME ...]

Annotated samples are tiled to a square plane, and repeated below it until there are 10,000 nuclei;
each tile has ids of its own. The fastest run of `measure` counts, and the only one of
`skimage.measure.regionprops_table`, which is asked for the same columns, without `touches_border`.
Both run on one core.
"""

import argparse
import math
import time

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from napari_nuclei_unet.labels.regionprops import measure
from napari_nuclei_unet.samples.images import SAMPLES, read_sample

NUCLEI = 10_000
# Seconds, for the table in all.
TARGET = 3.0
THEIRS = (
    "label", "centroid", "area", "perimeter", "equivalent_diameter_area", "axis_major_length",
    "axis_minor_length", "eccentricity", "solidity", "intensity_mean", "intensity_min",
    "intensity_max", "intensity_std",
)  # fmt: skip


def main() -> None:
    """Print a row for each sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--samples",
        nargs="+",
        choices=SAMPLES,
        default=["fluorescence_small", "fluorescence_large", "histology_purple"],
    )
    args = parser.parse_args()
    print(f"| sample | plane | nuclei | measure (target {TARGET:g} s) | regionprops_table |")
    print("|---|---|---|---|---|")
    for name in args.samples:
        image, labels = tiled(name, args.edge)
        nucleus = (labels > 0).astype(np.float32)
        ours = min(seconds(measure, labels, image, nucleus) for _ in range(args.runs))
        stacked = np.dstack([image, nucleus])
        theirs = seconds(regionprops_table, labels, stacked, properties=THEIRS)
        shape, nuclei = " x ".join(map(str, image.shape)), np.unique(labels).size - 1
        print(f"| {name} | {shape} | {nuclei} | {ours:.2f} s | {theirs:.1f} s |", flush=True)


def tiled(name: str, edge: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Repeat a sample and its annotation, as wide as asked for, and as high or higher."""
    image, labels = read_sample(name)
    across = math.ceil(edge / labels.shape[1])
    enough = math.ceil(NUCLEI / (np.unique(labels).size - 1) / (edge // labels.shape[1]))
    down = max(math.ceil(edge / labels.shape[0]), enough)
    height = max(edge, enough * labels.shape[0])
    tile = np.arange(down * across, dtype=np.int32).reshape(down, across)
    shift = np.kron(tile * int(labels.max()), np.ones(labels.shape, np.int32))
    wide = np.tile(labels, tile.shape)
    ids = np.where(wide > 0, wide + shift, 0)[:height, :edge]
    pixels = np.tile(image, (down, across, 1)[: image.ndim])[:height, :edge]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(ids)


def seconds(what, *arguments, **options) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    what(*arguments, **options)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
