"""Results that were corrected by hand, saved into their own files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..export.save import save_with_table
from ..io.atomic import atomic_write
from ..io.labels import read_record
from ..io.tables import (
    SPREADSHEET_ENCODING,
    find_dialect,
    read_saved_table,
    read_table,
    write_table,
)
from .inputs import FileStamp, stamp_files
from .outputs import ResultPaths
from .ownership import CORRECTED_MARK
from .statistics import describe_table
from .summary import SUMMARY_FILE_NAME, SummaryRow

if TYPE_CHECKING:
    from ..export.result import Result

# In the record of a stack that somebody has corrected: which planes.
CORRECTED_PLANES_KEY = "corrected_planes"
StackPosition = tuple[int, ...]


@dataclass(frozen=True)
class SavedCorrections:
    """What is known of a result after its corrections were saved.

    Attributes
    ----------
    row : SummaryRow
    stamp : FileStamp
        Of the labels.
    notice : str
        Why the summary of the folder was left as it was; empty: it was not.
    """

    row: SummaryRow
    stamp: FileStamp
    notice: str = ""


def is_corrected(labels: Path) -> bool:
    """Return whether labels in a file were corrected by hand."""
    return bool((read_record(labels) or {}).get(CORRECTED_MARK))


def read_corrected_planes(record: dict[str, Any]) -> frozenset[StackPosition]:
    """Return the planes of a stack that were corrected, as a record says."""
    planes = record.get(CORRECTED_PLANES_KEY)
    if not isinstance(planes, list):
        return frozenset()
    return frozenset(
        tuple(plane) for plane in planes
        if isinstance(plane, list) and all(isinstance(at, int) for at in plane)
    )  # fmt: skip


def describe_corrections(
    labels: NDArray[np.integer], planes: Sequence[StackPosition]
) -> dict[str, Any]:
    """Return the entries of the record of labels that were corrected.

    Parameters
    ----------
    labels : ndarray, integer
    planes : sequence of tuple of int
        That were corrected, by their positions on all axes but the last two.
    """
    nuclei = np.unique(labels)
    entries = {CORRECTED_MARK: True, "nuclei": int(np.count_nonzero(nuclei))}
    if labels.ndim > 2:
        return entries | {CORRECTED_PLANES_KEY: sorted(map(list, planes))}
    return entries


def save_corrections(
    paths: ResultPaths, result: Result, stamp: FileStamp, row: SummaryRow
) -> SavedCorrections:
    """Save a corrected result into its own files; it still counts as done.

    The row of its image in the summary of the folder is corrected, too, if it is there.

    Parameters
    ----------
    paths : ResultPaths
    result : Result
        With its record, as of :func:`describe_corrections`.
    stamp : FileStamp
        Of the labels when they were read.
    row : SummaryRow
        As it was before.

    Raises
    ------
    UserError
        If the files were deleted or replaced meanwhile, or cannot be written. The corrections are
        in no file then.
    """
    labels = paths.known_labels
    _check_same(labels, stamp)
    area = _segmented_area(paths.table, row)
    save_with_table(labels, result, decimal_comma=_has_decimal_comma(paths.table))
    nuclei = result.record.get("nuclei", row.nuclei)
    # as it is in the file, where also nuclei that were never measured have their areas
    statistics = describe_table(read_saved_table(paths.table), area)
    row = replace(row, nuclei=nuclei, statistics=statistics)
    notice, stamp = "", stamp_files(labels)
    try:
        update_summary(labels.parent / SUMMARY_FILE_NAME, labels, row)
    except UserError as error:  # the corrections themselves are safe
        notice = str(error)
    return SavedCorrections(row, stamp, notice)


def _check_same(labels: Path, stamp: FileStamp) -> None:
    """Raise an error if labels are gone, or others by now."""
    try:
        is_same = stamp_files(labels) == stamp
    except OSError as error:
        raise UserError(
            f"The corrections are not saved, as {labels} is not there any more: save them with "
            "Save in Review nuclei."
        ) from error
    if not is_same:
        raise UserError(
            f"The corrections are not saved, as {labels} was written again meanwhile: save them "
            "under another name with Save in Review nuclei, or remove the layer."
        )


def _has_decimal_comma(table: Path) -> bool:
    return table.is_file() and bool(find_dialect(table))


def _segmented_area(table: Path, row: SummaryRow) -> float | None:
    """Return the area of all planes in mm2, as the density of before implies it."""
    density = row.statistics.density_per_mm2
    if not (math.isfinite(density) and density > 0 and table.is_file()):
        return None
    return len(read_saved_table(table, ("label",))) / density


def update_summary(path: Path, labels: Path, row: SummaryRow) -> None:
    """Replace the row of a result in the summary of a folder; of no summary, or without it, none.

    Parameters
    ----------
    path : Path
        Of the summary.
    labels : Path
        Of the result.
    row : SummaryRow

    Raises
    ------
    UserError
        If it cannot be read or written.
    """
    if not path.is_file():
        return
    dialect = find_dialect(path)
    # as text, so that all other cells stay as they are
    table = read_saved_table(path, dtype=str, keep_default_na=False)
    if "result" not in table:
        return
    # by name, which is the result's own in its folder, as that may have been moved
    is_row = [PureWindowsPath(result).name == labels.name for result in table["result"]]
    if not any(is_row):
        return
    cells = _format_cells(row, bool(dialect))
    for name in cells:
        if name in table and name not in ("image", "result"):
            table.loc[is_row, name] = cells[name]
    encoding = SPREADSHEET_ENCODING if dialect else "utf-8"
    with (
        atomic_write(path) as aside,
        aside.open("w", newline="", encoding=encoding, errors="backslashreplace") as file,
    ):
        write_table(file, table, decimal_comma=bool(dialect))


def _format_cells(row: SummaryRow, decimal_comma: bool) -> dict[str, str]:
    """Return the text of each cell of a row, as a run would write it."""
    text = StringIO(newline="")
    columns = pd.DataFrame([row.to_columns()])
    write_table(text, columns, float_format=None, decimal_comma=decimal_comma)
    text.seek(0)
    options = {"sep": ";"} if decimal_comma else {}
    cells = read_table(text, dtype=str, keep_default_na=False, **options)
    return {str(name): str(cells[name].iloc[0]) for name in cells}
