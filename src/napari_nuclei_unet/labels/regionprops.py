"""The table of nuclei: all nuclei of a plane are measured at once.

Pixels are only summed along runs (``labels.run_lengths``); all else is computed from runs, of which
there are far fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.quantization import UNIT_STEPS
from ..errors import UserError
from .intensities import compute_intensities, iter_run_values
from .run_lengths import RunLengths, encode_run_lengths
from .shape import HullRows, find_hull_rows, perimeter

if TYPE_CHECKING:
    import pandas as pd

# Says whether a nucleus has a pixel at the edge of the plane.
BORDER_COLUMN = "touches_border"
# Columns of lengths, in units of the spacing.
LENGTH_COLUMNS = (
    "perimeter", "equivalent_diameter", "major_axis", "minor_axis", "feret_diameter",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """Position of a part in a plane.

    Attributes
    ----------
    spacing : (float, float)
        Size of a pixel along Y and X, in any unit.
    offset : (int, int)
        Position of the part's first pixel in the plane.
    shape : (int, int) or None
        Of the whole plane; None: it ends where the part does.
    micrometers : (float, float) or None
        Size of a pixel along Y and X in micrometers, if known.
    """

    spacing: tuple[float, float] = (1.0, 1.0)
    offset: tuple[int, int] = (0, 0)
    shape: tuple[int, int] | None = None
    micrometers: tuple[float, float] | None = None


WHOLE_PLANE_FRAME = Frame()


def measure(
    labels: NDArray[np.integer],
    image: NDArray[np.generic] | None,
    nucleus: NDArray[np.floating] | NDArray[np.uint16] | None = None,
    frame: Frame = WHOLE_PLANE_FRAME,
    channels: Sequence[str] = (),
) -> pd.DataFrame:
    """Measure every nucleus of a plane, or of a part of it.

    Shapes are those of ``skimage.measure.regionprops``, for any spacing.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background, else the id of a nucleus, which may be in several pieces.
    image : ndarray, shape (Y, X) or (Y, X, C), or None
        Intensities. NaN and infinity, which no segmented nucleus contains, count as 0.
    nucleus : ndarray, shape (Y, X), floating, values 0 to 1, or uint16, or None
        Predicted probability of nucleus; of integers, 65535 is 1.
    frame : Frame
    channels : sequence of str, length C
        Their names; "0", "1" and so on where they are not unique.

    Returns
    -------
    pandas.DataFrame
        A row for each nucleus, in the order of ids: ``label``; ``centroid_y`` and ``centroid_x`` in
        pixels of the plane; ``area`` (int64 where a pixel is 1 by 1), ``perimeter``,
        ``equivalent_diameter``, ``major_axis`` and ``minor_axis`` in units of the spacing;
        ``eccentricity`` (0 is a circle), 0 to 1; ``orientation``, the angle from the Y axis to
        the major axis, -pi/2 to pi/2; ``aspect_ratio``, of the major to the minor axis, 1 or more;
        ``circularity``, 4 pi area / perimeter ** 2 (1 is a circle), and NaN like the ratio where
        it divides by 0; ``feret_diameter``, the largest distance between points of the outline,
        in units of the spacing; ``solidity`` (1 is convex), 0 to 1. With an image
        ``mean_intensity``, of several channels their mean; ``min_``, ``max_``, ``std_``,
        ``median_`` and ``integrated_intensity`` (the sum), of several channels all for each, named
        as in ``mean_intensity_0``. ``confidence``, the mean probability, 0 to 1, or NaN; and
        ``touches_border``, whether it has a pixel at the plane's edge. Where the frame has
        micrometers, also ``centroid_y_um``, ``centroid_x_um``, ``area_um2`` and all lengths, such
        as ``perimeter_um``. Without nuclei it has all
        columns, and no row.

    Raises
    ------
    UserError
        If they are not of one plane.
    """
    import pandas as pd  # takes longer to load than a dock

    check_measured_shapes(labels, "YX", image=image, probability=nucleus)
    runs = encode_run_lengths(labels)
    hull = find_hull_rows(runs)
    compute_shapes = partial(_compute_shapes, runs, labels, hull)
    y, x = _compute_centroids(runs)
    centroids = {"centroid_y": y + frame.offset[0], "centroid_x": x + frame.offset[1]}
    shapes = compute_shapes(frame.spacing)
    return pd.DataFrame(
        {
            "label": runs.ids,
            **centroids,
            **shapes,
            "solidity": runs.area / hull.area,
            **({} if image is None else compute_intensities(runs, labels, image, channels)),
            "confidence": mean_probability(runs, labels, nucleus),
            BORDER_COLUMN: _touches_border(runs.boxes, labels.shape, frame),
            **_convert_to_micrometers(centroids, shapes, compute_shapes, frame),
        }
    )


def check_measured_shapes(
    labels: NDArray[np.integer], axes: str, **pixels: NDArray[Any] | None
) -> None:
    """Raise an error if labels have other axes, or are not of the shape of some pixels.

    Raises
    ------
    UserError
        With both shapes.
    """
    if labels.ndim != len(axes):
        raise UserError(f"Give labels of shape ({', '.join(axes)}), not {labels.shape}.")
    for name, values in pixels.items():
        if values is not None and values.shape[: len(axes)] != labels.shape:
            raise UserError(
                f"The labels have the shape {labels.shape}, but the {name} {values.shape}: give "
                "both of the same pixels."
            )


def _compute_shapes(
    runs: RunLengths, labels: NDArray[np.integer], hull: HullRows, spacing: tuple[float, float]
) -> dict[str, NDArray[Any]]:
    """Compute the columns of shapes, in units of a spacing."""
    area = runs.area if spacing == (1, 1) else runs.area * float(np.prod(spacing))
    around, axes = perimeter(runs, labels, spacing), _compute_ellipses(runs, spacing)
    return {
        "area": area,
        "perimeter": around,
        "equivalent_diameter": np.sqrt(4 / np.pi * area),
        **axes,
        "aspect_ratio": _divide(axes["major_axis"], axes["minor_axis"]),
        "circularity": _divide(4 * np.pi * area, around**2),
        "feret_diameter": hull.feret_diameter(spacing),
    }


def _convert_to_micrometers(
    centroids: dict[str, NDArray[np.float64]],
    shapes: dict[str, NDArray[Any]],
    compute_shapes: Callable[[tuple[float, float]], dict[str, NDArray[Any]]],
    frame: Frame,
) -> dict[str, NDArray[np.float64]]:
    """Compute the columns in micrometers; none if the size of a pixel is unknown."""
    if (size := frame.micrometers) is None:
        return {}
    ratio = size[0] / frame.spacing[0]
    if not np.isclose(ratio, size[1] / frame.spacing[1], rtol=1e-9):
        shapes, ratio = compute_shapes(size), 1.0
    at = {f"{name}_um": value * size[n] for n, (name, value) in enumerate(centroids.items())}
    lengths = {f"{name}_um": shapes[name] * ratio for name in LENGTH_COLUMNS}
    return {**at, "area_um2": shapes["area"] * ratio**2, **lengths}


def _divide(one: NDArray[Any], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; NaN where the divisor is 0, as of a nucleus that is a line or a pixel."""
    return np.divide(one, other, out=np.full(other.shape, np.nan), where=other > 0)


