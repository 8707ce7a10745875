"""Statistics of the nuclei of an image, for the summary of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays.boxes import full_box
from ..arrays.tiling import split_box
from ..errors import UserError
from ..io.tables import read_saved_table
from ..labels.volume_regionprops import VOLUME_COLUMN
from .summary import NO_STATISTICS, NucleiStatistics

if TYPE_CHECKING:
    import pandas as pd

    from .job import ImageJob

# Columns of the table of nuclei that are needed.
SIZE_COLUMNS = ("area", "area_um2", VOLUME_COLUMN, "volume_um3")
COLUMNS = (*SIZE_COLUMNS, "mean_intensity", "touches_border")
# Edge of the squares of a plane in which the pixels of a region are counted.
REGION_SQUARE = 4096
SUMMARY_DIGITS = 6


def describe_nuclei(job: ImageJob) -> NucleiStatistics:
    """Compute the statistics of the nuclei of a job that is done, from its table.

    A table that cannot be read, as it was edited since, has none.
    """
    try:
        table = read_saved_table(job.results.table, COLUMNS)
    except (UserError, OSError):
        return NO_STATISTICS
    planes = len(job.selection.plane_indices)
    area = None if VOLUME_COLUMN in table else _segmented_area(job)
    return describe_table(table, None if area is None else planes * area)


def describe_table(table: pd.DataFrame, area: float | None) -> NucleiStatistics:
    """Compute the statistics of a table of nuclei.

    Parameters
    ----------
    table : pandas.DataFrame
        Has some of ``COLUMNS``.
    area : float or None
        Of all planes together that were segmented, in mm2, if it is known.
    """
    means = {
        f"{statistic}_{name}": _round(getattr(table[name], statistic)())
        for name in SIZE_COLUMNS
        for statistic in ("mean", "median")
        if _is_numeric(table, name)
    }
    if _is_numeric(table, "mean_intensity"):
        means["mean_intensity"] = _round(table["mean_intensity"].mean())
    return NucleiStatistics(
        density_per_mm2=np.nan if area is None else _round(len(table) / area),
        touching_border=_count_true(table, "touches_border"),
        **means,
    )


def _count_true(table: pd.DataFrame, name: str) -> int:
    return int(table[name].eq(True).sum()) if name in table else 0


def _is_numeric(table: pd.DataFrame, name: str) -> bool:
    return name in table and table[name].dtype.kind in "iuf"


def _round(value: float) -> float:
    return float(f"{value:.{SUMMARY_DIGITS}g}")


def _segmented_area(job: ImageJob) -> float | None:
    """Return the area of a plane, or of its region, in mm2; None if unknown."""
    size = job.grid.micrometers
    if size is None:
        return None
    height, width = job.grid.shape[-2:]
    pixels = height * width
    if job.settings.region is not None:
        region = job.settings.region.scaled(job.full_size, (height, width))
        squares = split_box(full_box((height, width)), REGION_SQUARE, REGION_SQUARE)
        pixels = sum(int(region.part(square).sum()) for square in squares)
    return pixels * size[0] * size[1] / 1e6 if pixels else None
