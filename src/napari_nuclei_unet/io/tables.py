"""Tables as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UserError
from .atomic import atomic_write
from .openable import check_openable

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIX, TRACKS_SUFFIX = "_nuclei.csv", "_tracks.csv"
LINEAGE_SUFFIX = "_lineage.csv"
TRACK_GRAPH_SUFFIX = "_tracks.geff"
# Columns of classes end so; in their rows stands text such as "Ki67: positive".
CLASS_SUFFIX = "_class"
# How spreadsheets write tables where numbers have a decimal comma; options of pandas.
DECIMAL_COMMA = {"sep": ";", "decimal": ","}
# Of UTF-8: with it spreadsheets read a file as that.
SPREADSHEET_ENCODING = "utf-8-sig"
# What Excel writes in Western languages, unless it is asked for UTF-8.
WESTERN_ENCODING = "cp1252"
# Of tables of tracks, that of the frame; before it had the letter of its axis.
TIME_COLUMN, OLD_TIME_COLUMN = "time", "t"
# Rows of a table that are converted at a time.
CONVERTED_ROWS = 100_000


def read_table(path: Path, **options: Any) -> Any:
    """Read a table of CSV; options as of ``pandas.read_csv``."""
    import pandas as pd  # in functions all over the package, as it takes longer than a dock to load

    check_openable(path)
    return pd.read_csv(path, **options)


def find_dialect(path: Path) -> dict[str, str]:
    """Return the options of pandas by which a table is read: none, or those of decimal commas."""
    check_openable(path)
    with path.open(encoding="latin-1") as file:  # as any file is text in that
        header = file.readline()
    return DECIMAL_COMMA if header.count(";") > header.count(",") else {}


def read_saved_table(
    path: Path, columns: Sequence[str] | None = None, **options: Any
) -> pd.DataFrame:
    """Read a table of this program; also one that a spreadsheet has saved again.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        That are needed, of those that there are; all, if not given.
    **options
        As of ``pandas.read_csv``.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        if columns is not None:
            options["usecols"] = lambda name: name in columns
        options |= find_dialect(path)
        try:
            return read_table(path, encoding=SPREADSHEET_ENCODING, **options)
        except UnicodeDecodeError:
            return read_table(path, encoding=WESTERN_ENCODING, **options)
    except ValueError as error:  # also what is no text, and rows of other lengths
        raise UserError(
            f"The table {path} cannot be read: {str(error).splitlines()[0]}."
        ) from error


def write_table(
    file: Path | TextIO,
    table: pd.DataFrame,
    header: bool = True,
    float_format: str | None = "%.9g",
    decimal_comma: bool = False,
) -> None:
    """Write a table as CSV, without its index.

    Parameters
    ----------
    file : Path or file
        A file that is open, to append to, was opened with ``newline=""``.
    table : pandas.DataFrame
    header : bool, optional
    float_format : str or None, optional
        None: as few digits as tell a number from all others.
    decimal_comma : bool, optional
        For spreadsheets: numbers with a decimal comma, and semicolons between columns.
    """
    table.to_csv(
        file,
        index=False,
        header=header,
        float_format=float_format,
        na_rep="nan",
        lineterminator="\r\n",
        encoding=SPREADSHEET_ENCODING if decimal_comma else "utf-8",
        errors="backslashreplace",  # bytes in names that are no UTF-8
        **(DECIMAL_COMMA if decimal_comma else {}),
    )


def rewrite_with_decimal_comma(path: Path) -> None:
    """Write a table anew for spreadsheets, unless it is so; it may be larger than memory.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    if find_dialect(path):
        return
    parts = read_table(path, chunksize=CONVERTED_ROWS)
    with (
        parts,
        atomic_write(path) as aside,
        aside.open("w", newline="", encoding=SPREADSHEET_ENCODING) as out,
    ):
        for number, part in enumerate(parts):
            write_table(out, part, header=number == 0, decimal_comma=True)


def with_time_column(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return a table of tracks whose column of frames is called ``time``, also if it was ``t``."""
    if TIME_COLUMN in tracks:
        return tracks
    return tracks.rename(columns={OLD_TIME_COLUMN: TIME_COLUMN})


def insert_position(table: pd.DataFrame, position: dict[str, int]) -> pd.DataFrame:
    """Return a table with the position of its plane on other axes as first columns."""
    return table.assign(**position)[[*position, *table]]
