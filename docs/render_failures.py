"""Render docs/images/failures.webp: typical failures, and what mends each.

python docs/render_failures.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_nuclei_unet import read_sample, segment
from napari_nuclei_unet.training.plots import FOUND_COLOR, draw_outlines

EDGE = 128
OUT = Path(__file__).parent / "images" / "failures.webp"


BACKGROUND = {"confidence": 0.6, "threshold": 0.3}
SPECKS = {"minimum_area": 1, "leave_out_fragments": False, "confidence": 0.6}


@dataclass(frozen=True)
class Failure:
    """A part of a sample, segmented with parameters that fail, and with others."""

    title: str
    sample: str
    corner: tuple[int, int]
    before: dict[str, Any]
    after: dict[str, Any] = field(default_factory=dict)


FAILURES = (
    Failure("1 touching nuclei are one", "fluorescence_small", (130, 310), {"separation": 0.02}),
    Failure("2 a nucleus is in pieces", "histology_purple", (0, 190), {"separation": 0.98}),
    Failure("3 faint nuclei are missed", "histology_purple", (128, 192), {}, {"confidence": 0.6}),
    Failure("4 background is found", "histology_pink_purple", (100, 45), BACKGROUND),
    Failure("5 the size is wrong", "histology_purple", (128, 20), {"diameter": 60}),
    Failure("6 specks are found", "fluorescence_small", (330, 240), SPECKS),
)


def main() -> None:
    """Draw each failure beside the image as it should be."""
    figure = Figure(figsize=(10, 8.2), layout="constrained", dpi=100)
    for row, failure in zip(figure.subplots(3, 4).reshape(6, 2), FAILURES, strict=True):
        image, _ = read_sample(failure.sample)
        window = tuple(slice(start, start + EDGE) for start in failure.corner)
        shown = to_rgb(image)[window]
        for axes, params in zip(row, (failure.before, failure.after), strict=True):
            found = segment(image, **params)[window]
            axes.imshow(draw_outlines(shown, found, FOUND_COLOR))
            axes.set_axis_off()
        row[0].set_title(failure.title, loc="left", fontsize=11)
    figure.savefig(OUT, pil_kwargs={"quality": 80})


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert to RGB from 0 to 1, as bright as can be seen."""
    low, high = np.percentile(image, (1, 99.8))
    bright = np.clip((image - low) / (high - low), 0, 1)
    return bright if bright.ndim == 3 else np.repeat(bright[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
