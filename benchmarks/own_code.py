"""Compare code of our own with the library that could take its place.

    python benchmarks/own_code.py [--edge 2048]

The annotation of a sample is mirrored to a square plane; each tile has ids of its own. The fastest
of three runs counts, one core each.
"""

import argparse
import tempfile
import time
from collections.abc import Callable

import dask.array as da
import numpy as np
import zarr
from skimage.measure import find_contours, regionprops, regionprops_table
from skimage.segmentation import relabel_sequential as theirs_relabel

from napari_nuclei_unet import measure, open_lazily, read_sample
from napari_nuclei_unet.arrays.relabel import relabel_sequential
from napari_nuclei_unet.labels.contours import trace_contours

COLUMNS = ("label", "area", "perimeter", "axis_major_length", "solidity", "intensity_mean")


def plane(edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its labels, mirrored to a square."""
    image, labels = read_sample("fluorescence_small")
    pads = [(0, max(0, edge - length)) for length in labels.shape]
    image = np.pad(image, pads, mode="reflect")[:edge, :edge]
    mirrored = np.pad(labels.astype(np.int64), pads, mode="reflect")[:edge, :edge]
    rows, columns = np.indices(mirrored.shape)
    tile = rows // labels.shape[0] * 1000 + columns // labels.shape[1]
    return image, np.where(mirrored > 0, mirrored + tile * (labels.max() + 1), 0)


def fastest(call: Callable[[], object], runs: int = 3) -> float:
    """Return the seconds of the fastest run."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def contours_of_each(labels: np.ndarray) -> list[object]:
    """Trace every nucleus in its box, as one would with scikit-image."""
    return [find_contours(np.pad(one.image, 1), 0.5) for one in regionprops(labels)]


def read_squares(pixels: object, edge: int) -> None:
    """Read a plane in squares of 256 pixels."""
    for top in range(0, edge, 256):
        for left in range(0, edge, 256):
            np.asarray(pixels[top : top + 256, left : left + 256])


def main() -> None:
    """Print a row for each pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--edge", type=int, default=2048)
    edge = parser.parse_args().edge
    image, labels = plane(edge)
    small, _ = relabel_sequential(labels)
    huge = labels * 10**9
    print(f"{small.max()} nuclei in {edge} x {edge}; seconds: ours, theirs")

    def row(name: str, ours: float, theirs: float) -> None:
        print(f"{name:34} {ours:8.3f} {theirs:8.3f} {theirs / ours:6.1f} times")

    row(
        "relabel, ids far apart",
        *map(fastest, (lambda: relabel_sequential(huge), lambda: theirs_relabel(huge))),
    )
    row(
        "relabel, dense ids",
        *map(fastest, (lambda: relabel_sequential(small), lambda: theirs_relabel(small))),
    )
    row(
        "table",
        *map(
            fastest,
            (lambda: measure(small, image), lambda: regionprops_table(small, image, COLUMNS)),
        ),
    )
    row(
        "outlines",
        *map(fastest, (lambda: list(trace_contours(small)), lambda: contours_of_each(small))),
    )
    with tempfile.TemporaryDirectory() as folder:
        zarr.save(f"{folder}/image.zarr", image)
        lazy, array = (
            open_lazily(f"{folder}/image.zarr").pixels,
            zarr.open(f"{folder}/image.zarr", mode="r"),
        )
        dasked = da.from_zarr(array)
        row(
            "zarr in squares of 256",
            *map(fastest, (lambda: read_squares(lazy, edge), lambda: read_squares(dasked, edge))),
        )


if __name__ == "__main__":
    main()
