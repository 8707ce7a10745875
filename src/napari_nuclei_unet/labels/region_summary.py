"""Counts, densities and means of the nuclei in regions of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

WHOLE_FIELD = "whole field"
MM2_PER_UM2 = 1e-6


@dataclass(frozen=True, eq=False)
class NamedOutline:
    """A region.

    Attributes
    ----------
    name : str
    outline : ndarray, shape (n, 2)
        Vertices (y, x) of a polygon in pixels; whole numbers are centres of pixels.
    """

    name: str
    outline: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class PlaneNuclei:
    """Nuclei of a plane; each array has one element a nucleus.

    Attributes
    ----------
    shape : (int, int)
        Of the plane, in pixels.
    centroids : ndarray, shape (n, 2)
        (y, x) in pixels.
    values : ndarray, shape (n,)
        Of the column whose means are computed; NaN where unknown.
    is_inside : ndarray, shape (n,), bool, or None
        Which are within limits; None: there are none.
    micrometers : (float, float) or None
        Size of a pixel along Y and X, if known.
    """

    shape: tuple[int, int]
    centroids: NDArray[np.floating]
    values: NDArray[np.floating]
    is_inside: NDArray[np.bool_] | None = None
    micrometers: tuple[float, float] | None = None


def summarize_regions(nuclei: PlaneNuclei, regions: Sequence[NamedOutline]) -> pd.DataFrame:
    """Summarize the nuclei whose centroid is in a region, for each region and the whole plane.

    Returns
    -------
    pandas.DataFrame
        A row for each region, and the last for the whole plane: ``region``; ``nuclei``, their
        number; with limits ``within_limits`` and ``percent_within`` of the values that are known;
        ``area_mm2`` and ``nuclei_per_mm2``, or, where the size of a pixel is unknown,
        ``area_px2`` and ``nuclei_per_px2``, of the part of a region that lies in the plane; and
        ``mean`` of the values that are known.
    """
    import pandas as pd  # here and below: libraries that take longer to load than a dock

    rows = [
        _summarize(nuclei, one.name, _contains(one.outline, nuclei.centroids),
                   _clipped_area(one.outline, nuclei.shape))
        for one in regions
    ]  # fmt: skip
    everywhere = np.ones(len(nuclei.centroids), bool)
    area = float(nuclei.shape[0] * nuclei.shape[1])
    return pd.DataFrame([*rows, _summarize(nuclei, WHOLE_FIELD, everywhere, area)])


def _summarize(
    nuclei: PlaneNuclei, name: str, chosen: NDArray[np.bool_], pixels: float
) -> dict[str, str | float]:
    size, unit = nuclei.micrometers, "px2" if nuclei.micrometers is None else "mm2"
    area = pixels if size is None else pixels * size[0] * size[1] * MM2_PER_UM2
    count, known = int(chosen.sum()), chosen & np.isfinite(nuclei.values)
    limited: dict[str, str | float] = {}
    if nuclei.is_inside is not None:
        within = int((known & nuclei.is_inside).sum())
        percent = 100 * within / int(known.sum()) if known.any() else np.nan
        limited = {"within_limits": within, "percent_within": percent}
    return {
        "region": name,
        "nuclei": count,
        **limited,
        f"area_{unit}": area,
        f"nuclei_per_{unit}": count / area if area else np.nan,
        "mean": float(nuclei.values[known].mean()) if known.any() else np.nan,
    }


def _contains(outline: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which points lie in a polygon."""
    from skimage.measure import points_in_poly

    return np.asarray(points_in_poly(points, outline), bool)


def _clipped_area(outline: NDArray[np.floating], shape: tuple[int, int]) -> float:
    """Return the area of the part of a polygon that lies in a plane, in pixels."""
    for axis, size in enumerate(shape):
        for side, end in ((-1, 0.5), (1, size - 0.5)):
            outline = _clip_polygon(outline, axis, side, end)
    return _polygon_area(outline)


def _clip_polygon(
    vertices: NDArray[np.floating], axis: int, side: int, end: float
) -> NDArray[np.floating]:
    """Return the part of a polygon that lies on one side of a line along an axis.

    References
    ----------
    .. [1] Sutherland, Hodgman, "Reentrant polygon clipping", Commun. ACM 17, 32-42 (1974),
           doi:10.1145/360767.360802
    """
    following = np.roll(vertices, -1, axis=0)
    depth, next_depth = (end - side * points[:, axis] for points in (vertices, following))
    crosses = (depth >= 0) != (next_depth >= 0)
    share = np.divide(depth, depth - next_depth, out=np.zeros_like(depth), where=crosses)
    crossings = vertices + share[:, None] * (following - vertices)
    both = np.stack([vertices, crossings], axis=1).reshape(-1, 2)
    return both[np.stack([depth >= 0, crosses], axis=1).ravel()]


def _polygon_area(vertices: NDArray[np.floating]) -> float:
    """Return the area of a polygon: no library that is needed anyway has it in public."""
    y, x = vertices.T
    return abs(float(y @ np.roll(x, -1) - x @ np.roll(y, -1))) / 2
