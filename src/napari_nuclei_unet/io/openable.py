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
        if error.errno != errno.ELOOP:
            return
        raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UserError(f"{path} is {kind}, not a file: move it away, or choose another path.")
