"""One program at a time writes a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_nuclei_unet.errors import UserError


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Keep other programs from writing a result; those that only read are not stopped.

    The system takes the lock back when a program ends, however it ends. Where a file system has no
    locks, as some of the network, nothing is kept from anybody.

    Parameters
    ----------
    path : Path
        Of the result. Beside it a hidden file stands as long as it is locked.

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
                file.unlink()  # before it is free: who waits for this one finds it gone
            lock.release()
