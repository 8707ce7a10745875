"""What may be opened: files and folders; a pipe or a device may never answer."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..errors import UserError

# Anything else that a path may lead to, with its article.
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# Of files that are read as a whole into memory, such as journals, projects and cards.
MAX_READ_BYTES = 2**30
# Of a path that no file can have, so many letters are shown.
MAX_SHOWN_LETTERS = 200


def check_openable(path: str | Path) -> None:
    """Raise an error for what is neither a file nor a folder: opening it might wait for ever.

    Every place that opens a path which this process has not just written asks here first, or
    opens it through :mod:`.zarr_nodes`.

    Parameters
    ----------
    path : str or Path
        Links are followed. What is missing, or may not be looked at, passes: opening it says so
        at once.

    Raises
    ------
    UserError
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise _no_name(path) from error
        return
    except ValueError as error:  # it has a character that this system cannot write
        raise _no_name(path) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UserError(f"{path} is {kind}, not a file: move it away, or choose another path.")


def _no_name(path: str | Path) -> UserError:
    name = ascii(str(path))
    shown = name if len(name) <= MAX_SHOWN_LETTERS else f"{name[:MAX_SHOWN_LETTERS]}..."
    return UserError(f"{shown} cannot be the name of a file: choose another one.")


def read_small_file(path: Path) -> bytes:
    """Read all of a file, which somebody else may have put there.

    Raises
    ------
    UserError
        As :func:`check_openable`, or if it is larger than any such file is.
    OSError
        If it is missing or cannot be read.
    """
    check_openable(path)
    size = path.stat().st_size
    if size > MAX_READ_BYTES:
        raise UserError(f"{path} has {size:,} bytes, more than such a file can have: move it away.")
    return path.read_bytes()
