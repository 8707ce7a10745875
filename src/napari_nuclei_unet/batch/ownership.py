"""Telling tables of this program from those of the user, which are never overwritten."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_nuclei_unet.errors import UserError

# What the tables of nuclei and of tracks have had in all versions.
NUCLEI = frozenset({"label", "centroid_y", "confidence"})
TRACKS = frozenset({"track", "t", "parent"})


def refuse_foreign_tables(*tables: Path) -> None:
    """Refuse to overwrite tables of nuclei or tracks that this program did not write.

    Parameters
    ----------
    *tables : Path
        Need not be there.

    Raises
    ------
    UserError
        If the header of one lacks columns that ours have.
    """
    for path in tables:
        header = header_of(path)
        if header and not (set(header) >= NUCLEI or set(header) >= TRACKS):
            raise foreign(path)


def header_of(path: Path) -> list[str]:
    """Read the names of a table's columns; none of a file that is empty or not there."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as lines:
            first = next(lines, None)
            return [] if first is None else next(csv.reader([first]), []) or [""]
    except (OSError, csv.Error):
        return [""]


def foreign(path: Path) -> UserError:
    """Say that a file is the user's own."""
    return UserError(
        f"{path} was not made by this program and is not overwritten: choose another folder."
    )
