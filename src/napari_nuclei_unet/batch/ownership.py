"""Ownership of tables: those that this program did not write are never overwritten."""

from __future__ import annotations

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
        if header and not any(set(header) >= columns for columns in known):
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


def foreign_file_error(path: Path) -> UserError:
    """Return the error for a file that this program did not write."""
    return UserError(
        f"{path} was not made by this program and is not overwritten: choose another folder."
    )
