"""Overlays of labels on an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from .atomic import atomic_write


def write_overlay(path: Path, image: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    """Write a PNG of the image with its nuclei tinted and outlined.

    Parameters
    ----------
    path : Path
    image : ndarray, shape (Y, X) or (Y, X, 3), floating, values 0 to 1
    labels : ndarray, shape (Y, X), integer
    """
    tinted = label2rgb(labels, image, alpha=0.3, bg_label=0, saturation=1)
    tinted[find_boundaries(labels, mode="inner")] = (1.0, 0.85, 0.2)
    with atomic_write(path) as aside:
        PIL.Image.fromarray((255 * tinted.clip(0, 1)).astype(np.uint8)).save(aside)
