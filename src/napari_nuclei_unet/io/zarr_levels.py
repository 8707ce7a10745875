"""Levels of OME-Zarr: arrays of zarr that are written and read chunk by chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.tiling import split_extent
from ..errors import UserError
from .labels import RECORD_KEY
from .ngff import ZARR_FORMATS, LabelsGrid, NgffVersion, with_ngff

if TYPE_CHECKING:
    import zarr

# What QuPath, Fiji and napari-ome-zarr all read, in the words of each format of zarr.
COMPRESSORS: dict[int, Any] = {
    2: {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1, "blocksize": 0},
    3: {
        "name": "blosc",
        "configuration": {"cname": "zstd", "clevel": 5, "shuffle": "shuffle"},
    },
}


class DamagedChunkError(UserError):
    """A chunk that cannot be decoded."""


@contextmanager
def convert_write_errors(path: Path) -> Iterator[None]:
    """Convert errors of writing to a folder to a :class:`UserError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be written ({reason}): choose another folder or free some space."
        ) from error


def unreadable_error(path: Path, error: OSError) -> UserError:
    """Return the error for a folder that cannot be read now, though it may be whole."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check that its disk or server is "
        "connected, then run it again."
    )


def create_labels_group(
    path: Path,
    name: str,
    grid: LabelsGrid,
    dtype: np.dtype[Any],
    chunk: int,
    version: NgffVersion,
) -> None:
    """Create labels of background, with their metadata."""
    # takes a moment to load, and few labels are zarr
    import zarr

    if dtype.kind not in "ui":
        raise ValueError(f"labels are integers, not {dtype}")
    ngff = grid.to_ngff(name, 1, version)
    about = with_ngff(ngff, **{"image-label": {"version": version}})
    attributes = {**ngff, **about, RECORD_KEY: {"finished": False}}
    group = zarr.create_group(path, zarr_format=ZARR_FORMATS[version], attributes=attributes)
    add_level(group, 0, grid, grid.chunks(chunk), dtype)


def add_level(
    group: zarr.Group, level: int, grid: LabelsGrid, chunks: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    """Add an empty level with a grid of its shape."""
    is_v2 = group.metadata.zarr_format == 2
    return group.create_array(
        str(level),
        shape=grid.shape,
        dtype=dtype,
        chunks=tuple(max(1, min(pair)) for pair in zip(chunks, grid.shape, strict=True)),
        compressors=COMPRESSORS[group.metadata.zarr_format],
        fill_value=0,
        chunk_key_encoding={"name": "v2" if is_v2 else "default", "separator": "/"},
        dimension_names=None if is_v2 else list(grid.axes.lower()),
        overwrite=True,
    )


def list_chunk_boxes(array: Any) -> list[tuple[slice, ...]]:
    """List the boxes of the chunks of an array."""
    axes = zip(array.shape, array.chunks, strict=True)
    return list(itertools.product(*(split_extent(slice(0, n), edge) for n, edge in axes)))


def list_chunk_numbers(array: Any, place: tuple[int | slice, ...]) -> list[tuple[int, ...]]:
    """List the chunks, by their numbers along each axis, that overlap a part of an array."""
    whole = (slice(0, n) for n in array.shape[len(place) :])
    parts = (at if isinstance(at, slice) else slice(at, at + 1) for at in place)
    spans = zip((*parts, *whole), array.chunks, strict=True)
    return list(
        itertools.product(*(range(at.start // edge, -(-at.stop // edge)) for at, edge in spans))
    )


def read_chunks(array: Any, place: tuple[int | slice, ...], path: Path) -> NDArray[Any]:
    """Read a part of an array of labels.

    Raises
    ------
    DamagedChunkError
    UserError
        If a chunk cannot be read now.
    """
    try:
        return np.asarray(array[place])
    except (UserError, MemoryError):
        raise
    except OSError as error:
        raise unreadable_error(path, error) from error
    except Exception as error:  # codecs raise all sorts
        raise DamagedChunkError(
            f"{path} is damaged, as some of its chunks cannot be read: make it anew with "
            "`overwrite`, or under another name."
        ) from error


def read_every_second(below: Any, box: tuple[slice, ...], axes: str, path: Path) -> NDArray[Any]:
    """Read every second pixel of the level below for a chunk."""
    factors = [2 if axis in "YX" else 1 for axis in axes]
    pairs = list(zip(box, factors, strict=True))
    # the part is read with step 1, which zarr does by whole chunks
    place = tuple(slice(at.start * f, at.stop * f) for at, f in pairs)
    return read_chunks(below, place, path)[tuple(slice(None, None, f) for _, f in pairs)]
