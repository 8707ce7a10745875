"""The journal of a long run: what is finished, so that a run that was broken off goes on there."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.writing import written

# Name of the file, in the folder of the labels.
JOURNAL = "nuclei_unet_journal.json"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    plane, block : int
        The first that is not finished, from 0.
    nuclei : int
        Found so far; their ids are 1 to this.
    failed : tuple of str
        Blocks that could not be read, and why.
    seconds : float
        That it took so far.
    table_bytes : int
        Length of the table so far.
    survey : dict or None
        Of the plane that is not finished, so that its other blocks see it alike; JSON.
    """

    plane: int = 0
    block: int = 0
    nuclei: int = 0
    failed: tuple[str, ...] = ()
    seconds: float = 0.0
    table_bytes: int = 0
    survey: dict[str, Any] | None = None


def wish_of(path: Path) -> dict[str, Any] | None:
    """Read what the run of a journal is of; None where there is no journal."""
    try:
        wish: dict[str, Any] = json.loads(path.read_text())["wish"]
    except (OSError, ValueError, KeyError):
        return None
    return wish


@dataclass(eq=False)
class Journal:
    """Writes down what is finished, and the table of nuclei.

    Parameters
    ----------
    path : Path
        A file of JSON, replaced as a whole after every block.
    table : Path
        CSV to which rows are appended.
    wish : dict
        What the run is of: another one does not go on with it. JSON.
    """

    path: Path
    table: Path
    wish: dict[str, Any]
    progress: Progress = field(default_factory=Progress)

    def begin(self) -> bool:
        """Go on where an earlier run was broken off; or begin. Whether there was one.

        Raises
        ------
        UserError
            If the earlier run was another one, or something cannot be written.
        """
        try:
            kept = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            self.commit(Progress())
            return False
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror or error}).") from error
        wish = json.loads(json.dumps(self.wish))
        changed = sorted(k for k in wish.keys() | kept["wish"].keys()
                         if wish.get(k) != kept["wish"].get(k))  # fmt: skip
        if changed:
            raise UserError(
                f"{self.path.parent} was begun with another {' and '.join(changed)}: choose "
                "another name, or --overwrite it."
            )
        self.progress = Progress(**kept["progress"] | {"failed": tuple(kept["progress"]["failed"])})
        return True

    def add(self, rows: dict[str, NDArray[Any]], progress: Progress) -> None:
        """Append rows to the table, and say that a block is finished.

        Rows that a run that was broken off has left behind are overwritten.

        Raises
        ------
        UserError
            If something cannot be written.
        """
        try:
            size = self._append(rows, self.progress.table_bytes)
        except OSError as error:
            raise UserError(
                f"{self.table} cannot be written ({error.strerror or error}): free some space, "
                "then run it again to go on."
            ) from error
        if hasattr(os, "sync"):
            os.sync()  # the labels are on the disk before the journal says so
        self.commit(replace(progress, table_bytes=size))

    def _append(self, rows: dict[str, NDArray[Any]], start: int) -> int:
        with self.table.open("a+", newline="", encoding="utf-8") as out:
            out.truncate(start)
            writer = csv.writer(out)
            if start == 0:
                writer.writerow(rows)
            for row in zip(*rows.values(), strict=True):
                writer.writerow(
                    f"{value:.9g}" if isinstance(value, np.floating) else value for value in row
                )
            out.flush()
            return out.tell()

    def commit(self, progress: Progress) -> None:
        """Replace the journal."""
        with written(self.path) as aside:
            aside.write_text(json.dumps({"wish": self.wish, "progress": asdict(progress)}))
        self.progress = progress
