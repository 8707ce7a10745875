"""The command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..network.loading import describe_damage
from ._interruption import PIPE_CLOSED, ending_at_interruption

if TYPE_CHECKING:
    from ..limits import Limits


def main(argv: Sequence[str] | None = None, limits: Limits | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; ``sys.argv`` without.
    limits : Limits, optional

    Returns
    -------
    int
        Exit code: 0, or 2 after an error, which is printed on stderr in one line, 130 after
        Ctrl-C, or 141 if the output was closed, as by ``| head``. A training that Ctrl-C stops
        prints where its best model is: 2.
    """
    try:
        with ending_at_interruption():
            # here: loading takes a second, in which Ctrl-C may come
            from ._commands import run_command
        done = run_command(argv, limits)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except ImportError as error:
        if (error.name or "").startswith(__package__.partition(".")[0]):
            raise  # a mistake of this program
        print(f"nuclei-unet: {describe_damage(error)}", file=sys.stderr)
        return 2
    return done


def _discard_output() -> None:
    """Write what is left of the output nowhere: Python would complain of it in the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
