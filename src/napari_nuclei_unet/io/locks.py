"""Locks: only one program at a time writes a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UserError


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Lock a result against other programs that write it; reading stays possible.

    The system releases the lock when the program ends, however it ends. File systems without
    locks, such as some network drives, are not protected.

    Parameters
    ----------
    path : Path
        Of the result. A hidden file beside it exists as long as it is locked.

    Raises
    ------
    UserError
        If another program writes it.
    """
    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file, timeout=0, thread_local=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{path} is being written by another program: wait until that is finished, or choose "
            "another folder."
        ) from None
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                file.unlink()  # before the release: a program waiting for it finds it gone
            lock.release()
