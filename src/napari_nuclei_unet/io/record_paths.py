"""Paths in the record of a result: in memory absolute, in files without the names of users.

A file with a record may leave the computer, together with its image or without it.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from .paths import printable
from .temporary import find_final_folder

# "absolute" in this environment variable: records hold the paths of this computer.
PATHS_VARIABLE, ABSOLUTE = "NUCLEI_UNET_RECORD_PATHS", "absolute"
# Entries of a record that are paths, beside that of its source.
PATH_KEYS = ("model_file", "store")
# A file that another one names is near if it is in one of so many folders above that.
NEAR_FOLDERS = 3
# Folders in which each user has one.
USERS_FOLDERS = ("home", "users")


def keeps_absolute_paths() -> bool:
    """Return whether the user wants absolute paths in files."""
    return os.environ.get(PATHS_VARIABLE, "").strip().lower() == ABSOLUTE


def real_path(path: str | Path) -> Path:
    """Return an absolute path without links; one that leads back to itself stays (it has no end).

    ``Path.resolve`` raises a RuntimeError there, in some versions of Python.
    """
    return Path(os.path.realpath(path))


def shorten_paths(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return a record as a file holds it: paths relative to its folder, or names alone.

    Parameters
    ----------
    record : mapping
    file : Path
        Or a folder of zarr. It may be written aside now.
    """
    if keeps_absolute_paths():
        return dict(record)
    folder = find_final_folder(file)
    return _map_paths(record, lambda text: _shorten(text, folder))


def drop_folders(message: str, files: Iterable[Path]) -> str:
    """Return a message as a file holds it: without the folders above these files.

    What lies beside them, or in them, keeps its path from there.
    """
    if keeps_absolute_paths():
        return message
    both = [one.parent for file in files for one in (file.absolute(), real_path(file))]
    texts = {write(folder) for folder in both for write in (str, printable)}
    for text in sorted(texts, key=len, reverse=True):
        message = message.replace(text.rstrip(os.sep) + os.sep, "")
    return message


def resolve_paths(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return a record of a file as of :func:`shorten_paths`, with absolute paths of what exists."""
    folder = find_final_folder(file)
    return _map_paths(record, lambda text: _resolve(text, folder))


def name_paths(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with names instead of paths: the same of files in different folders."""
    return _map_paths(record, lambda text: PureWindowsPath(text).name)


def name_image_of_run(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return what a run is of with the name of its image: earlier versions wrote its path."""
    image = fingerprint.get("image")
    if not (isinstance(image, list | tuple) and image and isinstance(image[0], str)):
        return fingerprint
    return fingerprint | {"image": [PureWindowsPath(image[0]).name, *image[1:]]}


def is_far(path: str | Path, folder: Path) -> bool:
    """Return whether a file is none that one expects to be read with a file in a folder.

    Such files are read, but not without a word.
    """
    near = [real_path(folder), *real_path(folder).parents][:NEAR_FOLDERS]
    return near[-1] not in real_path(path).parents


def relative_path(path: str | Path, folder: Path) -> str | None:
    """Return the path of a file from a folder, with slashes; None if they share no disk."""
    try:
        relative = os.path.relpath(real_path(path), real_path(folder))
    except ValueError:  # on another drive of Windows
        return None
    return PurePath(relative).as_posix()


def _map_paths(record: Mapping[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    """Convert the paths in a record, also that of the image in messages of what has failed."""
    mapped = dict(record)
    mapped |= {key: convert(mapped[key]) for key in PATH_KEYS if isinstance(mapped.get(key), str)}
    source, failed = record.get("source"), record.get("failed")
    if isinstance(source, Mapping) and isinstance(old := source.get("path"), str):
        new = convert(old)
        mapped["source"] = {**source, "path": new}
        if isinstance(failed, list | tuple):
            mapped["failed"] = [str(message).replace(old, new) for message in failed]
    if isinstance(fingerprint := record.get("wish"), dict):
        mapped["wish"] = name_image_of_run(fingerprint)
    return mapped


def _shorten(text: str, folder: Path) -> str:
    if not Path(text).is_absolute():  # also an address of the network
        return text
    file, relative = Path(text), relative_path(text, folder)
    if relative is None or _share_the_disk_only(file, folder) or _names_a_user(relative):
        return file.name
    return relative


def _share_the_disk_only(file: Path, folder: Path) -> bool:
    """Return whether two paths share no more than the disk, so that one tells all of the other."""
    common = Path(os.path.commonpath([real_path(file), real_path(folder)]))
    return common == common.parent


def _names_a_user(relative: str) -> bool:
    users = set(USERS_FOLDERS)
    with suppress(OSError, KeyError, ImportError, RuntimeError):  # some containers know no user
        users |= {Path.home().name.casefold(), getpass.getuser().casefold()}
    return not users.isdisjoint(part.casefold() for part in PurePath(relative).parts)


def _resolve(text: str, folder: Path) -> str:
    if not text or "://" in text or Path(text).is_absolute():
        return text
    path = os.path.normpath(real_path(folder) / text)
    try:
        return path if os.path.exists(path) else text
    except ValueError:  # no name that this system can have
        return text
