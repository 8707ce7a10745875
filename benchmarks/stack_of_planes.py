"""Measure what segmenting a stack costs more than segmenting its planes one by one.

    python benchmarks/stack_of_planes.py [--planes 100] [--size 512] [--turns 4]

The planes are different parts of a sample that is mirrored again and again. The same model object
segments them as a stack (`stack.segment_planes_steps`) and by as many calls of
`segment_steps`. The two take turns, and who goes first changes with every turn.
"""

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.models.model import Model, load_model
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.samples.images import repeated_sample
from napari_nuclei_unet.segmentation.segment import segment_steps
from napari_nuclei_unet.segmentation.stack import SegmentedPlaneStep, segment_planes_steps

TARGET = 1.2


def main() -> None:
    """Print the seconds of every turn, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--turns", type=int, default=4)
    args = parser.parse_args()
    stack = made_stack(args.planes, args.size)
    model = load_model()
    run(segment_steps(stack[0], model))
    ways = {"stack": as_stack, "calls": one_by_one}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(args.turns):
        for name in sorted(ways, reverse=bool(turn % 2)):
            begun = time.perf_counter()
            nuclei = ways[name](stack, model)
            seconds[name].append(time.perf_counter() - begun)
            print(
                f"turn {turn + 1}, {name}: {seconds[name][-1]:.2f} s, {nuclei} nuclei", flush=True
            )
    stacked, called = (np.array(seconds[name]) for name in ("stack", "calls"))
    ratios = stacked / called
    print(
        f"{args.planes} planes of {args.size} x {args.size}: stack {np.median(stacked):.2f} s, "
        f"calls {np.median(called):.2f} s, ratio {np.median(stacked) / np.median(called):.3f} "
        f"(turns {ratios.min():.3f} to {ratios.max():.3f}; target at most {TARGET})"
    )


def made_stack(planes: int, size: int) -> NDArray[np.uint8]:
    """Planes of which no two are alike."""
    wide = repeated_sample(2 * size + 1024)
    begins = [((37 * n) % 1024, (101 * n) % 1024) for n in range(planes)]
    return np.stack([wide[top : top + size, left : left + size] for top, left in begins])


def as_stack(stack: NDArray[np.uint8], model: Model) -> int:
    """Segment all planes in one run."""
    nuclei = 0

    def add(step: object) -> None:
        nonlocal nuclei
        nuclei += step.result.count if isinstance(step, SegmentedPlaneStep) else 0

    cuts = [PlaneIndex((number, None, None)) for number in range(len(stack))]
    run(segment_planes_steps(stack, cuts, model), add)
    return nuclei


def one_by_one(stack: NDArray[np.uint8], model: Model) -> int:
    """Segment every plane by a call of its own."""
    return sum(run(segment_steps(plane, model)).count for plane in stack)


if __name__ == "__main__":
    main()
