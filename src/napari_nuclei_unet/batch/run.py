"""A run over image files: results are recorded, and not computed again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..io.atomic import atomic_write
from ..io.tables import SPREADSHEET_ENCODING, write_table
from ..progress import Step, Stop
from .in_memory import segment_in_memory_steps
from .job import ImageJob
from .outputs import Outcome
from .ownership import foreign_file_error, read_header
from .statistics import NO_STATISTICS, NucleiStatistics

if TYPE_CHECKING:
    from ..blockwise.run import ComputeBlocks

SUMMARY_FILE_NAME = "nuclei_summary.csv"
# So many columns the first version had.
FIRST_COLUMNS = 7
# Most unreadable parts that a message lists; the record has all.
MAX_REPORTED_FAILURES = 3


def segment_job_steps(
    job: ImageJob, overwrite: bool = False, compute: ComputeBlocks | None = None
) -> Generator[Step, Stop, Outcome]:
    """Segment an image into files, unless they exist already.

    Parameters
    ----------
    job : ImageJob
    overwrite : bool, optional
        Replace existing results.
    compute : callable, optional
        As in ``segment_blockwise_steps``; blocks are computed there.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    UserError
        If something cannot be used or written, existing labels were made with other flags, the
        image changes meanwhile or is gone, or the run is stopped. Finished blocks of an OME-Zarr
        are kept, and the next run resumes there.
    """
    if job.results.is_store:
        # takes a moment to load, and most images are in memory
        from .out_of_core import segment_out_of_core_steps

        return segment_out_of_core_steps(job, overwrite, compute)
    return segment_in_memory_steps(job, overwrite)


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
        if self.path is None:
            return
        self._lines.append(self._format(row, header=not self._lines))
        with atomic_write(self.path) as aside:
            encoding = SPREADSHEET_ENCODING if self.decimal_comma else "utf-8"
            aside.write_bytes("".join(self._lines).encode(encoding, "backslashreplace"))

    def _format(self, row: SummaryRow, header: bool) -> str:
        """Return a row as a line of the file: all of them anew would take ever longer."""
        line = StringIO(newline="")
        table = pd.DataFrame([row.to_columns()])
        write_table(line, table, header, float_format=None, decimal_comma=self.decimal_comma)
        return line.getvalue()


def describe_failures(outcome: Outcome) -> str:
    """Return which parts could not be read; empty if all could."""
    more = len(outcome.failed) - MAX_REPORTED_FAILURES
    messages = [
        *outcome.failed[:MAX_REPORTED_FAILURES],
        *([f"and {more} more parts"] if more > 0 else []),
    ]
    return "; ".join(messages)
