"""JSON that somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .openable import read_small_file


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is none, or nested deeper than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises
    ------
    UserError, OSError
        As :func:`.openable.read_small_file`.
    ValueError
        As :func:`parse_json`.
    """
    return parse_json(read_small_file(path))
