"""Tables as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UserError
from ..memory import available_memory, format_gigabytes
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
# Most letters of the first line that are looked at.
MAX_HEADER_LETTERS = 2**20
# What a spreadsheet runs as a formula: also from Eastern keyboards, and behind white space.
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
SIGNED_NUMBER = re.compile(r"[+-](\d+([.,]\d*)?|[.,]\d+|inf|nan)(e[+-]?\d+)?", re.IGNORECASE)


def read_table(file: Path | TextIO, **options: Any) -> Any:
    """Read a table of CSV; options as of ``pandas.read_csv``."""
    import pandas as pd  # in functions all over the package, as it takes longer than a dock to load

    if isinstance(file, Path):
        check_openable(file)
        if "nrows" not in options:
            _check_size(file)
    return _map_text(pd.read_csv(_as_named(file), **options), _unescape_formula)


def _as_named(file: Path | TextIO) -> Path | TextIO:
    """Return a file whose path pandas takes as it is: a ~ in front would be the home folder."""
    return file.absolute() if isinstance(file, Path) else file


def _check_size(path: Path) -> None:
    """Raise an error for a table that does not fit into memory: reading it would take for ever."""
    if path.is_file() and (size := path.stat().st_size) > available_memory():
        raise UserError(
            f"The table {path} does not fit into memory: it has {format_gigabytes(size)}."
        )


def iter_table(path: Path, rows: int, **options: Any) -> Generator[pd.DataFrame, None, None]:
    """Read a table of CSV that may be larger than memory, so many rows at a time."""
    import pandas as pd

    check_openable(path)
    with pd.read_csv(_as_named(path), chunksize=rows, **options) as parts:
        for part in parts:
            yield _map_text(part, _unescape_formula)


def escape_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text no spreadsheet runs: what looks like a formula has a ' before it.

    So has text that has one already, so that :func:`read_table` returns what was written. Numbers
    are none, also those that are text.
    """
    return _map_text(table, _escape_formula)


def _map_text(table: pd.DataFrame, convert: Callable[[str], str]) -> pd.DataFrame:
    """Convert all text in a table, and the names of its columns; most tables stay as they are."""
    import pandas as pd

    changed = {}
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        texts = [text for text in column.unique() if isinstance(text, str)]
        others = {text: new for text in texts if (new := convert(text)) != text}
        if others:
            changed[str(name)] = column.map(lambda cell, others=others: others.get(cell, cell))
    return table.assign(**changed).rename(columns=lambda name: convert(str(name)))


def _is_formula(text: str) -> bool:
    return bool(FORMULA.match(text)) and not SIGNED_NUMBER.fullmatch(text)


def _escape_formula(text: str) -> str:
    return f"'{text}" if _is_formula(text) else text


def _unescape_formula(text: str) -> str:
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def read_first_line(path: Path) -> str:
    """Read the line of a table in which its columns are named, as Latin-1: any file is text so."""
    check_openable(path)
    with path.open(encoding="latin-1", newline="") as file:
        return file.readline(MAX_HEADER_LETTERS)


def find_dialect(path: Path) -> dict[str, str]:
    """Return the options of pandas by which a table is read: none, or those of decimal commas."""
    header = read_first_line(path)
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
    """Write a table as CSV, without its index; its text as of :func:`escape_formulas`.

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
    escape_formulas(table).to_csv(
        _as_named(file),
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
    with (
        closing(iter_table(path, CONVERTED_ROWS)) as parts,
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
