"""Compare nuclei that were found block by block with those of the whole plane in memory.

    python benchmarks/block_seams.py [--size 4096] [--block 1024] [--samples NAME ...]

Every sample of the package is mirrored again and again to a square of that size. Blocks are 4096
pixels wide otherwise; here they are smaller, so that there are seams. AP at an IoU of 0.9 takes the
nuclei of the whole plane for the truth. Of those that lie on both sides of a seam, the ones are
counted that no nucleus of the blocks matches with an IoU of 0.9, and likewise of all others: these
say what seams do not explain.
"""

import argparse
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet import load_model, run, segment_steps
from napari_nuclei_unet.blockwise.block import BlockParams, BlockTask, InMemoryPlane
from napari_nuclei_unet.blockwise.journal import Journal
from napari_nuclei_unet.blockwise.run import compute_locally_steps, segment_blockwise_steps
from napari_nuclei_unet.blockwise.stages import BlockwisePlane
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.samples.images import SAMPLES, read_sample

IOU = 0.9


def main() -> None:
    """Print a row for each sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--samples", nargs="+", choices=SAMPLES, default=list(SAMPLES))
    args = parser.parse_args()
    print(
        f"| {args.size} x {args.size} | against | nuclei | AP@{IOU} | on a seam | of these not "
        "found whole | of the others |"
    )
    print("|" + "---|" * 7)
    for name in args.samples:
        compare(name, args.size, args.block)


def compare(name: str, size: int, block: int) -> None:
    """Segment a sample both ways, and print how they differ."""
    image = mosaic(name, size)
    whole = run(segment_steps(image, load_model()))
    ours, tasks = by_blocks(image, block)
    about = f"{name}, {len(tasks)} blocks"
    zoom = f"memory, zoom {whole.record['zoom']:g}"
    print(row(about, zoom, whole.labels, ours, tasks), flush=True)


def row(
    about: str,
    against: str,
    whole: NDArray[np.int32],
    ours: NDArray[np.int32],
    tasks: Sequence[BlockTask],
) -> str:
    """Compare labels of blocks with those of a whole plane."""
    missed = best_overlap(whole, ours) < IOU
    seam = np.isin(np.arange(1, whole.max() + 1), crossing(whole, tasks))
    score = count_matches(whole, ours).scores()[f"AP@{IOU}"]
    return (
        f"| {about} | {against} | {ours.max()} of {whole.max()} | {score:.4f} | {seam.sum()} | "
        f"{(missed & seam).sum()} | {(missed & ~seam).sum()} |"
    )


def mosaic(name: str, size: int) -> NDArray[np.uint8]:
    """Mirror a sample again and again, so that nothing is cut where it meets itself."""
    image, _ = read_sample(name)
    reach = [(0, max(size - edge, 0)) for edge in image.shape[:2]]
    wide = np.pad(image, [*reach, (0, 0)][: image.ndim], mode="symmetric")
    return wide[:size, :size]


def by_blocks(
    image: NDArray[np.uint8], block: int
) -> tuple[NDArray[np.int32], Sequence[BlockTask]]:
    """Labels, as they stand in the store, and what was done for them."""
    seen: list[BlockTask] = []

    def compute(tasks: Sequence[BlockTask]) -> Generator:
        seen.extend(tasks)
        return compute_locally_steps(tasks)

    with tempfile.TemporaryDirectory() as folder:
        grid = LabelsGrid(image.shape[:2], "YX", (1, 1), (None, None))
        store = LabelsStore.create(Path(folder) / "labels.zarr", grid, "int32")
        journal = Journal(Path(folder) / "journal.json", Path(folder) / "nuclei.csv", {})
        journal.begin()
        run(
            segment_blockwise_steps(
                [BlockwisePlane(InMemoryPlane(image))],
                store,
                journal,
                BlockParams("nuclei", size=block),
                compute,
            )
        )
        return store.labels[:], seen


def crossing(labels: NDArray[np.int32], tasks: Sequence[BlockTask]) -> NDArray[np.int32]:
    """Ids of nuclei that have pixels in more than one block."""
    found = []
    for axis in (0, 1):
        turned = labels if axis == 0 else labels.T
        for at in {task.block.core[axis].start for task in tasks} - {0}:
            found.append(np.intersect1d(turned[at - 1], turned[at]))
    ids = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int32)
    return ids[ids > 0]


def best_overlap(true: NDArray[np.int32], found: NDArray[np.int32]) -> NDArray[np.float64]:
    """IoU of every true nucleus with the best of those that were found."""
    areas = [np.bincount(one.ravel()) for one in (true, found)]
    both = (true > 0) & (found > 0)
    pairs, shared = np.unique(
        true[both].astype(np.int64) * len(areas[1]) + found[both], return_counts=True
    )
    first, second = np.divmod(pairs, len(areas[1]))
    iou = shared / (areas[0][first] + areas[1][second] - shared)
    best = np.zeros(len(areas[0]))
    np.maximum.at(best, first, iou)
    return best[1:]


if __name__ == "__main__":
    main()
