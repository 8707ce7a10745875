"""What black and white point are worth: on clean images, and on images with artefacts.

    python benchmarks/brightness.py IMAGES LABELS GROUPS.csv [--model nuclei]

Compares the measured range with the plain percentiles 1 and 99.8: by the nuclei that are found in
the clean images of the validation part (one AP of all, the plain range as reference), by those
that are found in their grey images, made 16 bits wide, after artefacts were added, and by the
time that a plane of 2048 x 2048 takes.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from validation_part import arguments, load

from napari_nuclei_unet import segment
from napari_nuclei_unet.metrics.matching import MatchCounts, count_matches, pool_scores
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.samples.images import SAMPLES, read_sample, repeated_sample
from napari_nuclei_unet.segmentation.intensity_range import estimate_intensity_range

WHITE, OFFSET, GAIN = 65_535, 32_768, 20
# Of how many grey images artefacts are added to each.
MAX_IMAGES = 12


def main() -> None:
    """Print a line for each comparison."""
    model, validation = load(arguments(__doc__).parse_args())
    clean = [(name, read_sample(name)[0]) for name in SAMPLES]
    for title, images in (("samples", clean), ("validation", [one[:2] for one in validation])):
        counts: dict[str, list[MatchCounts]] = defaultdict(list)
        for kind, image in images:
            for name in (kind, "all"):
                counts[name].append(
                    count_matches(segment_plainly(image, model), segment(image, model))
                )
        for kind, some in sorted(counts.items()):
            print(f"{title} {kind}: {len(some)} images, AP@0.9 {pool_scores(some)['AP@0.9']:.3f}")
    grey = [one for one in validation if one[1].ndim == 2][:MAX_IMAGES]
    for name, add in ARTEFACTS.items():
        scores = [compare(add, image, model) for _, image, _ in grey]
        before, after = (pool_scores(list(some))["F1"] for some in zip(*scores, strict=True))
        print(f"{name}: F1@0.5 to the clean image {before:.3f} before, {after:.3f} after")
    time_planes()


def segment_plainly(image: NDArray[np.generic], model: Model) -> NDArray[np.int32]:
    """Segment with the plain percentiles."""
    black, white = np.percentile(image, [1, 99.8])
    if black == white:
        black, white = image.min(), image.max() + 1
    return segment(image, model, black=float(black), white=float(white))


def compare(
    add: Callable[[NDArray[np.uint16]], NDArray[np.uint16]],
    image: NDArray[np.generic],
    model: Model,
) -> tuple[MatchCounts, MatchCounts]:
    """Count nuclei of the clean image that are found in the other, by both ranges."""
    wide = image.astype(np.uint16) * GAIN + OFFSET
    truth, worse = segment(wide, model), add(wide)
    return count_matches(truth, segment_plainly(worse, model)), count_matches(
        truth, segment(worse, model)
    )


def add_row(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Saturate the first row."""
    worse = image.copy()
    worse[0] = WHITE
    return worse


def add_fill(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Fill two sides with 0, as registration does."""
    worse = image.copy()
    worse[:6] = worse[:, :6] = 0
    return worse


def add_hot_pixels(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Saturate half a per cent of the pixels."""
    hot = np.random.default_rng(0).random(image.shape) < 0.005
    return np.where(hot, np.uint16(WHITE), image)


def add_debris(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Take the offset off, and add bright debris to half a per cent of the pixels."""
    rows, columns = np.indices(image.shape)
    far = np.hypot(rows - 20, columns - 20) > np.sqrt(0.005 * image.size / np.pi)
    return np.where(far, image - np.uint16(OFFSET), np.uint16(WHITE))


ARTEFACTS = {
    "saturated row": add_row,
    "fill": add_fill,
    "hot pixels": add_hot_pixels,
    "debris": add_debris,
}


def time_planes() -> None:
    """Print what the range of a plane takes, and what percentiles alone take."""
    plane = repeated_sample(2048).astype(np.uint16) * GAIN + OFFSET
    plain = min(timed(lambda: plain_percentiles(plane[::2, ::2])) for _ in range(5))
    print(f"2048 x 2048: percentiles alone {plain:.0f} ms")
    for name, add in {"clean": lambda image: image, **ARTEFACTS}.items():
        worse = add(plane)
        taken = min(timed(lambda worse=worse: estimate_intensity_range(worse)) for _ in range(5))
        print(f"2048 x 2048, {name}: {taken:.0f} ms")


def plain_percentiles(sample: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return black point, median and white point without more ado."""
    values = sample.astype(np.float64)
    return np.percentile(values[np.isfinite(values)], [1, 50, 99.8])


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that something takes."""
    since = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - since)


if __name__ == "__main__":
    main()
