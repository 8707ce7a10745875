"""The user's own models: saved under unique names, renamed, copied, deleted."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import struct
from itertools import count
from pathlib import Path

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.openable import check_openable
from ..io.paths import MAX_NAME_LENGTH, sanitize_name
from .model import ModelCard, read_card, read_model, shipped_models

MODEL_SUFFIX = ".safetensors"
# A choice beside the models: training from the beginning.
RANDOM_WEIGHTS_NAME = "random weights"


def check_model_name(name: str) -> str:
    """Check the name of a model, and return it without spaces around it.

    Raises
    ------
    UserError
        If it is no valid file name, or that of a model of the package.
    """
    name = name.strip()
    if sanitize_name(name, "") != name or not name:
        raise UserError(
            f"'{name}' cannot be the name of a model: use letters, digits, spaces, - and _, at "
            f"most {MAX_NAME_LENGTH}."
        )
    if name.lower() in {taken.lower() for taken in (*shipped_models(), RANDOM_WEIGHTS_NAME)}:
        raise UserError(f"'{name}' cannot be the name of a model of your own: choose another name.")
    return name


def find_free_model_path(folder: Path, name: str) -> Path:
    """Find a free file for a new model: its name, with a number where that is taken.

    Raises
    ------
    UserError
        As :func:`check_model_name`.
    """
    name = check_model_name(name)
    if not _is_name_taken(folder, name):
        return folder / f"{name}{MODEL_SUFFIX}"
    bare = re.sub(r" \d+$", "", name)
    return next(
        folder / f"{bare} {version}{MODEL_SUFFIX}"
        for version in count(2)
        if not _is_name_taken(folder, f"{bare} {version}")
    )


def _is_name_taken(folder: Path, name: str) -> bool:
    try:
        # some file systems ignore case
        return name.lower() in {path.stem.lower() for path in folder.glob(f"*{MODEL_SUFFIX}")}
    except OSError:  # not readable; writing reports it
        return False


def rename_model(path: Path, name: str) -> Path:
    """Rename a model, also in its card, and return its new path.

    Raises
    ------
    UserError
        If the name is taken or invalid, or the file cannot be written.
    """
    name = check_model_name(name)
    to = path.with_name(f"{name}{MODEL_SUFFIX}")
    if _is_name_taken(path.parent, name) and name.lower() != path.stem.lower():
        raise UserError(f"There already is a model '{name}': choose another name.")
    card = read_card(path)
    with atomic_write(to) as aside:
        _copy_with_card(path, dataclasses.replace(card, name=name), aside)
    if not (to.exists() and path.exists() and to.samefile(path)):
        delete_model(path)
    return to


def _copy_with_card(path: Path, card: ModelCard, to: Path) -> None:
    """Copy a model with another card, and its weights byte for byte."""
    with path.open("rb") as model, to.open("wb") as out:
        (size,) = struct.unpack("<Q", model.read(8))
        header = json.loads(model.read(size))
        header["__metadata__"]["card"] = json.dumps(dataclasses.asdict(card))
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)  # weights begin at a multiple of 8 bytes
        out.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(model, out)


def delete_model(path: Path) -> None:
    """Delete a model.

    Raises
    ------
    UserError
        If that is not possible.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be removed ({error.strerror}).") from error


def import_model(path: Path, folder: Path, overwrite: bool = False) -> Path:
    """Copy a model file into a folder, under its own name.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file of this plugin; it is read completely and checked.
    folder : Path
    overwrite : bool, optional
        Replace a model of this name; not one of the package.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    UserError
        If it is no model, its name is taken or that of a model of the package, or it cannot be
        written.
    """
    check_openable(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file that ends in {MODEL_SUFFIX}.")
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    name = check_model_name(path.stem)
    if _is_name_taken(folder, name) and not overwrite:
        raise UserError(
            f"There already is a model '{name}': give the file another name, or `overwrite` it."
        )
    read_model(path)
    to = folder / f"{name}{MODEL_SUFFIX}"
    copy_from_library(path, to)
    return to


def copy_into_library(path: Path, folder: Path) -> Path:
    """Copy a model file into a folder, under its name or the next free one.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file of this plugin; it is read completely and checked.
    folder : Path

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    UserError
        If it is no model, or cannot be written.
    """
    read_model(path)
    to = find_path_for_copy(folder, path.stem)
    copy_from_library(path, to)
    return to


def find_path_for_copy(folder: Path, name: str) -> Path:
    """Find a free file for a model that is copied, whatever its name."""
    try:
        return find_free_model_path(folder, name)
    except UserError:  # the name of a model of the package, or no valid file name
        return find_free_model_path(
            folder, f"{sanitize_name(name, 'model')[: MAX_NAME_LENGTH - 10]} copy"
        )


def copy_from_library(path: Path, to: Path) -> None:
    """Copy a model to a file of any name; it appears whole or not at all.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    read_card(path)
    with atomic_write(to) as aside:
        shutil.copyfile(path, aside)
