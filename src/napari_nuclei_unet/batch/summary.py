"""The summary of a run: a row for each image, in a table that is complete at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..io.atomic import atomic_write, removed_error
from ..io.tables import SPREADSHEET_ENCODING, read_saved_table, write_table
from .ownership import foreign_file_error, read_header

SUMMARY_FILE_NAME = "nuclei_summary.csv"
# So many columns the first version had.
FIRST_COLUMNS = 7


@dataclass(frozen=True)
class NucleiStatistics:
    """Statistics of the nuclei of an image; NaN: unknown.

    A nucleus is counted on each of its planes, or, in volumes, once in each.

    Attributes
    ----------
    density_per_mm2 : float
        Nuclei on the area that was segmented, the mean of all planes; NaN of volumes.
    mean_area, median_area : float
        In pixels.
    mean_area_um2, median_area_um2 : float
    mean_intensity : float
        Mean of the nuclei's means.
    touching_border : int
        Nuclei at the edge of the image.
    mean_volume, median_volume : float
        In voxels.
    mean_volume_um3, median_volume_um3 : float
    """

    density_per_mm2: float = np.nan
    mean_area: float = np.nan
    median_area: float = np.nan
    mean_area_um2: float = np.nan
    median_area_um2: float = np.nan
    mean_intensity: float = np.nan
    touching_border: int = 0
    mean_volume: float = np.nan
    median_volume: float = np.nan
    mean_volume_um3: float = np.nan
    median_volume_um3: float = np.nan


NO_STATISTICS = NucleiStatistics()


@dataclass(frozen=True)
class SummaryRow:
    """Row of the summary, for one image.

    Attributes
    ----------
    image, result : str
        Paths.
    planes, nuclei : int
    seconds : float
        Duration of this run.
    status : {"done", "skipped", "stopped", "failed"}
    error : str
        Message, or empty.
    statistics : NucleiStatistics
        A column each.
    left_out : int or float
        What was found beside the nuclei and is none by the parameters; NaN: it is not known.
    """

    image: str
    result: str = ""
    planes: int = 0
    nuclei: int = 0
    seconds: float = 0.0
    status: str = "done"
    error: str = ""
    statistics: NucleiStatistics = NO_STATISTICS
    left_out: int | float = float("nan")

    def to_columns(self) -> dict[str, Any]:
        """Return the values of all columns by name."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        left_out = own.pop("left_out")
        return own | asdict(own.pop("statistics")) | {"left_out": left_out}


@dataclass(frozen=True)
class Summary:
    """A table of all images of a run, in a file that is complete at any moment.

    Attributes
    ----------
    path : Path or None
        None: it is not written.
    decimal_comma : bool
        Whether it is for spreadsheets that write numbers so.
    rows : list of SummaryRow
    """

    path: Path | None
    decimal_comma: bool = False
    rows: list[SummaryRow] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise an error if the file exists and is no summary.

        Raises
        ------
        UserError
        """
        header = [] if self.path is None else read_header(self.path)
        columns = list(SummaryRow("").to_columns())
        # earlier versions had fewer columns, but never others
        ours = [columns[:count] for count in range(FIRST_COLUMNS, len(columns) + 1)]
        if self.path is not None and header not in ([], *ours):
            raise foreign_file_error(self.path)

    def add(self, row: SummaryRow) -> None:
        """Add a row, and replace the file.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self.rows.append(row)
        if self.path is not None:
            self._lines.append(self._format(row, header=not self._lines))
            self._write(self.path)

    def sort(self, images: Sequence[str]) -> None:
        """Sort the rows as these images are listed, and replace the file; others come last.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        places = {image: place for place, image in enumerate(images)}
        rows = sorted(self.rows, key=lambda row: places.get(row.image, len(places)))
        if rows == self.rows:
            return
        self.rows[:] = rows
        if self.path is not None:
            self._lines[:] = [self._format(row, not place) for place, row in enumerate(rows)]
            self._write(self.path)

    def _write(self, path: Path) -> None:
        if len(self.rows) > 1 and not path.is_file():
            raise removed_error(path)
        with atomic_write(path, create_folder=False) as aside:
            encoding = SPREADSHEET_ENCODING if self.decimal_comma else "utf-8"
            aside.write_bytes("".join(self._lines).encode(encoding, "backslashreplace"))

    def _format(self, row: SummaryRow, header: bool) -> str:
        """Return a row as a line of the file: all of them anew would take ever longer."""
        line = StringIO(newline="")
        table = pd.DataFrame([row.to_columns()])
        write_table(line, table, header, float_format=None, decimal_comma=self.decimal_comma)
        return line.getvalue()


def read_summary(path: Path) -> list[SummaryRow]:
    """Read the rows of a summary; none where there is none, or another table."""
    if not path.is_file():
        return []
    try:
        Summary(path).check()
        table = read_saved_table(path)
        return [_read_row(values) for values in table.to_dict("records")]
    except (UserError, OSError, ValueError):  # also where someone has edited numbers
        return []


def _read_row(values: dict[Any, Any]) -> SummaryRow:
    known = {str(name): value for name, value in values.items() if not pd.isna(value)}
    statistics = {
        name: known[name] for name in NucleiStatistics.__dataclass_fields__ if name in known
    }
    return SummaryRow(
        str(known.get("image", "")),
        str(known.get("result", "")),
        int(known.get("planes", 0)),
        int(known.get("nuclei", 0)),
        float(known.get("seconds", 0)),
        str(known.get("status", "")),
        str(known.get("error", "")),
        NucleiStatistics(**statistics),
        known.get("left_out", float("nan")),
    )
