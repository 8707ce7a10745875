"""How the program ends when it is stopped, or nobody reads what it prints."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Exit codes, as shells give them to programs that these signals end: SIGINT, SIGPIPE.
INTERRUPTED, PIPE_CLOSED = 130, 141


@contextmanager
def ending_at_interruption() -> Iterator[None]:
    """End the program at once at Ctrl-C, while modules are loaded and nothing is written yet.

    A KeyboardInterrupt would be shown with its traceback, and modules that are half loaded turn it
    into all sorts of errors.
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    os.write(2, b"nuclei-unet: stopped before it began.\n")
    os._exit(INTERRUPTED)
