"""Writing files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ..errors import UserError

_ADVICE = "choose another folder or free some space"
# Bytes read at a time.
READ_CHUNK_BYTES = 2**20


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file aside, then move it to its place.

    Parameters
    ----------
    path : Path
        Target of the file; its folder is created.

    Yields
    ------
    Path
        Temporary path to write to, with the same suffix; always removed afterwards.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    aside = path.with_name(f".{uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        what = "give the image a shorter name" if error.errno == errno.ENAMETOOLONG else _ADVICE
        raise UserError(f"{path} cannot be written ({reason}): {what}.") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def atomic_write_folder(path: Path) -> Iterator[Path]:
    """Write a folder aside, then move it to its place; one that is there is replaced.

    Parameters
    ----------
    path : Path
        Target of the folder; that in which it lies is created.

    Yields
    ------
    Path
        Temporary path, which does not exist; always removed afterwards.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    aside, old = (path.with_name(f".{uuid4().hex}{path.suffix}") for _ in range(2))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        if path.exists():
            os.replace(path, old)
        os.replace(aside, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}): {_ADVICE}."
        ) from error
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


def file_crc32(path: Path, start: int = 0, stop: int | None = None, before: int = 0) -> int:
    """Compute the CRC-32 of a file, or of a part of it.

    Parameters
    ----------
    path : Path
    start, stop : int, optional
        Of the part, in bytes.
    before : int, optional
        Checksum of what comes before the part: the result is that of both.
    """
    with path.open("rb") as opened:
        opened.seek(start)
        left = path.stat().st_size - start if stop is None else stop - start
        while left > 0 and (part := opened.read(min(left, READ_CHUNK_BYTES))):
            before, left = zlib.crc32(part, before), left - len(part)
    return before


def check_writable(folder: Path) -> None:
    """Check before long work that results can be written.

    Raises
    ------
    UserError
        If the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} cannot be written ({reason}): choose another folder.") from error
