"""Compare ways to part touching nuclei, on the validation part.

    python benchmarks/separation.py IMAGES LABELS GROUPS.csv [--model nuclei]

The maps are predicted once; what differs is the relief (the distance, with or without the border
taken off, smoothed or not) and how seeds are found in it (h-maxima, or above a fixed height).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed
from validation_part import arguments, load

from napari_nuclei_unet.metrics.matching import average_scores, count_matches
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.segmentation.normalization import check_plane
from napari_nuclei_unet.training.threshold_tuning import TUNED_SCORES
from napari_nuclei_unet.training.validation import predict_logits

VARIANTS = [
    ("components", None, 0, 0),
    *(("above", height, border, 0) for border in (1, 0) for height in (0.3, 0.4, 0.5, 0.6)),
    *(("h-maxima", h, border, 1) for border in (1, 0.5, 0) for h in (0.1, 0.15, 0.2, 0.25)),
    *(("h-maxima", 0.15, 0, sigma) for sigma in (0, 0.5, 1.5, 2)),
]


def labels_of(
    maps: np.ndarray, threshold: float, seeds: str, height: float, border: float, sigma: float
) -> np.ndarray:
    """Separate by one of the variants."""
    mask = maps[0] > threshold
    if seeds == "components":
        return ndimage.label(mask)[0]
    relief = maps[2] - border * maps[1]
    if sigma:
        relief = ndimage.gaussian_filter(relief, sigma)
    summits = relief > height if seeds == "above" else h_maxima(relief, height) > 0
    found, _ = ndimage.label(ndimage.binary_dilation(summits & mask) & mask)
    parts, n = ndimage.label(mask)
    seeded = np.zeros(n + 1, bool)
    seeded[parts[found > 0]] = True
    alone = (parts > 0) & ~seeded[parts]
    found[alone] = parts[alone] + found.max()
    return watershed(-relief, found, mask=mask)


@torch.inference_mode()
def predict_all_maps(image: NDArray[np.generic], model: Model) -> NDArray[np.float32]:
    """Predict the maps of an image as it is, border included, which segmenting does not keep."""
    pixels = np.atleast_3d(check_plane(image).normalized())
    colours = torch.from_numpy(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())
    return torch.sigmoid(predict_logits(model.network, colours.permute(2, 0, 1)))[0].numpy()


def main() -> None:
    """Print one row a variant."""
    model, validation = load(arguments(__doc__).parse_args())
    predicted = [(predict_all_maps(image, model), truth) for _, image, truth in validation]
    print("| seeds | height | border taken off | smoothing | AP@0.5 | mean of .5 to .9 |")
    print("|---|---|---|---|---|---|")
    for variant in VARIANTS:
        threshold = model.card.thresholds["threshold"]
        counts = [
            count_matches(truth, labels_of(maps, threshold, *variant)) for maps, truth in predicted
        ]
        scores = average_scores(counts)
        mean = np.mean([scores[name] for name in TUNED_SCORES])
        cells = " | ".join("" if cell is None else str(cell) for cell in variant)
        print(f"| {cells} | {scores['AP@0.5']:.3f} | {mean:.3f} |", flush=True)


if __name__ == "__main__":
    main()
