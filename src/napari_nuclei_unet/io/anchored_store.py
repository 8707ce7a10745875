"""Folders of zarr that must stay where they were opened, and are written nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .atomic import removed_error
from .readers.ome_zarr import ZARR_METADATA_FILES
from .zarr_nodes import FileStore

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class AnchoredStore(FileStore):
    """A folder of zarr that was opened, and is not created again where it was removed meanwhile.

    zarr would read zeros from it, and write chunks into a new folder without their array. Nor does
    it write through links to other folders.

    Parameters
    ----------
    root : Path or str
    read_only : bool, optional
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        files = (self.root / name for name in ZARR_METADATA_FILES)
        self._anchor = next((file for file in files if file.is_file()), None)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a file; None if only that is missing."""
        found = await super().get(key, prototype, byte_range)
        if found is None:
            self._check()
        return found

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file."""
        self._check_target(key)
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file that does not exist."""
        self._check_target(key)
        await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        """Remove a file."""
        self._check_target(key)
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove a folder."""
        self._check_target(f"{prefix}/")
        await super().delete_dir(prefix)

    def _check_target(self, key: str) -> None:
        """Raise an error if a file is not in the folder itself, or that is gone."""
        self._check()
        folder = self.root
        for name in key.split("/")[:-1]:
            folder /= name
            if folder.is_symlink():
                raise UserError(
                    f"{folder} is a link to another folder, in which nothing is written: put a "
                    f"copy of that in its place, or make {self.root} anew with `overwrite`."
                )

    def _check(self) -> None:
        """Raise an error if the folder is gone."""
        if self._anchor is not None and not self._anchor.is_file():
            raise removed_error(self.root)
