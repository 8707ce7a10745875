"""Units of the columns of a table of nuclei."""

from __future__ import annotations

from .regionprops import LENGTH_COLUMNS
from .surroundings import RING_AREA_COLUMN
from .volume_regionprops import VOLUME_COLUMN, VOLUME_LENGTH_COLUMNS

_LENGTHS = {*LENGTH_COLUMNS, *VOLUME_LENGTH_COLUMNS, "centroid_z", "centroid_y", "centroid_x"}
# What follows the unit of lengths, such as in µm².
_POWERS = {"area": "²", "surface_area": "²", VOLUME_COLUMN: "³"}
_MICROMETERS = {"_um": "µm", "_um2": "µm²", "_um3": "µm³"}
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
    for ending, unit in _MICROMETERS.items():
        if column.endswith(ending):
            return unit
    if column in _LENGTHS:
        return length
    return f"{length}{_POWERS[column]}" if length and column in _POWERS else ""
