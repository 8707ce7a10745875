"""Damaged chunks of labels: found, or cleared where nothing of them is finished yet."""

from __future__ import annotations

import contextlib
import itertools
import stat
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .ome_zarr import LabelsStore
from .store_files import ChunkFile, iter_changed_chunks, read_chunk_file
from .zarr_levels import (
    DamagedChunkError,
    list_chunk_boxes,
    list_chunk_numbers,
    read_chunks,
    read_every_second,
    unreadable_error,
)

Place = tuple[int | slice, ...]


class RepairableLabels(Protocol):
    """Labels that can be read and written in parts; an ``ome_zarr.LabelsStore`` is one."""

    labels: Any

    @property
    def path(self) -> Path:
        """Their folder."""

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
        if checksums or not _is_readable(store, key):
            raise UserError(
                f"{store.path} is damaged, or was changed by another program, as {key} is not what "
                "it was: copy it again, or make it anew with `overwrite`."
            )


def read_written_chunks(store: RepairableLabels, place: Place) -> dict[str, ChunkFile]:
    """Read size and checksum of files at full resolution, by their place in the folder.

    Parameters
    ----------
    store : RepairableLabels
    place : tuple of int or slice
        Axes that are left out count as a whole. Chunks of background have no file.
    """
    files = {}
    for numbers in list_chunk_numbers(store.labels, place):
        key = _chunk_key(store, numbers)
        with contextlib.suppress(FileNotFoundError):
            files[key] = read_chunk_file(store.path / key)
    return files


def find_lost_chunks(store: LabelsStore, chunks: dict[str, ChunkFile], checksums: bool) -> set[str]:
    """Find the chunks of unfinished labels that are gone, or cannot be read any more.

    Others may differ from what they were, as a block that was not finished has written to them,
    or somebody has painted; with ``checksums``, they are lost, too.
    """
    changed = iter_changed_chunks(store.path, chunks, checksums=True)
    return {key for key in changed if checksums or not _is_readable(store, key)}


def check_levels(store: LabelsStore, nuclei: int) -> None:
    """Check that labels of which no checksums are known are whole, as far as they show it.

    Each level must be every second pixel of that below, and each nucleus must be there.

    Parameters
    ----------
    store : LabelsStore
    nuclei : int
        Their ids are 1 to this.

    Raises
    ------
    UserError
        If they are not.
    """
    levels, axes = store.levels, store.grid.axes
    is_found = np.zeros(nuclei + 1, bool)
    for box in list_chunk_boxes(levels[0]):
        labels = store.read(box)
        if labels.min(initial=0) < 0 or labels.max(initial=0) > nuclei:
            raise _not_whole_error(store)
        is_found[labels] = True
    if not is_found[1:].all():
        raise _not_whole_error(store)
    for below, level in itertools.pairwise(levels):
        for box in list_chunk_boxes(level):
            expected = read_every_second(below, box, axes, store.path)
            if not np.array_equal(read_chunks(level, box, store.path), expected):
                raise _not_whole_error(store)


def _not_whole_error(store: LabelsStore) -> UserError:
    return UserError(
        f"{store.path} is damaged, or was changed, as parts of its labels are missing: copy it "
        "again, or make it anew with `overwrite`."
    )


def _is_readable(store: LabelsStore, key: str) -> bool:
    """Return whether a file of an array, such as "0/3/5", is a chunk that can be read."""
    try:
        if not stat.S_ISREG((store.path / key).stat().st_mode):
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable_error(store.path, error) from error
    level, *place = key.split("/")
    numbers = [int(part) for part in place if part.isdecimal()]  # of zarr 3 they follow a "c"
    if int(level) >= len(store.levels):
        return False
    array: Any = store.levels[int(level)]
    if len(numbers) != array.ndim:
        return False
    lengths = zip(numbers, array.chunks, array.shape, strict=True)
    box = tuple(slice(at * edge, min((at + 1) * edge, n)) for at, edge, n in lengths)
    try:
        read_chunks(array, box, store.path)
    except DamagedChunkError:
        return False
    return True


def clear_labels_above(store: RepairableLabels, nuclei: int, lost: set[str]) -> None:
    """Fill the nuclei that follow so many with background, and all chunks that are lost.

    Parameters
    ----------
    store : RepairableLabels
    nuclei : int
    lost : set of str
        As of :func:`find_lost_chunks`. Others that cannot be read count as lost.
    """
    keys = (_chunk_key(store, numbers) for numbers in list_chunk_numbers(store.labels, ()))
    for key, box in zip(keys, list_chunk_boxes(store.labels), strict=True):
        try:
            labels = np.where(key in lost, nuclei + 1, store.read(box))
        except DamagedChunkError:
            labels = np.full([at.stop - at.start for at in box], nuclei + 1)
        if (labels > nuclei).any():
            store.write(box, np.where(labels > nuclei, 0, labels))


def _chunk_key(store: RepairableLabels, numbers: tuple[int, ...]) -> str:
    """Return the place of a chunk in the folder."""
    return f"{store.labels.path}/{store.labels.metadata.encode_chunk_key(numbers)}"


def clear_unreadable(store: RepairableLabels, place: Place) -> None:
    """Fill chunks that cannot be read with background: a run that was killed has left them.

    Parameters
    ----------
    store : RepairableLabels
    place : tuple of int or slice
        Where such chunks may be.
    """
    for box in list_chunk_boxes(store.labels):
        if not _is_overlapping(box, place):
            continue
        try:
            store.read(box)
        except DamagedChunkError:
            store.write(box, 0)


def _is_overlapping(box: tuple[slice, ...], place: Place) -> bool:
    """Return whether a box, and a place on the same axes, have pixels in common."""
    parts = [at if isinstance(at, slice) else slice(at, at + 1) for at in place]
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(box, parts, strict=True))