def bounding_boxes(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the bounding box of every nucleus.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background.

    Returns
    -------
    ids : ndarray, shape (n,)
        Ascending.
    boxes : ndarray, shape (n, 4)
        Top, left, bottom and right in pixels; bottom and right are exclusive.
    """
    runs = encode_run_lengths(labels)
    return runs.ids, runs.boxes


def _compute_centroids(runs: RunLengths) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return runs.mean(runs.lengths * runs.rows), runs.mean(runs.lengths * runs.middles)


def _compute_ellipses(
    runs: RunLengths, spacing: tuple[float, float]
) -> dict[str, NDArray[np.float64]]:
    """Compute axes and direction of ellipses with the same second moments."""
    length, middle = runs.lengths, runs.middles
    centroid_y, centroid_x = _compute_centroids(runs)
    y, x = runs.rows - centroid_y[runs.owner], middle - centroid_x[runs.owner]
    yy = runs.mean(length * y * y) * spacing[0] ** 2
    xx = runs.mean(length * (x * x + (length**2 - 1) / 12)) * spacing[1] ** 2
    yx = runs.mean(length * y * x) * spacing[0] * spacing[1]
    half = (yy + xx) / 2
    apart = np.minimum(np.hypot((yy - xx) / 2, yx), half)  # more is a rounding error
    largest = half + apart
    return {
        "major_axis": 4 * np.sqrt(largest),
        "minor_axis": 4 * np.sqrt(half - apart),
        "eccentricity": np.sqrt(2 * apart / np.where(largest > 0, largest, 1)),
        "orientation": np.arctan2(2 * yx, yy - xx) / 2,
    }


def mean_probability(
    runs: RunLengths, labels: NDArray[np.integer], nucleus: NDArray[Any] | None
) -> NDArray[np.float64]:
    """Compute the mean probability of each nucleus, or NaN where the map is not given.

    The map is floating, or uint16 in steps of 1/65535, which is converted a band at a time.
    """
    if nucleus is None:
        return np.full(runs.ids.size, np.nan)
    total = np.zeros(runs.rows.size)
    for some, values, _, at in iter_run_values(runs, labels, nucleus):
        total[some] = np.add.reduceat(values, at)
    return runs.mean(total) / (UNIT_STEPS if nucleus.dtype == np.uint16 else 1)


def _touches_border(
    boxes: NDArray[np.int64], shape: tuple[int, ...], frame: Frame
) -> NDArray[np.bool_]:
    """Return which boxes of a part touch the border of the plane."""
    offset = np.array(frame.offset)
    ends = offset + shape if frame.shape is None else np.array(frame.shape)
    low, high = boxes[:, :2] + offset, boxes[:, 2:] + offset
    return np.asarray(((low == 0) | (high == ends)).any(axis=1))
