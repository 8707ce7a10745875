"""Damaged chunks of labels: found, or cleared where nothing of them is finished yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .ome_zarr import LabelsStore
from .store_files import ChunkFile, iter_changed_chunks
from .zarr_levels import list_chunk_boxes, read_chunks

Place = tuple[int | slice, ...]


class RepairableLabels(Protocol):
    """Labels that can be read and written in parts; an ``ome_zarr.LabelsStore`` is one."""

    labels: Any

    def read(self, place: Place) -> NDArray[np.integer]:
        """Read labels."""

    def write(self, place: Place, values: NDArray[np.integer] | int) -> None:
        """Write labels."""


def check_chunks(store: LabelsStore, chunks: dict[str, ChunkFile], checksums: bool) -> None:
    """Check that all chunks of finished labels are there, and as long as they were.

    Chunks of another length that can be read are those of labels that somebody has painted.

    Parameters
    ----------
    store : LabelsStore
    chunks : dict of str to ChunkFile
        As of ``store_files.read_chunk_files``.
    checksums : bool
        Whether all files are read, and must be what they were.

    Raises
    ------
    UserError
        If they are not.
    """
    for key in iter_changed_chunks(store.path, chunks, checksums):
        if checksums or not ((store.path / key).is_file() and _is_readable(store, key)):
            raise UserError(
                f"{store.path} is damaged, or was changed by another program, as {key} is not what "
                "it was: copy it again, or make it anew with `overwrite`."
            )


def _is_readable(store: LabelsStore, key: str) -> bool:
    """Return whether a file of an array, such as "0/3/5", is a chunk that can be read."""
    level, *place = key.split("/")
    numbers = [int(part) for part in place if part.isdecimal()]  # of zarr 3 they follow a "c"
    array: Any = store.levels[int(level)]
    if len(numbers) != array.ndim:
        return False
    lengths = zip(numbers, array.chunks, array.shape, strict=True)
    box = tuple(slice(at * edge, min((at + 1) * edge, n)) for at, edge, n in lengths)
    try:
        read_chunks(array, box, store.path)
    except UserError:
        return False
    return True


def clear_unreadable(store: RepairableLabels, place: Place, kept: Sequence[Place]) -> None:
    """Fill chunks that cannot be read with background: a run that was killed has left them.

    Parameters
    ----------
    store : RepairableLabels
    place : tuple of int or slice
        Where such chunks may be.
    kept : sequence of tuple of int or slice
        Where labels are finished.

    Raises
    ------
    UserError
        If a chunk that cannot be read has some of those.
    """
    for box in list_chunk_boxes(store.labels):
        if not _is_overlapping(box, place):
            continue
        try:
            store.read(box)
        except UserError:
            if any(_is_overlapping(box, one) for one in kept):
                raise
            store.write(box, 0)


def _is_overlapping(box: tuple[slice, ...], place: Place) -> bool:
    """Return whether a box, and a place on the same axes, have pixels in common."""
    parts = [at if isinstance(at, slice) else slice(at, at + 1) for at in place]
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(box, parts, strict=True))
