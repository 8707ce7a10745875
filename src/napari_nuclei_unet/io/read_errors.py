"""The sentence that says why a file cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from .file_kinds import describe_kind


@contextmanager
def silence_tifffile() -> Iterator[None]:
    """Drop what tifffile logs: whether a file is whole is checked, and said in a sentence."""
    log = logging.getLogger("tifffile")

    def drop(_: logging.LogRecord) -> bool:
        return False

    log.addFilter(drop)
    try:
        yield
    finally:
        log.removeFilter(drop)


@contextmanager
def convert_decoder_errors(path: Path, passed: type[Exception] = UserError) -> Iterator[None]:
    """Convert whatever decoders raise to a :class:`UserError`, but errors of the type passed."""
    try:
        yield
    except (UserError, passed):
        raise
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: permission denied.") from error
    except Exception as error:  # decoders raise all sorts, each meaning the same to the user
        if known := describe_kind(path):
            raise UserError(known) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} cannot be read: it is not a known kind of image, or damaged ({reason})."
        ) from error
