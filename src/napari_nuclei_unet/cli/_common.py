"""Shared by all commands: flags from parameters, and error messages."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import NoReturn, TypeAlias, TypeVar, get_args, get_type_hints

from ..errors import UserError, name_parameters
from ..io.paths import printable
from ..network.loading import load_torch
from ..params import PARAMETER_LABELS, SegmentParams, TrainParams
from ._interruption import INTERRUPTED, ending_at_interruption

# Default in --help of parameters that are None and do not come from the model.
AUTOMATIC_DEFAULTS = {
    "diameter": "measured", "black": "measured", "white": "measured",
    "gamma": "measured of stained sections in colour, else 1",
}  # fmt: skip
SWITCH_WORDS = {"yes": True, "true": True, "no": False, "false": False}
FLAGS = {name: "--" + name.replace("_", "-") for name in PARAMETER_LABELS}


# Libraries that read and write files, and report on the screen what this program says itself.
QUIET_LIBRARIES = ("tifffile", "PIL", "zarr", "numcodecs", "imagecodecs")


class Parser(argparse.ArgumentParser):
    """Prints an error in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


# argparse has no public name for it
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001


def print_error(error: UserError | OSError, prefix: str = "") -> None:
    """Print an error on stderr, in one line."""
    print(f"nuclei-unet: {prefix}{error_message(error)}", file=sys.stderr)


def report_stopped(is_resumable: bool = False) -> int:
    """Print what Ctrl-C has left, and whether it can be resumed; return the exit code."""
    left = (
        "what is finished stays, and the same command goes on from there"
        if is_resumable
        else "the files that were finished stay"
    )
    print(f"nuclei-unet: stopped; {left}.", file=sys.stderr)
    return INTERRUPTED


def error_message(error: UserError | OSError) -> str:
    """Return the message of an error, in one sentence."""
    if isinstance(error, OSError):
        return printable(f"{error.filename or 'A file'}: {error.strerror or error}.")
    return printable(name_flags(str(error)))


def name_flags(message: str) -> str:
    """Name the parameters of a message as flags."""
    return name_parameters(message, FLAGS)


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Keep log lines and warnings of the libraries that read files off the screen."""
    logs = [logging.getLogger(name) for name in QUIET_LIBRARIES]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            for name in QUIET_LIBRARIES:
                warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
            warnings.filterwarnings("ignore", module=r"napari_nuclei_unet\.io(\.|$)")
            yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def loads_network(command: Callable[[argparse.Namespace], int]) -> Callable[..., int]:
    """Convert a command to one that ends with a sentence where torch cannot be loaded."""

    @wraps(command)
    def run(args: argparse.Namespace) -> int:
        with pause_garbage_collection():
            load_torch()
        return command(args)

    return run


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Load modules without searching what they make, all of which stays, for garbage.

    torch makes a million objects: looking through them again and again takes a fifth of the time
    until the first result, and as they are set aside it does not take it later either.
    """
    if not gc.isenabled() or "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        with ending_at_interruption():
            yield
    finally:
        gc.freeze()
        gc.enable()


def add_flags(parser: argparse.ArgumentParser, params: type) -> None:
    """Add one flag for every field of a parameter dataclass; one that is not given is None.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    params : type
        ``SegmentParams`` or ``TrainParams``.
    """
    types = get_type_hints(params)
    for field in dataclasses.fields(params):
        hint = types[field.name]
        default = (
            AUTOMATIC_DEFAULTS.get(field.name, "the model's own")
            if field.default is None
            else field.default
        )
        is_switch = hint is bool
        if is_switch:
            default = "yes" if default else "no"
        parser.add_argument(
            FLAGS[field.name],
            dest=field.name,
            type=parse_switch
            if is_switch
            else next((t for t in get_args(hint) if t is not type(None)), hint),
            choices=field.metadata.get("choices"),
            metavar=None if "choices" in field.metadata else "yes|no" if is_switch else "N",
            help=f"{field.metadata['help']} Default: {default}.".replace("%", "%%"),
        )


def parse_switch(text: str) -> bool:
    """Parse the value of a flag that is yes or no; True and False stand in copied commands."""
    if (word := text.lower()) not in SWITCH_WORDS:
        raise argparse.ArgumentTypeError(f"'{text}': yes or no")
    return SWITCH_WORDS[word]


def add_decimal_comma_flag(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the flag for tables with decimal commas."""
    parser.add_argument(
        "--decimal-comma", action="store_true",
        help="write tables with decimal commas (0,5) and semicolons between columns",
    )  # fmt: skip


_Params = TypeVar("_Params", SegmentParams, TrainParams)


def params_from_flags(args: argparse.Namespace, base: _Params) -> _Params:
    """Replace parameters by the values of the flags of :func:`add_flags`, where given."""
    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(base)}
    return dataclasses.replace(base, **{k: v for k, v in given.items() if v is not None})
