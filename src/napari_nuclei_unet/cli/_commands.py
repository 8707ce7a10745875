"""All commands, and how they end."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ..errors import UserError
from ..labels.threads import set_wait_policy
from ..limits import DEFAULT_LIMITS, Limits
from ..memory import explain_out_of_memory
from . import _bench, _convert, _evaluate, _measure, _models, _segment, _train
from ._common import Parser, print_error, report_stopped, silence_libraries


def run_command(argv: Sequence[str] | None, limits: Limits | None) -> int:
    """Run a command, and return its exit code; arguments as of :func:`.main`.

    Raises
    ------
    BrokenPipeError
        If nobody reads what is printed.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may have what a screen lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    set_wait_policy()
    given = [_as_path(text) for text in (sys.argv[1:] if argv is None else argv)]
    args = _parser().parse_args(given, argparse.Namespace(limits=limits or DEFAULT_LIMITS))
    try:
        with silence_libraries(), explain_out_of_memory():
            return int(args.command(args) or 0)
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        return report_stopped()


def _as_path(text: str) -> str:
    """Return an argument that is a file whose name begins with a dash, as no flag begins."""
    is_file = text.startswith("-") and "." in text and os.path.lexists(text)
    return os.path.join(os.curdir, text) if is_file else text


def _parser() -> Parser:
    parser = Parser(
        prog="nuclei-unet", description="Find and separate nuclei in microscope images."
    )
    parser.add_argument("--version", action="version", version=version("napari-nuclei-unet"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _segment.add_segment_command(commands)
    _bench.add_bench_commands(commands)
    _convert.add_convert_command(commands)
    _measure.add_measure_command(commands)
    _evaluate.add_evaluate_command(commands)
    _models.add_models_command(commands)
    _train.add_train_command(commands)
    return parser
