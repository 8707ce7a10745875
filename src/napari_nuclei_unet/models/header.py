"""The header of a model file: its metadata, and the shapes of its weights; no weight is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import UserError
from ..io.openable import check_openable

# A header has some hundred kilobytes after a thousand epochs, and so many bytes before it say how
# many. Those of 32 MiB took seconds to parse, and 260 MB.
MAX_HEADER_BYTES, LENGTH_BYTES = 4 * 2**20, 8


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a model file; empty if it has none.

    Raises
    ------
    UserError
        If it is no whole file of safetensors, or has a header of unusual length.
    """
    with _open_header(path) as opened:
        return dict(opened.metadata() or {})


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shapes of the weights in a model file, by their names.

    Raises
    ------
    UserError
        As :func:`read_metadata`.
    """
    with _open_header(path) as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


@contextmanager
def _open_header(path: Path) -> Iterator[Any]:
    try:
        check_openable(path)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        # what is no safetensors at all has a length beyond any
        if MAX_HEADER_BYTES < length <= path.stat().st_size:
            raise UserError(f"{path.name} is no model: its header has {length:,} bytes.")
        with safe_open(path, framework="np") as opened:
            yield opened
    except (SafetensorError, OSError, MemoryError) as error:
        raise UserError(
            f"{path.name} is an incomplete safetensors file; copy or download it again. ({error})"
        ) from error
