"""What is printed of an image: at once, or when it is its turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from ..errors import UserError
from ..io.paths import printable
from ..progress import Step, Stop, check_interruption, run
from ._bar import run_with_bar
from ._common import name_flags, print_error

_Result = TypeVar("_Result")


class Console(Protocol):
    """Takes what is printed of an image."""

    def print(self, line: str) -> None:
        """Print a line on stdout."""

    def print_error(self, error: UserError | OSError, prefix: str) -> None:
        """Print an error on stderr, in one line."""

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end; print its notices on stderr."""


class Screen:
    """Prints at once, with a progress bar; its methods are those of :class:`Console`."""

    def print(self, line: str) -> None:
        """Print a line on stdout."""
        print(printable(line), flush=True)

    def print_error(self, error: UserError | OSError, prefix: str) -> None:
        """Print an error on stderr, in one line."""
        print_error(error, prefix)

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end; print its notices on stderr."""
        return run_with_bar(steps, name)


@dataclass(frozen=True)
class Transcript:
    """Keeps what is printed of an image in a thread, until :meth:`replay`.

    Its methods are those of :class:`Console`.
    """

    _kept: list[Callable[[], None]] = field(default_factory=list)

    def print(self, line: str) -> None:
        """Print a line on stdout."""
        self._kept.append(partial(print, printable(line), flush=True))

    def print_error(self, error: UserError | OSError, prefix: str) -> None:
        """Print an error on stderr, in one line."""
        self._kept.append(partial(print_error, error, prefix))

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end; print its notices on stderr."""
        notices: dict[str, None] = {}

        def keep(step: Step) -> None:
            check_interruption()
            notices[step.notice] = None

        result = run(steps, keep)
        notices |= dict.fromkeys(getattr(result, "notices", ()))
        for notice in filter(None, notices):
            line = printable(f"{name}: {name_flags(notice)}")
            self._kept.append(partial(print, line, file=sys.stderr))
        return result

    def replay(self) -> None:
        """Print what was kept."""
        for show in self._kept:
            show()
