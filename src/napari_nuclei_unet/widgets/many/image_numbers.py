"""Numbers of images, one for each, and what is said of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...counts import format_count
from .rows import ImageRow

if TYPE_CHECKING:
    from ...batch.summary import SummaryRow

NUCLEI = "Nuclei"
IMAGE_NUMBERS: dict[str, Callable[[SummaryRow], float]] = {
    NUCLEI: lambda row: row.nuclei,
    "Median area (px²)": lambda row: row.statistics.median_area,
    "Median area (µm²)": lambda row: row.statistics.median_area_um2,
    "Mean area (px²)": lambda row: row.statistics.mean_area,
    "Mean area (µm²)": lambda row: row.statistics.mean_area_um2,
    "Median volume (voxels)": lambda row: row.statistics.median_volume,
    "Median volume (µm³)": lambda row: row.statistics.median_volume_um3,
    "Nuclei per mm²": lambda row: row.statistics.density_per_mm2,
    "Mean intensity": lambda row: row.statistics.mean_intensity,
    "At the border": lambda row: row.statistics.touching_border,
    "Left out": lambda row: row.left_out,
}


def read_image_numbers(rows: Sequence[ImageRow], name: str) -> NDArray[np.float64]:
    """Return a number of each image; NaN where it is not known."""
    read = IMAGE_NUMBERS[name]
    known = [np.nan if _is_unknown(row) else read(row.summary) for row in rows]  # type: ignore[arg-type]
    return np.array(known, np.float64)


def _is_unknown(row: ImageRow) -> bool:
    return row.summary is None or not row.summary.result


def list_numbers(rows: Sequence[ImageRow]) -> list[str]:
    """Return the numbers that are known of at least one image."""
    return [name for name in IMAGE_NUMBERS if np.isfinite(read_image_numbers(rows, name)).any()]


def describe_images(rows: Sequence[ImageRow]) -> str:
    """Return how many nuclei all images have, and how large these are."""
    counts = read_image_numbers(rows, NUCLEI)
    known = counts[np.isfinite(counts)]
    if not known.size:
        return "No image is done yet."
    images, nuclei = format_count(known.size, "image"), format_count(int(known.sum()), "nucleus")
    parts = [f"{images}, {nuclei}"]
    if known.size > 1:
        spread = f"{known.mean():,.3g} ± {known.std(ddof=1):,.3g}"
        parts.append(f"per image {spread} (median {np.median(known):,.4g})")
    for name, unit in (("Mean area (µm²)", "µm²"), ("Mean area (px²)", "px²")):
        means = read_image_numbers(rows, name)
        is_known = np.isfinite(means) & (counts > 0)
        if is_known.any():
            pooled = np.average(means[is_known], weights=counts[is_known])
            parts.append(f"mean area of all nuclei {pooled:,.4g} {unit}")
            break
    return " · ".join(parts)
