"""Units of the columns of a table of nuclei."""

from __future__ import annotations

from .regionprops import LENGTH_COLUMNS
from .surroundings import RING_AREA_COLUMN

_LENGTHS = {*LENGTH_COLUMNS, "centroid_y", "centroid_x"}
# Columns that have the same unit in every table.
_FIXED = {"orientation": "rad", RING_AREA_COLUMN: "px²", "nearest_distance": "px"}


def find_column_unit(column: str, length: str) -> str:
    """Return the sign of the unit of a column; empty, where it has none or nobody knows it.

    Parameters
    ----------
    column : str
    length : str
        Sign of the unit in which lengths of the table are, such as "µm"; empty if unknown.
    """
    if column in _FIXED:
        return _FIXED[column]
    if column.endswith(("_um", "_um2")):
        return "µm²" if column.endswith("2") else "µm"
    if column in _LENGTHS:
        return length
    return f"{length}²" if length and column == "area" else ""
