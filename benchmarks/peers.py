"""Score classical methods of scikit-image on the validation part, beside the shipped model.

    python benchmarks/peers.py IMAGES LABELS GROUPS.csv [--second FOLDER]

The classical methods are told what an image is: of stained sections they get the hematoxylin, of
grey tissue the negative; the model is told nothing. Objects of under 20 pixels are left out. Also
printed is the processor's time, of all cores together, for a megapixel.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2gray, rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed
from validation_part import arguments, load

from napari_nuclei_unet import segment
from napari_nuclei_unet.metrics.matching import MatchCounts, average_scores, count_matches

COLUMNS = ("AP@0.5", "AP@0.7", "mean AP", "F1")
SMALLEST = 20
SIGMA, LEAST_DISTANCE = 1.0, 5
DARK = ("grayscale_tissue",)


def main() -> None:
    """Print a row for each method and modality."""
    args = arguments(__doc__).parse_args()
    model, validation = load(args)
    ways: dict[str, Callable[[str, NDArray[np.generic]], NDArray[np.integer]]] = {
        "this, nothing set": lambda _kind, image: segment(image, model),
        "Otsu, connected components": lambda kind, image: label(otsu(kind, image)),
        "Otsu, distance watershed": lambda kind, image: split_by_distance(otsu(kind, image)),
        "Voronoi-Otsu": split_by_brightness,
    }
    print("| by image | | images | nuclei | " + " | ".join(COLUMNS) + " | s/Mpx |")
    print("|---" * (len(COLUMNS) + 5) + "|")
    for name, way in ways.items():
        counts: dict[str, list[MatchCounts]] = defaultdict(list)
        way(*validation[0][:2])  # loads what it needs
        seconds = pixels = 0.0
        for kind, image, truth in validation:
            begun = time.process_time()
            found = way(kind, image)
            seconds += time.process_time() - begun
            pixels += truth.size / 1e6
            for group in ("all", kind):
                counts[group].append(count_matches(truth, found))
        for group, some in sorted(counts.items()):
            scores = average_scores(some)
            cells = " | ".join(f"{scores[column]:.3f}" for column in COLUMNS)
            nuclei = sum(one.n_true for one in some)
            pace = f"{seconds / pixels:.2f}" if group == "all" else ""
            print(f"| {name} | {group} | {len(some)} | {nuclei} | {cells} | {pace} |", flush=True)


def light(kind: str, image: NDArray[np.generic]) -> NDArray[np.floating]:
    """Return an image in which nuclei are bright."""
    if image.ndim == 3:
        stained = "fluorescence" not in kind
        return rgb2hed(image)[..., 0] if stained else rgb2gray(image)
    grey = image.astype(float)
    return -grey if kind in DARK else grey


def otsu(kind: str, image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return what is brighter than Otsu's threshold, after smoothing, without specks."""
    smooth = gaussian(light(kind, image), SIGMA)
    mask = smooth > threshold_otsu(smooth)
    return ndimage.binary_fill_holes(remove_small_objects(mask, max_size=SMALLEST - 1))


def label(mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return connected pixels, numbered."""
    return ndimage.label(mask)[0]


def split_by_distance(mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Split where the distance to the edge, smoothed, has several peaks."""
    distance = gaussian(ndimage.distance_transform_edt(mask), SIGMA)
    return watershed(-distance, seeds(distance, mask), mask=mask)


def split_by_brightness(kind: str, image: NDArray[np.generic]) -> NDArray[np.integer]:
    """Split where the image, smoothed by a few pixels, has several peaks."""
    mask = otsu(kind, image)
    smooth = gaussian(light(kind, image), LEAST_DISTANCE)
    return watershed(-smooth, seeds(smooth, mask), mask=mask)


def seeds(relief: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return numbered peaks of a relief, inside a mask."""
    peaks = np.zeros(mask.shape, bool)
    at = peak_local_max(
        relief, min_distance=LEAST_DISTANCE, labels=label(mask), exclude_border=False
    )
    peaks[tuple(at.T)] = True
    return label(peaks)


if __name__ == "__main__":
    main()
