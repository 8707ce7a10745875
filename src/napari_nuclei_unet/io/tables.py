"""Tables as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_table(path: Path, table: dict[str, NDArray[Any]]) -> None:
    """Write a table as CSV.

    Parameters
    ----------
    path : Path
    table : dict of str to ndarray, shape (n,)
        Columns, as from ``labels.regionprops.measure``.
    """
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            writer.writerow(f"{x:.9g}" if isinstance(x, np.floating) else x for x in row)
