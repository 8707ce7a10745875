"""The table of planes that were segmented block by block, from the file beside their labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_nuclei_unet.widgets.layers.feature_rows import FeatureRows, select_rows
from napari_nuclei_unet.widgets.layers.measurements import BoxMeasurements

if TYPE_CHECKING:
    import pandas as pd

# What is measured in pixels, and what depends on how these are stretched.
LENGTH_COLUMNS = ("perimeter", "equivalent_diameter", "major_axis", "minor_axis")
SHAPE_COLUMNS = ("perimeter", "major_axis", "minor_axis", "eccentricity")


def read_features_csv(path: Path) -> pd.DataFrame:
    """Read the table that a journal has kept; may run in a thread."""
    import pandas as pd

    return pd.read_csv(path)


def select_plane_rows(
    table: pd.DataFrame,
    columns: dict[str, int],
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> BoxMeasurements:
    """Give the nuclei of one plane, in the units of its layer.

    Parameters
    ----------
    table : pandas.DataFrame
        Lengths in pixels.
    columns : dict of str to int
        Say which plane it is.
    shape : (int, int)
        Of the plane, in pixels.
    spacing : (float, float)
        Size of a pixel. Where it is not the same both ways, lengths are not known.

    Returns
    -------
    rows : dict of str to ndarray, shape (n,)
    boxes : ndarray, shape (n, 4), int
        Wide enough for each nucleus: exact ones are not in the file.
    """
    here = np.ones(len(table), bool)
    for name, at in columns.items():
        here &= (table[name] == at).to_numpy()
    rows: FeatureRows = {name: column.to_numpy() for name, column in table[here].items()
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
    """Rows in units of length instead of pixels."""
    height, width = spacing
    size = float(np.sqrt(height * width))
    if size == 1 and height == width:
        return rows
    made = (
        rows
        | {name: rows[name] * size for name in LENGTH_COLUMNS}
        | {"area": rows["area"] * size**2}
    )
    if not np.isclose(height, width):
        made |= {name: np.full(len(rows["label"]), np.nan) for name in SHAPE_COLUMNS}
    return made
