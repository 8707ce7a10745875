"""What it is worth to lighten dark bright fields, on copies as other scanners would make them.

    python benchmarks/exposure.py IMAGES LABELS GROUPS.csv [--model nuclei] [--everything]

Scores the bright fields of the validation part (with ``--everything``, of all images, of which
the model has learnt most), and darker and lighter copies of them, without a gamma, with the one
that is measured, and with one from the median of the grey values. First it says which of all
images are lightened, and by how much.
"""

import math
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from validation_part import arguments, load

from napari_nuclei_unet import segment
from napari_nuclei_unet.io.images import find_images, read_image
from napari_nuclei_unet.metrics.matching import MatchCounts, count_matches, pool_scores
from napari_nuclei_unet.segmentation.intensity_range import Brightness
from napari_nuclei_unet.segmentation.normalization import check_plane

Image = NDArray[np.generic]
# Images with a higher median are bright fields, whatever the rule says of them.
BRIGHT = 0.4
# Of a large image only the middle is looked at.
EDGE = 512
MEDIAN = 0.7


def main() -> None:
    """Print what is lightened, and a table of scores."""
    parser = arguments(__doc__)
    parser.add_argument("--everything", action="store_true")
    args = parser.parse_args()
    model, images = load(args, args.everything)
    planes = [check_plane(read_image(path)) for path in find_images([args.images])]
    gammas = [plane.gamma for plane in planes if plane.gamma < 1]
    print(f"{len(planes)} images, {len(gammas)} lightened, by {np.round(sorted(gammas), 2)}")
    for name, is_bright in (("dark", False), ("bright", True)):
        some = [
            one.gamma for one in planes if (median_grey(one.normalized()) > BRIGHT) == is_bright
        ]
        print(f"{name} ground: {len(some)} images, lightened {sum(one < 1 for one in some)}")
    counts: dict[tuple[str, str, str], list[MatchCounts]] = defaultdict(list)
    for kind, image, truth in images:
        if median_grey(check_plane(image).normalized()) <= BRIGHT:
            continue
        image, truth = cut_middle(image), cut_middle(truth)
        for copy, change in COPIES.items():
            changed, scored = change(image), dict[float, MatchCounts]()
            for rule, choose in RULES.items():
                gamma = choose(changed)
                if gamma not in scored:
                    scored[gamma] = count_matches(truth, segment(changed, model, gamma=gamma))
                counts[kind, copy, rule].append(scored[gamma])
    print_table(counts)


def median_grey(normalized: NDArray[np.float32]) -> float:
    """Return the median of the grey values of a plane."""
    return float(np.median(np.atleast_3d(normalized).mean(axis=2)))


def cut_middle(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Cut the middle out of a large image."""
    top, left = (max(0, extent - EDGE) // 2 for extent in pixels.shape[:2])
    return pixels[top : top + EDGE, left : left + EDGE]


def gamma_by_median(image: Image) -> float:
    """Return the gamma that gives the grey values of a bright field their usual median."""
    median = median_grey(check_plane(image, Brightness(gamma=1)).normalized())
    return min(max(math.log(MEDIAN) / math.log(min(median, 0.999)), 0.3), 1)


def expose(
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Callable[[Image], Image]:
    """Return a function that changes an image of 8 bits."""

    def changed(image: Image) -> Image:
        return np.round(255 * np.clip(change(image / 255), 0, 1)).astype(np.uint8)

    return changed


def stain(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Double the stain, and change its colour."""
    return light ** (np.array([2, 2.6, 1.5]) if light.ndim == 3 else 2)


def add_glass(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Halve the light, but for a corner of 1 %."""
    changed = light * 0.5
    changed[: light.shape[0] // 10, : light.shape[1] // 10] = 1
    return changed


COPIES: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda image: image,
    "gamma 1.5": expose(lambda light: light**1.5),
    "gamma 2": expose(lambda light: light**2),
    "gamma 3": expose(lambda light: light**3),
    "more stain": expose(stain),
    "half the light, a corner of glass": expose(add_glass),
    "gamma 0.6": expose(lambda light: light**0.6),
    "1.3 times the light": expose(lambda light: light * 1.3),
}
RULES: dict[str, Callable[[Image], float]] = {
    "none": lambda _: 1.0,
    "measured": lambda image: check_plane(image).gamma,
    "median": gamma_by_median,
}


def print_table(counts: dict[tuple[str, str, str], list[MatchCounts]]) -> None:
    """Print pooled scores: AP at 0.5, and mean AP."""
    print("\n| kind | images | copy | " + " | ".join(RULES) + " |")
    print("|---" * (len(RULES) + 3) + "|")
    for kind in sorted({kind for kind, _, _ in counts}):
        for copy in COPIES:
            scores = [pool_scores(counts[kind, copy, rule]) for rule in RULES]
            cells = [f"{one['AP@0.5']:.3f} / {one['mean AP']:.3f}" for one in scores]
            images = len(counts[kind, copy, "none"])
            print(f"| {kind} | {images} | {copy} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
