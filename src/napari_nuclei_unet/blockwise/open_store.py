"""The labels of a run with their journal, opened: what is damaged is mended, or refused."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..io.atomic import file_crc32
from ..io.ome_zarr import LabelsStore
from ..io.store_files import (
    JOURNAL_FILE_NAME,
    ChunkFile,
    damaged_store_error,
    read_chunk_files,
    remove_partial_chunks,
)
from ..io.store_repair import check_levels, clear_labels_above, find_lost_chunks
from ..io.tables import read_saved_table
from ..provenance.record import Provenance
from .block_log import BlockEntry, BlockLog, find_restart
from .journal import Journal, explain_differences, read_fingerprint, read_journal
from .retry import RunProgress


@dataclass(frozen=True)
class StoreFiles:
    """Files of a run.

    Attributes
    ----------
    labels : Path
        An OME-Zarr, with the journal in its folder.
    table : Path
        Of all nuclei.
    """

    labels: Path
    table: Path

    @property
    def journal(self) -> Path:
        """Path of the journal."""
        return self.labels / JOURNAL_FILE_NAME

    @property
    def unlinked(self) -> StoreFiles:
        """Hidden files of the labels before they are linked."""
        name = f".{self.table.stem}_unlinked"
        folder = self.labels.parent
        return StoreFiles(folder / f"{name}.ome.zarr", folder / f"{name}.csv")

    def remove(self) -> None:
        """Delete all of them that exist."""
        shutil.rmtree(self.labels, ignore_errors=True)
        self.table.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class OpenStore:
    """Labels of a run, and its journal."""

    labels: LabelsStore
    journal: Journal

    @property
    def is_done(self) -> bool:
        """Whether the labels are finished, by their own word and by the journal."""
        left = self.journal.progress.next_plane(_count_planes(self.labels))
        return self.labels.finished and left is None

    def resume(self, verify: bool) -> None:
        """Go on with the run of the journal, or begin one.

        Of a run that was broken off, partial files are removed, and it goes back to before the
        first block of which labels are lost.

        Parameters
        ----------
        verify : bool
            Whether labels are lost, too, where their chunks are others than they were.

        Raises
        ------
        UserError
            If it was another run, the table was changed, or something cannot be written.
        """
        if self.journal.begin() and not self.is_done:
            remove_partial_chunks(self.labels.path)
        _check_table(self.labels.path, self.journal.table, self.journal.progress, self.is_done)
        if self.is_done:
            self.journal.log.path.unlink(missing_ok=True)  # a run that was killed may have left it
        elif lost := self._find_lost(verify):
            self._go_back(lost)

    def check_written(self) -> None:
        """Raise an error if something is gone that blocks have written.

        Raises
        ------
        UserError
        """
        if lost := self._find_lost(verify=False):
            raise UserError(
                f"{self.labels.path} was changed by another program while it was written, as "
                f"{min(lost)} is gone or damaged: run it again to write that anew."
            )

    def _read_entries(self) -> list[BlockEntry]:
        return self.journal.log.read() or []

    def _find_lost(self, verify: bool) -> set[str]:
        written: dict[str, ChunkFile] = {}
        for entry in self._read_entries():
            written |= entry.chunks
        return find_lost_chunks(self.labels, written, verify)

    def _go_back(self, lost: set[str]) -> None:
        progress = find_restart(self._read_entries(), lost, self.journal.progress)
        progress = progress or RunProgress()
        self.journal.truncate(progress)
        clear_labels_above(self.labels, progress.nuclei, lost)


def can_resume(labels: LabelsStore, journal: Journal) -> bool:
    """Return whether a run can go on with labels that are there; else they are begun anew.

    A journal of finished labels that is damaged or missing is written again.

    Parameters
    ----------
    labels : LabelsStore
    journal : Journal
        Of the run, not begun.

    Raises
    ------
    UserError
        If they are of another run, or finished and not whole.
    """
    journal.check_same_run()
    kept = read_journal(journal.path)
    if kept is not None:
        log = BlockLog(journal.log.path, kept.log_end)
        return labels.finished or log.read() is not None
    if labels.finished and labels.fingerprint is not None:
        _rebuild_journal(labels, journal)
        return True
    if labels.finished or (labels.record and not journal.path.exists()):
        raise UserError(
            f"{labels.path} contains labels of another run: choose another name, or `overwrite` "
            "them."
        )
    return False


def read_run(labels: LabelsStore) -> dict[str, Any] | None:
    """Read what the run of labels was of; None where that is not known."""
    return read_fingerprint(labels.path / JOURNAL_FILE_NAME) or labels.fingerprint


def _rebuild_journal(labels: LabelsStore, journal: Journal) -> None:
    """Write the journal of finished labels again, if they are whole and have their table."""
    earlier = labels.fingerprint or {}
    what = f"{labels.path} was made"
    if reason := explain_differences(what, journal.fingerprint, earlier, "name"):
        raise UserError(reason)
    try:
        done = Provenance.from_json(labels.record)
    except UserError as error:
        raise damaged_store_error(labels.path) from error
    gammas = done.gamma if isinstance(done.gamma, tuple) else ()
    size = journal.table.stat().st_size if journal.table.is_file() else 0
    progress = RunProgress(
        plane=_count_planes(labels),
        nuclei=done.nuclei or 0,
        seconds=done.seconds or 0.0,
        table_bytes=max(size, bool(done.table_crc)),
        table_crc=done.table_crc or 0,
        gammas={str(at): gamma for at, gamma in enumerate(gammas) if gamma is not None},
        left_out=done.left_out,
    )
    _check_table(labels.path, journal.table, progress, True)
    check_levels(labels, progress.nuclei)
    journal.commit(progress, read_chunk_files(labels.path))


def _count_planes(labels: LabelsStore) -> int:
    return math.prod(labels.grid.shape) // math.prod(
        n for axis, n in zip(labels.grid.axes, labels.grid.shape, strict=True) if axis in "YX"
    )


def _check_table(labels: Path, table: Path, progress: RunProgress, finished: bool) -> None:
    """Raise an error if the table is not the one that the journal knows."""
    known = progress.table_bytes
    size = table.stat().st_size if table.is_file() else 0
    same = size >= known and (not known or file_crc32(table, stop=known) == progress.table_crc)
    # an unfinished run may have written rows that are not in the journal yet
    is_good = same and not (size > known and finished)
    if not is_good and not (finished and _is_saved_again(table, progress.nuclei)):
        raise UserError(
            f"{table}, the table of {labels}, is missing or was changed: put it back, or "
            "`overwrite` both."
        )


def _is_saved_again(table: Path, nuclei: int) -> bool:
    """Return whether a table has so many nuclei, as one that a spreadsheet has saved again."""
    try:
        with table.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() not in b"\r\n":
                return False  # cut in its last row
        names = list(read_saved_table(table, nrows=0))
        keys = names[: names.index("label") + 1]  # behind the position on other axes
        rows = read_saved_table(table, usecols=keys)
        return int(rows["label"].nunique()) == nuclei and not rows.duplicated().any()
    except (UserError, OSError, ValueError):
        return False
