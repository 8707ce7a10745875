"""Files in a folder of labels in OME-Zarr: ours, those of others, and how long they are."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError
from .atomic import file_crc32
from .labels import RECORD_KEY
from .openable import read_small_file
from .readers.ome_zarr import ZARR_METADATA_FILES

# Name of the journal of the run that writes labels, in their folder.
JOURNAL_FILE_NAME = "nuclei_unet_journal.json"
# Of a group of labels that is in an image: their table is in its folder.
TABLE_IN_GROUP = "nuclei_unet_table.csv"
# Of the log of its blocks, while it is not finished.
LOG_FILE_NAME = "nuclei_unet_journal.jsonl"
OWN_FILES = (JOURNAL_FILE_NAME, LOG_FILE_NAME, TABLE_IN_GROUP, *ZARR_METADATA_FILES)
# What systems put into any folder, beside hidden files.
SYSTEM_FILES = ("Thumbs.db", "desktop.ini")
# Attributes of an array, which any program may change.
ATTRIBUTES_FILE = ".zattrs"
# Of chunks that zarr had not written to their end.
PARTIAL_SUFFIX = ".partial"


class ChunkFile(NamedTuple):
    """Size of a file of an array in bytes, and its CRC-32."""

    size: int
    crc: int


def check_only_own(store: Path) -> None:
    """Raise an error if a folder of labels contains something that others have put there.

    Raises
    ------
    UserError
    """
    levels = {path.name for path in store.iterdir() if path.name.isdecimal() and path.is_dir()}
    check_contains_only(store, store, {*OWN_FILES, *levels})


def check_contains_only(whole: Path, folder: Path, names: Container[str]) -> None:
    """Raise an error if a folder within a whole has other names than these, and those of systems.

    Raises
    ------
    UserError
    """
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".") or path.name in SYSTEM_FILES
        if not (is_hidden or path.name in names):
            raise UserError(
                f"{whole} also contains {path.relative_to(whole).as_posix()}, which was not made "
                "by this program and is not overwritten: move it away, or choose another name."
            )


def check_usable(path: Path, overwrite: bool) -> None:
    """Raise a UserError if something that is no store of ours stands in the way of one."""
    if path.is_dir() and _is_damaged_store(path):
        if not overwrite:
            raise damaged_store_error(path)
    elif path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{path} exists and contains something else: choose another name.")


def damaged_store_error(path: Path) -> UserError:
    """Return the error for labels of this program that cannot be opened."""
    return UserError(
        f"{path} is damaged, as its metadata cannot be read: choose another name, or `overwrite` "
        "it."
    )


def _is_damaged_store(store: Path) -> bool:
    """Return whether a folder that cannot be opened was one of labels of this program."""
    if (store / JOURNAL_FILE_NAME).is_file():
        return True
    for name in ZARR_METADATA_FILES:
        try:
            if f'"{RECORD_KEY}"'.encode() in read_small_file(store / name):
                return True
        except (OSError, UserError):
            continue
    return False


def remove_partial_chunks(store: Path) -> None:
    """Remove what a program that was killed has left of chunks that it was writing."""
    for path in _iter_level_files(store):
        if path.suffix == PARTIAL_SUFFIX:
            path.unlink(missing_ok=True)


def read_chunk_files(store: Path) -> dict[str, ChunkFile]:
    """Read size and checksum of all files of the arrays of a store, by their place in it."""
    return {
        path.relative_to(store).as_posix(): read_chunk_file(path)
        for path in _iter_level_files(store)
        if path.suffix != PARTIAL_SUFFIX and path.name != ATTRIBUTES_FILE
    }


def read_chunk_file(path: Path) -> ChunkFile:
    """Read size and checksum of a file of an array."""
    return ChunkFile(path.stat().st_size, file_crc32(path))


def parse_chunk_files(data: dict[str, Any]) -> dict[str, ChunkFile]:
    """Make what :func:`read_chunk_files` gave again of JSON, which somebody may have changed.

    Raises
    ------
    ValueError
        If a file is none of an array in the store, or what is known of it are no numbers.
    """
    for key, known in data.items():
        level, *place = key.split("/")
        is_inside = level.isdecimal() and place and not {"", ".", ".."} & {*place}
        if not is_inside or "\\" in key or [type(one) for one in known] != [int, int]:
            raise ValueError(f"{key} is no file of an array")
    return {key: ChunkFile(*known) for key, known in data.items()}


def iter_changed_chunks(
    store: Path, chunks: dict[str, ChunkFile], checksums: bool = False
) -> Iterator[str]:
    """Yield the files of arrays that are missing, or are others than before.

    Parameters
    ----------
    store : Path
    chunks : dict of str to ChunkFile
        As of :func:`read_chunk_files`.
    checksums : bool, optional
        Whether files are read, too; else only their sizes are compared.
    """
    for key, known in chunks.items():
        path = store / key
        try:
            is_same = path.stat().st_size == known.size and (
                not checksums or file_crc32(path) == known.crc
            )
        except (OSError, UserError):
            is_same = False
        if not is_same:
            yield key


def _iter_level_files(store: Path) -> Iterator[Path]:
    for level in sorted(path for path in store.iterdir() if path.name.isdecimal()):
        for folder, _, names in os.walk(level):
            yield from (Path(folder, name) for name in sorted(names))
