"""The table of nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

_COLUMNS = {
    "label": "label",
    "centroid-0": "centroid_y",
    "centroid-1": "centroid_x",
    "area": "area",
    "equivalent_diameter_area": "equivalent_diameter",
    "mean_intensity-0": "mean_intensity",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "mean_intensity-1": "confidence",
}


def measure(
    labels: NDArray[np.integer], image: NDArray[np.generic], nucleus: NDArray[np.floating]
) -> dict[str, NDArray[Any]]:
    """Measure every nucleus of one plane.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background.
    image : ndarray, shape (Y, X) or (Y, X, C)
        Intensities; of several channels the mean is measured. NaN and infinity, which no
        nucleus of ours contains, count as 0.
    nucleus : ndarray, shape (Y, X), floating, values 0 to 1
        Predicted probability of nucleus.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``label``; ``centroid_y``, ``centroid_x`` and ``equivalent_diameter`` in pixels;
        ``area`` in pixels; ``mean_intensity``; ``eccentricity`` (0 is a circle) and
        ``solidity`` (1 is convex), both 0 to 1; ``confidence``, the mean probability, 0 to 1.
    """
    grey = image if image.ndim == 2 else image.mean(axis=-1)
    intensities = np.stack(
        [np.nan_to_num(grey.astype(np.float64), posinf=0, neginf=0), nucleus], axis=-1
    )
    properties = (
        "label",
        "centroid",
        "area",
        "equivalent_diameter_area",
        "mean_intensity",
        "eccentricity",
        "solidity",
    )
    table = regionprops_table(labels, intensities, properties=properties)
    columns = {name: np.asarray(table[key]) for key, name in _COLUMNS.items()}
    return columns | {"area": columns["area"].astype(np.int64)}


def measure_quickly(
    labels: NDArray[np.integer],
    image: NDArray[np.generic],
    nucleus: NDArray[np.floating],
    offset: tuple[int, ...] = (0, 0),
) -> dict[str, NDArray[Any]]:
    """Measure what can be counted in one pass: of :func:`measure` all but the shape.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background, nuclei are 1..n.
    image, nucleus
        As in :func:`measure`.
    offset : (int, int)
        Place of the first pixel, in pixels.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``label``, ``centroid_y``, ``centroid_x``, ``area``, ``equivalent_diameter``,
        ``mean_intensity`` and ``confidence``.
    """
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    area = np.bincount(ids)[1:]
    present = area > 0

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return (np.bincount(ids, values)[1:] / np.maximum(area, 1))[present]

    inside = image[rows, columns]
    grey = inside if inside.ndim == 1 else inside.mean(axis=-1)
    return {
        "label": np.flatnonzero(present) + 1,
        "centroid_y": mean(rows) + offset[0],
        "centroid_x": mean(columns) + offset[1],
        "area": area[present].astype(np.int64),
        "equivalent_diameter": np.sqrt(4 * area[present] / np.pi),
        "mean_intensity": mean(np.nan_to_num(grey.astype(np.float64), posinf=0, neginf=0)),
        "confidence": mean(nucleus[rows, columns].astype(np.float64)),
    }
