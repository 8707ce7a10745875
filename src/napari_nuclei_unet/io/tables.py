"""Tables as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIX, TRACKS_SUFFIX = "_nuclei.csv", "_tracks.csv"
# Columns of classes end so; in their rows stands text such as "Ki67: positive".
CLASS_SUFFIX = "_class"


def read_table(path: Path, **options: Any) -> Any:
    """Read a table of CSV; options as of ``pandas.read_csv``."""
    import pandas as pd  # in functions all over the package, as it takes longer than a dock to load

    return pd.read_csv(path, **options)


def read_saved_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table of this program; also one that a spreadsheet has saved again.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        That are needed, of those that there are; all, if not given.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        spreadsheet = {"sep": ";", "decimal": ","} if header.count(";") > header.count(",") else {}
        needed = None if columns is None else lambda name: name in columns
        return read_table(path, encoding="utf-8-sig", usecols=needed, **spreadsheet)
    except ValueError as error:  # also what is no UTF-8, and rows of other lengths
        raise UserError(
            f"The table {path} cannot be read: {str(error).splitlines()[0]}."
        ) from error


def write_table(
    file: Path | TextIO,
    table: pd.DataFrame,
    header: bool = True,
    float_format: str | None = "%.9g",
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
    """
    table.to_csv(
        file,
        index=False,
        header=header,
        float_format=float_format,
        na_rep="nan",
        lineterminator="\r\n",
        encoding="utf-8",
        errors="backslashreplace",  # bytes in names that are no UTF-8
    )


def insert_position(table: pd.DataFrame, position: dict[str, int]) -> pd.DataFrame:
    """Return a table with the position of its plane on other axes as first columns."""
    return table.assign(**position)[[*position, *table]]
