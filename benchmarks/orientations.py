"""How far results depend on the orientation of an image, and which step is the cause.

    python benchmarks/orientations.py

Each sample is rotated and mirrored to its eight orientations. A line for each sample: the number
of nuclei in each orientation; then, if only the separation sees the maps in another orientation;
then how much the maps of nucleus differ from those of the first orientation, in the mean, at the
edge of the image and inside.
"""

from dataclasses import replace

import numpy as np

from napari_nuclei_unet import SegmentParams, run
from napari_nuclei_unet.samples.images import SAMPLES, read_sample
from napari_nuclei_unet.segmentation.segment import predict_plane_steps, retune

# Of the mirror image beyond the plane the network sees so much.
EDGE = 16


def turn(array, quarters, flipped, axes=(0, 1)):
    """Rotate an array by quarters of a turn, then mirror it."""
    turned = np.rot90(array, quarters, axes)
    return np.ascontiguousarray(np.flip(turned, axes[1]) if flipped else turned)


def turn_back(array, quarters, flipped, axes=(0, 1)):
    """Undo :func:`turn`."""
    straight = np.flip(array, axes[1]) if flipped else array
    return np.ascontiguousarray(np.rot90(straight, -quarters, axes))


def main():
    """Print a line for each sample."""
    params = SegmentParams(precision="fp32")
    for name in SAMPLES:
        image, _ = read_sample(name)
        first = run(predict_plane_steps(image, params=params, device="cpu"))
        counts, separated, inside, at_edge = [], [], [], []
        for how in [(quarters, flipped) for flipped in (False, True) for quarters in range(4)]:
            seen = run(predict_plane_steps(turn(image, *how), params=params, device="cpu"))
            counts.append(int(retune(seen).labels.max()))
            maps = turn(first.quantized_maps, *how, (1, 2))
            separated.append(int(retune(replace(seen, quantized_maps=maps)).labels.max()))
            straight = turn_back(seen.quantized_maps[0], *how).astype(float)
            difference = np.abs(straight - first.quantized_maps[0]) / 65535
            core = difference[EDGE:-EDGE, EDGE:-EDGE]
            inside.append(core.mean())
            at_edge.append((difference.sum() - core.sum()) / (difference.size - core.size))
        print(
            f"{name}: nuclei {counts}, separation alone {separated}, maps differ by "
            f"{np.mean(inside[1:]):.4f} inside and {np.mean(at_edge[1:]):.4f} at the edge",
            flush=True,
        )


if __name__ == "__main__":
    main()
