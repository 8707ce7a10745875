"""What all commands share: flags made of parameters, and how mistakes are told."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import NoReturn, TypeAlias, TypeVar, get_args, get_type_hints

from napari_nuclei_unet.errors import UserError, name_parameters
from napari_nuclei_unet.params import PARAMETER_LABELS, SegmentParams, TrainParams

# What --help calls the default of a parameter that is None and does not come from the model.
AUTOMATIC_DEFAULTS = {"diameter": "measured"}
FLAGS = {name: "--" + name.replace("_", "-") for name in PARAMETER_LABELS}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def print_error(error: UserError | OSError, prefix: str = "") -> None:
    """Tell a mistake on stderr, in one line."""
    print(f"nuclei-unet: {prefix}{error_message(error)}", file=sys.stderr)


def report_stopped(is_resumable: bool = False) -> int:
    """Say what Ctrl-C has left, and whether the same command goes on with it; the exit code."""
    left = (
        "what is finished stays, and the same command goes on from there"
        if is_resumable
        else "the files that were finished stay"
    )
    print(f"nuclei-unet: stopped; {left}.", file=sys.stderr)
    return 130


def error_message(error: UserError | OSError) -> str:
    """Say a mistake in one sentence."""
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'}: {error.strerror or error}."
    return name_flags(str(error))


def name_flags(message: str) -> str:
    """Name the parameters of a message as flags."""
    return name_parameters(message, FLAGS)


def add_flags(parser: argparse.ArgumentParser, params: type) -> None:
    """Add one flag for every field of a parameter dataclass; one that is not given is None.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    params : type
        ``SegmentParams`` or ``TrainParams``.
    """
    types = get_type_hints(params)
    for one in dataclasses.fields(params):
        hint = types[one.name]
        default = (
            AUTOMATIC_DEFAULTS.get(one.name, "the model's own")
            if one.default is None
            else one.default
        )
        parser.add_argument(
            FLAGS[one.name],
            dest=one.name,
            type=next((t for t in get_args(hint) if t is not type(None)), hint),
            choices=one.metadata.get("choices"),
            metavar=None if "choices" in one.metadata else "N",
            help=f"{one.metadata['help']} Default: {default}.".replace("%", "%%"),
        )


_Params = TypeVar("_Params", SegmentParams, TrainParams)


def params_from_flags(args: argparse.Namespace, base: _Params) -> _Params:
    """Change what the flags of :func:`add_flags` say in a set of parameters."""
    given = {one.name: getattr(args, one.name) for one in dataclasses.fields(base)}
    return dataclasses.replace(base, **{k: v for k, v in given.items() if v is not None})
