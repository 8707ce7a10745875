"""Ownership of tables: those that this program did not write are never overwritten."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from ..errors import UserError
from ..io.tables import find_dialect, read_first_line, read_table

# Columns that tables of nuclei, of tracks and of lineages have had in all versions.
NUCLEI_COLUMNS = frozenset({"label", "centroid_y", "confidence"})
# Of UTF-8, read as Latin-1: spreadsheets begin a file with it.
BOM = "\xef\xbb\xbf"
TRACKS_COLUMNS = frozenset({"track", "parent", "y", "x"})
LINEAGE_COLUMNS = frozenset({"track", "parent", "lineage"})
# With which they begin, but for the position on each other axis, which is a letter.
HEADER_STARTS = ("label", "track")
POSITION_COLUMNS = re.compile(r"^([a-z]([,;]|$))*")
MAX_HEADER_LENGTH = 10_000
# In the record of labels that somebody has corrected.
CORRECTED_MARK = "corrected"


def check_tables_overwritable(*tables: Path) -> None:
    """Raise an error for existing tables that this program did not write.

    Parameters
    ----------
    *tables : Path
        Need not exist.

    Raises
    ------
    UserError
        If the header of one lacks columns that ours have.
    """
    for path in tables:
        header = read_header(path)
        known = (NUCLEI_COLUMNS, TRACKS_COLUMNS, LINEAGE_COLUMNS)
        is_own = not header or any(set(header) >= columns for columns in known)
        if not (is_own or _is_cut_header(path)):
            raise foreign_file_error(path)


def read_header(path: Path) -> list[str]:
    """Read the names of a table's columns; none if the file is empty or missing."""
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return []
    try:
        line, options = read_first_line(path), find_dialect(path)
        header = read_table(StringIO(line), nrows=0, skip_blank_lines=False, **options)
        # pandas knows no quotes after the mark that spreadsheets write
        return [name.removeprefix(BOM).strip('"') for name in header] or [""]
    except (OSError, ValueError):
        return [""]


def _is_cut_header(path: Path) -> bool:
    """Return whether a file is the beginning of a header of ours, as a full disk leaves it.

    Nothing is lost with it, whoever wrote it: it has no row.
    """
    try:
        with path.open(encoding="latin-1", newline="") as file:
            text = file.read(MAX_HEADER_LENGTH).removeprefix(BOM)
    except OSError:
        return False
    first, *others = POSITION_COLUMNS.sub("", text).replace(";", ",").split(",")
    is_whole = first in HEADER_STARTS
    is_beginning = not others and any(name.startswith(first) for name in HEADER_STARTS)
    is_alone = len(text) < MAX_HEADER_LENGTH and not {"\r", "\n"} & set(text)
    return is_alone and (is_whole or is_beginning)


def foreign_file_error(path: Path) -> UserError:
    """Return the error for a file that this program did not write."""
    return UserError(
        f"{path} was not made by this program and is not overwritten: choose another folder."
    )
