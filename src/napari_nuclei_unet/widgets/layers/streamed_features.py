"""Features of planes that were segmented block by block, from the file beside their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...labels.regionprops import LENGTH_COLUMNS
from .measurements import BOX_COLUMNS, CENTROID_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

# Columns that depend on the aspect ratio of a pixel.
SHAPE_COLUMNS = [
    "perimeter", "major_axis", "minor_axis", "eccentricity", "orientation", "aspect_ratio",
    "circularity", "feret_diameter",
]  # fmt: skip


def drop_micrometers(table: pd.DataFrame) -> pd.DataFrame:
    """Drop the columns of a file that have measurements once more, in micrometers."""
    names = {f"{name}{unit}" for name in table for unit in ("_um", "_um2", "_um3")}
    return table.drop(columns=[name for name in table if name in names])


def select_plane_rows(
    table: pd.DataFrame,
    columns: dict[str, int],
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> pd.DataFrame:
    """Select the nuclei of one plane, in the units of its layer.

    Parameters
    ----------
    table : pandas.DataFrame
        As a journal has written it, with lengths in pixels.
    columns : dict of str to int
        Position of the plane in each column of axes.
    shape : (int, int)
        Of the plane, in pixels.
    spacing : (float, float)
        Size of a pixel. Where it is not square, lengths are unknown.

    Returns
    -------
    pandas.DataFrame
        With ``BOX_COLUMNS``, which enclose the nuclei: the file has no exact ones.
    """
    table = drop_micrometers(table)
    on_plane = (table[list(columns)] == list(columns.values())).all(axis=1)
    rows = table[on_plane].drop(columns=list(columns)).sort_values("label", ignore_index=True)
    centres = rows[CENTROID_COLUMNS].to_numpy(np.float64)
    half = rows[["major_axis"]].to_numpy(np.float64) + 2
    boxes = np.hstack([np.floor(centres - half), np.ceil(centres + half) + 1])
    rows[BOX_COLUMNS] = np.clip(boxes, 0, [*shape, *shape]).astype(np.int64)
    size = float(np.sqrt(np.prod(spacing)))
    lengths, shapes = ([name for name in names if name in rows]  # earlier versions had fewer
                       for names in (LENGTH_COLUMNS, SHAPE_COLUMNS))  # fmt: skip
    if spacing != (1, 1):
        rows[lengths] *= size
        rows["area"] = rows["area"] * size**2
    if not np.isclose(*spacing):
        rows[shapes] = np.nan
    return rows
