"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from napari_nuclei_unet.errors import UserError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Write a file aside, then move it to its place.

    Parameters
    ----------
    path : Path
        Where the file shall be; its folder is made.

    Yields
    ------
    Path
        Where to write, with the same suffix. It is gone afterwards, whatever happens.

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
        raise UserError(
            f"{path} cannot be written ({reason}): choose another folder or free some space."
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Find out before the work that the results will have a place.

    Raises
    ------
    UserError
        If the folder cannot be made, or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} cannot be written ({reason}): choose another folder.") from error
