"""Features of planes that were segmented block by block, from the file beside their labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_nuclei_unet.widgets.layers.feature_rows import FeatureRows, select_rows
from napari_nuclei_unet.widgets.layers.measurements import BoxMeasurements

if TYPE_CHECKING:
    import pandas as pd

# Columns in pixels, and columns that depend on the aspect ratio of a pixel.
LENGTH_COLUMNS = ("perimeter", "equivalent_diameter", "major_axis", "minor_axis")
SHAPE_COLUMNS = ("perimeter", "major_axis", "minor_axis", "eccentricity")


def read_features_csv(path: Path) -> pd.DataFrame:
    """Read the table that a journal has written; may run in a thread."""
    import pandas as pd  # importing it takes long, and few tables are read

    return pd.read_csv(path)


def select_plane_rows(
    table: pd.DataFrame,
    columns: dict[str, int],
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> BoxMeasurements:
    """Select the nuclei of one plane, in the units of its layer.

    Parameters
    ----------
    table : pandas.DataFrame
        Lengths in pixels.
    columns : dict of str to int
        Position of the plane in each column of axes.
    shape : (int, int)
        Of the plane, in pixels.
    spacing : (float, float)
        Size of a pixel. Where it is not square, lengths are unknown.

    Returns
    -------
    rows : dict of str to ndarray, shape (n,)
    boxes : ndarray, shape (n, 4), int
        They enclose the nuclei: the file has no exact ones.
    """
    on_plane = np.ones(len(table), bool)
    for name, at in columns.items():
        on_plane &= (table[name] == at).to_numpy()
    rows: FeatureRows = {name: column.to_numpy() for name, column in table[on_plane].items()
                  if name not in columns}  # fmt: skip
    rows = select_rows(rows, np.argsort(rows["label"], kind="stable"))
    half = rows["major_axis"] + 2
    boxes = np.stack(
        [
            np.clip(np.floor(rows["centroid_y"] - half), 0, shape[0]),
            np.clip(np.floor(rows["centroid_x"] - half), 0, shape[1]),
            np.clip(np.ceil(rows["centroid_y"] + half) + 1, 0, shape[0]),
            np.clip(np.ceil(rows["centroid_x"] + half) + 1, 0, shape[1]),
        ],
        axis=1,
    ).astype(np.int64)
    return _scale_rows(rows, spacing), boxes


def _scale_rows(rows: FeatureRows, spacing: tuple[float, float]) -> FeatureRows:
    """Convert rows from pixels to units of length."""
    height, width = spacing
    size = float(np.sqrt(height * width))
    if size == 1 and height == width:
        return rows
    lengths = {name: rows[name] * size for name in LENGTH_COLUMNS}
    scaled = rows | lengths | {"area": rows["area"] * size**2}
    if not np.isclose(height, width):
        scaled |= {name: np.full(len(rows["label"]), np.nan) for name in SHAPE_COLUMNS}
    return scaled
