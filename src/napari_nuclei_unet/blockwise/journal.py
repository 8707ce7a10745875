"""The journal of a long run: what is finished, so that a run that was broken off goes on there."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..io.atomic import atomic_write, file_crc32, removed_error, sync_to_disk
from ..io.json_text import parse_json, read_json
from ..io.openable import read_small_file
from ..io.record_paths import drop_folders, name_image_of_run
from ..io.store_files import ChunkFile, parse_chunk_files
from ..io.tables import read_table, write_table
from .block_log import EMPTY_LOG, LOG_SUFFIX, BlockLog, LogEnd
from .retry import RunProgress

if TYPE_CHECKING:
    import pandas as pd


def read_fingerprint(path: Path) -> dict[str, Any] | None:
    """Read what the run of a journal is of; None where there is no journal, or a damaged one."""
    try:
        wish = read_json(path)["wish"]
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None
    return wish if isinstance(wish, dict) else None


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds beside its fingerprint.

    Attributes
    ----------
    progress : RunProgress
        What has failed is tried again.
    chunks : dict of str to ChunkFile, or None
        Files of the labels when they were finished; None: they are not.
    log_end : LogEnd
        Of the log of blocks.
    """

    progress: RunProgress
    chunks: dict[str, ChunkFile] | None = None
    log_end: LogEnd = EMPTY_LOG


