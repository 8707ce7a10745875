"""Measure the memory that fine-tuning on a large, lazily loaded image takes.

    python benchmarks/fine_tuning_memory.py [--size 10000] [--nuclei 20] [--margin 8]

The image is a dask array whose chunks are made when they are read: a sample, repeated. A few of its
nuclei are labelled; what lies beyond the margin of these is unknown. With `--margin 0` the rest of
the image is background.
"""

import argparse
import resource
import time

import dask.array as da
import numpy as np

from napari_nuclei_unet import fine_tune
from napari_nuclei_unet.samples.images import read_sample


def main() -> None:
    """Print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--nuclei", type=int, default=20)
    parser.add_argument("--margin", type=int, default=8)
    args = parser.parse_args()
    tile, annotation = read_sample("fluorescence_small")
    tile, annotation = tile[:500, :500], annotation[:500, :500]
    n = -(-args.size // 500)
    image = da.tile(da.from_array(tile, chunks=250), (n, n))[: args.size, : args.size]
    labels = np.zeros((args.size, args.size), np.int32)
    rng = np.random.default_rng(0)
    ids = np.setdiff1d(np.unique(annotation), [0])
    for number in range(1, args.nuclei + 1):
        top, left = 500 * rng.integers(0, args.size // 500, 2)
        part = labels[top : top + 500, left : left + 500]
        part[annotation == rng.choice(ids)] = number
    before = peak()
    started = time.perf_counter()
    tuned = fine_tune([(image, labels)], epochs=2, margin=args.margin)
    print(
        f"{args.size} x {args.size}, {len(np.unique(labels)) - 1} nuclei, margin {args.margin}: "
        f"{time.perf_counter() - started:.0f} s, peak {peak() / 1e9:.2f} GB ({before / 1e9:.2f} GB "
        f"before, labels {labels.nbytes / 1e9:.2f} GB); {tuned.verdict}"
    )


def peak() -> float:
    """Most memory so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
