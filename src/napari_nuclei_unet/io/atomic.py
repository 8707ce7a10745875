"""Writing files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import UserError
from .openable import check_openable
from .paths import HOME_ADVICE, is_in_user_folder
from .temporary import (
    NEW_FOLDER_NAME,
    OLD_FOLDER_NAME,
    remove_leftovers,
    remove_temporary,
    temporary_path,
)

# Bytes read at a time.
READ_CHUNK_BYTES = 2**20


def removed_error(path: Path) -> UserError:
    """Return the error for a file or folder that is not there any more while it is used."""
    return UserError(
        f"{path} was removed or replaced while it was in use: check that its disk or folder is "
        "there, then run it again."
    )


@contextmanager
def atomic_write(path: Path, create_folder: bool = True) -> Iterator[Path]:
    """Write a file aside, then move it to its place.

    Parameters
    ----------
    path : Path
        Target of the file.
    create_folder : bool, optional
        Whether its folder is created. A file that is written again and again must not come up
        anew where its folder was removed meanwhile.

    Yields
    ------
    Path
        Temporary path to write to, with the same suffix; always removed afterwards.

    Raises
    ------
    UserError
        If the folder cannot be written, is gone, or the disk is full; or a pipe or a device is in
        the place of the file.
    """
    check_openable(path)
    aside = temporary_path(path.parent, path.suffix)
    in_use = not create_folder
    try:
        _prepare(path.parent, create_folder)
        in_use = True
        yield aside
        os.replace(aside, path)
    except OSError as error:
        if in_use and _is_gone(aside, error):
            raise removed_error(path.parent) from error
        raise _not_written(path, error) from error
    finally:
        with suppress(OSError):
            remove_temporary(aside)


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
    work = temporary_path(path.parent)
    new, old = (work / part / path.name for part in (NEW_FOLDER_NAME, OLD_FOLDER_NAME))
    in_use = False
    try:
        _prepare(path.parent, True)
        in_use = True
        new.parent.mkdir(parents=True)
        yield new
        if path.exists():
            old.parent.mkdir()
            os.replace(path, old)  # at once: half of it would look complete
        os.replace(new, path)
    except OSError as error:
        if in_use and _is_gone(new, error):
            raise removed_error(path.parent) from error
        raise _not_written(path, error) from error
    finally:
        with suppress(OSError):
            remove_temporary(work)


def _prepare(folder: Path, create: bool) -> None:
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise removed_error(folder)
    remove_leftovers(folder)


def _is_gone(aside: Path, error: OSError) -> bool:
    """Return whether writing failed as the folder was moved away, whatever took its place."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return False
    return not aside.parent.is_dir() or str(error.filename) == str(aside)


def _not_written(path: Path, error: OSError) -> UserError:
    advice = "choose another folder or free some space"
    if error.errno == errno.ENAMETOOLONG:
        advice = "give the image a shorter name"
    elif is_in_user_folder(path):
        advice = HOME_ADVICE
    return UserError(f"{path} cannot be written ({error.strerror or error}): {advice}.")


def sync_to_disk(out: IO[Any]) -> None:
    """Wait until a file is on the disk."""
    out.flush()
    os.fsync(out.fileno())


def file_crc32(path: Path, start: int = 0, stop: int | None = None, before: int = 0) -> int:
    """Compute the CRC-32 of a file, or of a part of it.

    Parameters
    ----------
    path : Path
    start, stop : int, optional
        Of the part, in bytes.
    before : int, optional
        Checksum of what comes before the part: the result is that of both.

    Raises
    ------
    UserError
        If it is no file.
    """
    check_openable(path)
    with path.open("rb") as opened:
        opened.seek(start)
        left = path.stat().st_size - start if stop is None else stop - start
        while left > 0 and (part := opened.read(min(left, READ_CHUNK_BYTES))):
            before, left = zlib.crc32(part, before), left - len(part)
    return before


def check_writable(folder: Path, create_folder: bool = True) -> None:
    """Check before long work that results can be written; what killed programs left is removed.

    Parameters
    ----------
    folder : Path
    create_folder : bool, optional
        Whether it is created: where a run begins, but not for each of its images.

    Raises
    ------
    UserError
        If the folder cannot be created or written to, or is gone.
    """
    in_use = not create_folder
    try:
        _prepare(folder, create_folder)
        in_use = True
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if in_use and _is_gone(folder / "probe", error):
            raise removed_error(folder) from error
        raise _not_written(folder, error) from error
