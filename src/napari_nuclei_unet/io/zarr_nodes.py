"""Opening groups and arrays of zarr, of which no pipe or device is ever read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from zarr.storage import LocalStore

from ..errors import UserError
from .openable import check_openable


class FileStore(LocalStore):
    """A folder of zarr; what is no file in place of metadata or of a chunk is refused."""

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """Read a value; None where it is missing."""
        check_openable(self.root / key)
        return await super().get(key, *args, **options)

    def get_sync(self, key: str, **options: Any) -> Any:
        """Read a value; None where it is missing."""
        check_openable(self.root / key)
        return super().get_sync(key, **options)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> Any:
        """Read parts of values."""
        wanted = list(key_ranges)
        for key, _ in wanted:
            check_openable(self.root / key)
        return await super().get_partial_values(prototype, wanted)


def open_node(path: str | Path, **options: Any) -> Any:
    """Open a group or an array for reading; options as of ``zarr.open``."""
    return zarr.open(_create_store(path), mode="r", **options)


def open_group(path: str | Path) -> zarr.Group:
    """Open a group for reading, from its own metadata alone."""
    return zarr.open_group(_create_store(path), mode="r", use_consolidated=False)


def _create_store(path: str | Path) -> FileStore:
    """Create a store for a folder that exists: zarr's message for others is of no help."""
    if not Path(path).is_dir():
        raise UserError(f"There is no folder {path}.")
    return FileStore(path, read_only=True)
