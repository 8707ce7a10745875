"""What each block has written, and how far the run was before it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError
from ..io.atomic import removed_error, sync_to_disk
from ..io.openable import read_small_file
from ..io.store_files import ChunkFile, parse_chunk_files
from .retry import RunProgress

# Of a log, which has the name of its journal.
LOG_SUFFIX = ".jsonl"


class LogEnd(NamedTuple):
    """Length and checksum of a log so far."""

    size: int = 0
    crc: int = 0


EMPTY_LOG = LogEnd()


class BlockEntry(NamedTuple):
    """A block that has written labels.

    Attributes
    ----------
    before : dict
        How far the run was, as of ``RunProgress.to_snapshot``.
    chunks : dict of str to ChunkFile
        Files that it has written, as they were then.
    """

    before: dict[str, Any]
    chunks: dict[str, ChunkFile]


@dataclass(frozen=True)
class BlockLog:
    """A file to which each block adds a line: a journal that has all of them would grow with each.

    Attributes
    ----------
    path : Path
    end : LogEnd
        As the journal knows it; what a run that was broken off has written after it does not count.
    """

    path: Path
    end: LogEnd = EMPTY_LOG

    def append(self, before: RunProgress, chunks: dict[str, ChunkFile]) -> LogEnd:
        """Add a block; return where the log ends then."""
        start = self.end.size
        if start and not (self.path.is_file() and self.path.stat().st_size >= start):
            raise removed_error(self.path)
        line = json.dumps([before.to_snapshot(), chunks]).encode() + b"\n"
        with self.path.open("r+b" if start else "wb") as out:
            out.truncate(start)
            out.seek(start)
            out.write(line)
            sync_to_disk(out)
        return LogEnd(start + len(line), zlib.crc32(line, self.end.crc))

    def read(self) -> list[BlockEntry] | None:
        """Read all blocks; None where the file is damaged or missing."""
        if (lines := self._read_lines()) is None:
            return None
        try:
            entries = [json.loads(line) for line in lines]
            return [BlockEntry(before, parse_chunk_files(chunks)) for before, chunks in entries]
        except (ValueError, TypeError, AttributeError):
            return None

    def end_before(self, number: int) -> LogEnd:
        """Return where the log ends if one of its blocks is the next."""
        text = b"".join((self._read_lines() or [])[:number])
        return LogEnd(len(text), zlib.crc32(text))

    def _read_lines(self) -> list[bytes] | None:
        if not self.end.size:
            return []
        try:
            text = read_small_file(self.path)[: self.end.size]
        except (OSError, UserError):
            return None
        return text.splitlines(True) if LogEnd(len(text), zlib.crc32(text)) == self.end else None


def find_restart(
    entries: Sequence[BlockEntry], lost: set[str], now: RunProgress
) -> RunProgress | None:
    """Find from where a run goes on, so that all chunks that are lost are written again.

    Parameters
    ----------
    entries : sequence of BlockEntry
    lost : set of str
        Files that they have written.
    now : RunProgress
        After all of them.

    Returns
    -------
    RunProgress or None
        How far the run was then; None: there is no such block.
    """
    first = next(at for at, entry in enumerate(entries) if lost & entry.chunks.keys())
    # what was seen of a plane is known as long as blocks of it are missing
    earlier = (now.restore(entry.before) for entry in entries[first::-1])
    return next((progress for progress in earlier if progress is not None), None)
