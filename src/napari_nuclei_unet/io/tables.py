"""Tables as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

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
    with path.open("w", newline="", encoding="utf-8") as file:
        write_rows(file, table)


def write_rows(file: TextIO, table: dict[str, NDArray[Any]], header: bool = True) -> None:
    """Write the rows of a table, as in :func:`write_table`, into a file that is open."""
    writer = csv.writer(file)
    if header:
        writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow(f"{x:.9g}" if isinstance(x, np.floating) else x for x in row)
