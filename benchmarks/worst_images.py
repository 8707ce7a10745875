"""Draw the validation images on which a model is worst.

    python benchmarks/worst_images.py IMAGES LABELS GROUPS.csv OUT.jpg [--model nuclei]

Twelve images, the worst first, by AP at IoU 0.5: true nuclei are outlined in green, those found in
magenta. Of a large image the part with most errors is shown.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries
from validation_part import arguments, load

from napari_nuclei_unet import segment
from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.metrics.matching import pool_scores
from napari_nuclei_unet.segmentation.normalization import check_plane

COUNT, COLUMNS, EDGE, CAPTION = 12, 4, 320, 16
PART, STEP = 320, 64
GREEN, MAGENTA = (0, 230, 0), (255, 0, 255)
Labels = NDArray[np.int32]


def main() -> None:
    """Write the sheet, and print what is wrong in each image."""
    parser = arguments(__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    model, images = load(args)
    rows = []
    for kind, image, truth in images:
        found = segment(image, model)
        compared = compare(truth, found)
        score = pool_scores([compared.counts])["AP@0.5"]
        rows.append((score, kind, outline(image, truth, found, compared.errors > 0), compared))
    rows.sort(key=lambda row: row[0])
    height = EDGE + CAPTION
    sheet = Image.new("RGB", (COLUMNS * EDGE, COUNT // COLUMNS * height), "white")
    for number, (score, kind, picture, compared) in enumerate(rows[:COUNT]):
        left, top = number % COLUMNS * EDGE, number // COLUMNS * height
        sheet.paste(picture, (left, top + CAPTION))
        title = f"{number + 1}  {kind}  AP {score:.2f}"
        ImageDraw.Draw(sheet).text((left + 3, top + 2), title, fill="black")
        print(f"{title}, of {compared.counts.n_true} nuclei: {compared.numbers}")
    sheet.save(args.out, quality=85)


def outline(
    image: NDArray[np.generic], truth: Labels, found: Labels, wrong: NDArray[np.bool_]
) -> Image.Image:
    """Draw true and found nuclei on a square part of an image."""
    part = find_worst_part(wrong)
    pixels = np.atleast_3d(check_plane(image).normalized())[part]
    scale = max(1, round(2 * EDGE / max(pixels.shape[:2])))
    shown = enlarge(np.repeat(np.uint8(255 * pixels), 3 // pixels.shape[2], axis=2), scale)
    for labels, colour in ((truth, GREEN), (found, MAGENTA)):
        shown[find_boundaries(enlarge(labels[part], scale), mode="inner")] = colour
    picture = Image.fromarray(shown)
    picture.thumbnail((EDGE, EDGE))
    return picture


def enlarge(pixels: NDArray[np.generic], scale: int) -> NDArray[np.generic]:
    """Repeat rows and columns."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def find_worst_part(wrong: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the square with most wrong pixels."""
    rows, columns = (range(0, max(extent - PART, 0) + 1, STEP) for extent in wrong.shape)
    parts = [(slice(y, y + PART), slice(x, x + PART)) for y in rows for x in columns]
    return max(parts, key=lambda part: np.count_nonzero(wrong[part]))


if __name__ == "__main__":
    main()