def read_journal(path: Path) -> JournalContent | None:
    """Read a journal; None where there is none, or it is damaged.

    Raises
    ------
    UserError
        If it is there, but no file, or cannot be read now.
    """
    try:
        return _parse(read_small_file(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error


def _parse(text: bytes) -> JournalContent | None:
    try:
        kept = parse_json(text)
        if kept.pop("crc") != _checksum(kept):
            return None
        chunks = kept.get("chunks")
        return JournalContent(
            RunProgress.from_json(kept["progress"]),
            None if chunks is None else parse_chunk_files(chunks),
            LogEnd(*kept.get("log", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _checksum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def describe_differences(fingerprint: dict[str, Any], other: dict[str, Any]) -> str:
    """Name what two runs do not have in common; nothing if they are of the same.

    Of another image only that is named, for much else may follow from it. Parameters, which have
    the form of flags on the disk, are named as in any message.
    """
    fingerprint, other = name_image_of_run(fingerprint), name_image_of_run(other)
    names = sorted(
        one for one in fingerprint.keys() | other.keys() if fingerprint.get(one) != other.get(one)
    )
    if "image" in names:
        return "image"
    return " and ".join(
        f"`{one[2:].replace('-', '_')}`" if one.startswith("--") else one for one in names
    )


def explain_differences(
    what: str, fingerprint: dict[str, Any], earlier: dict[str, Any], other: str
) -> str:
    """Explain why a run does not go on with an earlier result, and what to do; "" if it does.

    Parameters
    ----------
    what : str
        The result and its verb, such as "cells.tif was made".
    fingerprint, earlier : dict
        Of the run, and of the result.
    other : str
        Of what another one may be chosen, such as "folder".
    """
    changed = describe_differences(fingerprint, earlier)
    # it is in a fingerprint only where they are left out
    keeps_fragments = not any(name.endswith("leave-out-fragments") for name in earlier)
    if changed == "`leave_out_fragments`" and keeps_fragments:
        # it may be of the time when they could not be left out, so that nobody has chosen it
        return (
            f"{what} with micronuclei and fragments among the nuclei: keep them, as before, with "
            "`leave_out_fragments` no, or make all of it anew with `overwrite`."
        )
    sentence = f"{what} with another {changed}: choose another {other}, or `overwrite` it."
    return sentence if changed else ""


@dataclass(eq=False)
class Journal:
    """Writes down what is finished, and the table of nuclei.

    Parameters
    ----------
    path : Path
        A file of JSON, replaced as a whole after every block.
    table : Path
        CSV to which rows are appended.
    fingerprint : dict
        What the run is of: another one does not go on with it. JSON.
    image : Path, optional
        File of the image, whose folder does not stand in the journal.
    """

    path: Path
    table: Path
    fingerprint: dict[str, Any]
    image: Path | None = None
    progress: RunProgress = field(default_factory=RunProgress)
    chunks: dict[str, ChunkFile] | None = None
    log_end: LogEnd = EMPTY_LOG
    _written: bytes | None = None

    @property
    def log(self) -> BlockLog:
        """The log of blocks."""
        return BlockLog(self.path.with_suffix(LOG_SUFFIX), self.log_end)

    def begin(self) -> bool:
        """Resume an earlier run, or begin; return whether there was one.

        What that run could not read is tried again.

        Raises
        ------
        UserError
            If the earlier run was another one, or something cannot be written.
        """
        kept = read_journal(self.path)
        self.check_same_run()
        if kept is None:
            self.commit(RunProgress())
            return False
        self.progress, self.chunks, self.log_end = kept.progress, kept.chunks, kept.log_end
        self._written = read_small_file(self.path)
        return True

    def check_same_run(self) -> None:
        """Raise an error if there is a journal of another run."""
        own, what = json.loads(json.dumps(self.fingerprint)), f"{self.path.parent} was begun"
        earlier = read_fingerprint(self.path)
        if earlier is not None and (reason := explain_differences(what, own, earlier, "name")):
            raise UserError(reason)

    def check_unchanged(self) -> None:
        """Raise an error if the file is not the one that was written last.

        Its folder was removed then, or others write it: what is there is not that of this run.

        Raises
        ------
        UserError
        """
        try:
            is_same = read_small_file(self.path) == self._written
        except (OSError, UserError):
            is_same = False
        if not is_same:
            raise removed_error(self.path.parent)

    def add(self, rows: pd.DataFrame, progress: RunProgress, chunks: dict[str, ChunkFile]) -> None:
        """Append rows to the table, and say that a block is finished.

        Rows that a run that was broken off has left behind are overwritten.

        Parameters
        ----------
        rows : pandas.DataFrame
        progress : RunProgress
            After it.
        chunks : dict of str to ChunkFile
            Files of labels that it has written.

        Raises
        ------
        UserError
            If something cannot be written.
        """
        self.check_unchanged()
        try:
            start = self.progress.table_bytes
            size = self._append(rows, start)
            crc = file_crc32(self.table, start, size, self.progress.table_crc)
            log_end = self.log.append(self.progress, chunks) if chunks else self.log_end
        except OSError as error:
            raise self._not_written(error) from error
        if hasattr(os, "sync"):
            os.sync()  # the labels are on the disk before the journal says so
        self.log_end = log_end
        self.commit(replace(progress, table_bytes=size, table_crc=crc))

    def truncate(self, progress: RunProgress) -> None:
        """Write down how far a run is, and remove rows and blocks that came after that.

        Raises
        ------
        UserError
            If something cannot be written.
        """
        before = [entry.before["table_bytes"] for entry in self.log.read() or ()]
        self.log_end = self.log.end_before(sum(size < progress.table_bytes for size in before))
        self.commit(progress)
        try:
            self._check_length(progress.table_bytes)
            with self.table.open("a+b") as out:
                out.truncate(progress.table_bytes)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> UserError:
        if not self.table.parent.is_dir():
            return removed_error(self.table.parent)
        return UserError(
            f"{self.table} cannot be written ({error.strerror or error}): free some space, "
            "then run it again to resume."
        )

    def _check_length(self, start: int) -> None:
        """Raise an error if the table has lost rows: it would be filled up with NUL bytes."""
        if start and not (self.table.is_file() and self.table.stat().st_size >= start):
            raise removed_error(self.table)

    def _append(self, rows: pd.DataFrame, start: int) -> int:
        self._check_length(start)
        if start and list(read_table(self.table, nrows=0)) != list(rows):
            raise UserError(
                f"{self.table} was started by another version, with other columns: choose another "
                "name, or `overwrite` it."
            )
        if not start:
            self.table.unlink(missing_ok=True)  # or what a link leads to would be overwritten
        with self.table.open("a+", newline="", encoding="utf-8") as out:
            out.truncate(start)
            write_table(out, rows, header=start == 0)
            sync_to_disk(out)
            return out.tell()

    def commit(self, progress: RunProgress, chunks: dict[str, ChunkFile] | None = None) -> None:
        """Replace the journal.

        Raises
        ------
        UserError
            If it cannot be written, or was removed or replaced by others.
        """
        if self._written is not None:
            self.check_unchanged()
        written = asdict(self._without_folders(progress))
        content: dict[str, Any] = {"wish": self.fingerprint, "progress": written}
        content |= {"log": self.log_end} if self.log_end.size else {}
        content |= {} if chunks is None else {"chunks": chunks}
        text = json.dumps(content, sort_keys=True)  # as its checksum is of
        text = f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}'
        with (
            atomic_write(self.path, create_folder=False) as aside,
            aside.open("w", encoding="utf-8") as out,
        ):
            out.write(text)
            sync_to_disk(out)
        self.progress, self.chunks, self._written = progress, chunks, text.encode()

    def _without_folders(self, progress: RunProgress) -> RunProgress:
        """Return progress as files hold it, which may leave this computer."""
        files = [self.path.parent, *([] if self.image is None else [self.image])]
        failed, again = (
            tuple(one._replace(message=drop_folders(one.message, files)) for one in failures)
            for failures in (progress.failed, progress.again)
        )
        return replace(progress, failed=failed, again=again)
