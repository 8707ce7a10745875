"""All nuclei of all images: in one table, and as pooled numbers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.tables import read_saved_table, write_table
from ..progress import Step, Stop, check_interruption

IMAGE_COLUMN = "image"
PER_IMAGE_NAME = "nuclei_per_image"
# Columns of tables of nuclei of which no mean is wanted: numbers and places.
PLACE_COLUMNS = ("label", "t", "z", "track", "parent", "lineage")
PLACE_PREFIXES = ("centroid_", "bbox_")


@dataclass(frozen=True)
class NucleiTable:
    """The table of the nuclei of an image.

    Attributes
    ----------
    image : str
    path : Path
    """

    image: str
    path: Path


def save_all_nuclei_steps(tables: Sequence[NucleiTable], path: Path) -> Generator[Step, Stop, int]:
    """Save the nuclei of all images in one table, with a column that names the image.

    Columns that only some images have are empty for the others.

    Returns
    -------
    int
        Number of nuclei.

    Raises
    ------
    UserError
        If a table cannot be read, or the file cannot be written.
    """
    total = 2 * len(tables)
    columns: dict[str, None] = {IMAGE_COLUMN: None}
    for done, one in enumerate(tables):
        yield Step(done, total)
        columns |= dict.fromkeys(_read(one, nrows=0))
    count = 0
    with atomic_write(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        for done, one in enumerate(tables):
            yield Step(len(tables) + done, total)
            table = _read(one).assign(**{IMAGE_COLUMN: one.image})
            count += len(table)
            write_table(file, table.reindex(columns=list(columns)), header=done == 0)
    yield Step(total, total)
    return count


def save_pooled_steps(tables: Sequence[NucleiTable], path: Path) -> Generator[Step, Stop, int]:
    """Save how the nuclei of all images are: of each column mean, standard deviation, quartiles.

    Returns, and errors, as of :func:`save_all_nuclei_steps`.
    """
    values: dict[str, list[NDArray[np.float64]]] = {}
    counts: list[int] = []
    for done, one in enumerate(tables):
        yield Step(done, len(tables))
        table = _read(one)
        counts.append(len(table))
        for name in _list_measured(table):
            values.setdefault(name, []).append(table[name].to_numpy(np.float64))
    pooled = {PER_IMAGE_NAME: np.array(counts, np.float64)} | {
        name: np.concatenate(parts) for name, parts in values.items()
    }
    rows = [{"column": name} | _describe(one) for name, one in pooled.items()]
    with atomic_write(path) as aside:
        write_table(aside, pd.DataFrame(rows))
    yield Step(len(tables), len(tables))
    return sum(counts)


def _read(one: NucleiTable, nrows: int | None = None) -> pd.DataFrame:
    check_interruption()
    try:
        return read_saved_table(one.path, nrows=nrows)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"The table {one.path} cannot be read ({reason}): segment its image again."
        ) from error


def _list_measured(table: pd.DataFrame) -> list[str]:
    return [
        name
        for name in table
        if table[name].dtype.kind in "iuf"
        and name not in PLACE_COLUMNS
        and not name.startswith(PLACE_PREFIXES)
    ]


def _describe(values: NDArray[np.float64]) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return {"count": 0}
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75)).tolist()
    return {
        "count": known.size,
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if known.size > 1 else np.nan,
        "median": middle,
        "quartile_1": low,
        "quartile_3": high,
        "min": float(known.min()),
        "max": float(known.max()),
    }
