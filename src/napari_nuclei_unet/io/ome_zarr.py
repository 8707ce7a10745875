"""Labels larger than memory: an OME-Zarr that is written block by block."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray

from ..arrays.tiling import split_extent
from ..errors import UserError
from ..limits import DEFAULT_LIMITS
from ..progress import Step
from .labels import RECORD_KEY
from .ngff import LabelsGrid

# with zarr 2 what QuPath, Fiji and napari-ome-zarr all read
BLOSC_COMPRESSOR: Any = {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1, "blocksize": 0}


class LabelsStore:
    """Labels on disk, with their pyramid and the record of their provenance.

    The store is marked as unfinished until :meth:`finish`.
    Use :meth:`create` or :meth:`open_existing`.

    Attributes
    ----------
    path : Path
    labels : zarr.Array
        Full resolution. Several processes may write at once if no two write into one chunk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._group = zarr.open_group(path, mode="r+", use_consolidated=False)
        self.labels: Any = self._group["0"]

    @classmethod
    def create(
        cls,
        path: str | Path,
        grid: LabelsGrid,
        dtype: DTypeLike,
        chunk: int = DEFAULT_LIMITS.chunk,
        overwrite: bool = False,
    ) -> LabelsStore:
        """Create a store of background, or open an existing one of the same kind.

        Parameters
        ----------
        path : str or Path
            Folder; appears whole or not at all.
        grid : LabelsGrid
        dtype : dtype
            Integer.
        chunk : int, optional
            Largest edge of a chunk, in pixels.
        overwrite : bool, optional
            Delete existing labels of this program; nothing else is ever deleted.

        Returns
        -------
        LabelsStore
            An existing store keeps its labels, record and chunks: check ``record`` and
            ``finished`` before resuming it.

        Raises
        ------
        UserError
            If something else exists there, or it cannot be written.
        """
        path = Path(path)
        with _convert_write_errors(path):
            ours = _is_labels_store(path)
            if not ours and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
                raise UserError(f"{path} exists and holds something else: choose another name.")
            if ours and not overwrite:
                store = cls.open_existing(path)
                _check_grid(store, grid, np.dtype(dtype))
                return store
            aside = path.with_name(f".{uuid4().hex}.zarr")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _create(aside, path.stem.removesuffix(".ome"), grid, np.dtype(dtype), chunk)
                old = path.with_name(f".{uuid4().hex}.zarr")
                if path.exists():
                    os.replace(path, old)  # at once: half of it would look complete
                os.replace(aside, path)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            return cls(path)

    @classmethod
    def open_existing(cls, path: str | Path) -> LabelsStore:
        """Open labels written by :meth:`create`, for reading and writing.

        Raises
        ------
        UserError
            If there are none.
        """
        path = Path(path)
        if not _is_labels_store(path):
            raise UserError(f"{path} holds no labels of this program: choose another folder.")
        return cls(path)

    @property
    def _image(self) -> dict[str, Any]:
        """NGFF metadata."""
        images: Any = self._group.attrs["multiscales"]
        return dict(images[0])

    @property
    def grid(self) -> LabelsGrid:
        """Pixel grid at full resolution."""
        axes = self._image["axes"]
        return LabelsGrid(
            tuple(self.labels.shape),
            "".join(axis["name"].upper() for axis in axes),
            tuple(self._image["datasets"][0]["coordinateTransformations"][0]["scale"]),
            tuple(axis.get("unit") for axis in axes),
        )

    @property
    def levels(self) -> list[Any]:
        """Complete zarr arrays, full resolution first, as napari takes a pyramid."""
        return [self._group[dataset["path"]] for dataset in self._image["datasets"]]

    @property
    def record(self) -> dict[str, Any]:
        """Provenance of the labels."""
        return {key: value for key, value in self._stored_record.items() if key != "finished"}

    @property
    def finished(self) -> bool:
        """Whether all labels are written."""
        return bool(self._stored_record["finished"])

    @property
    def _stored_record(self) -> dict[str, Any]:
        written: Any = self._group.attrs[RECORD_KEY]
        return dict(written)

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace the record, which is JSON; its key "finished" is reserved.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self._update_attributes({RECORD_KEY: {**record, "finished": self.finished}})

    def finish(self) -> None:
        """Mark the labels as finished.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self._update_attributes({RECORD_KEY: {**self._stored_record, "finished": True}})

    def _update_attributes(self, attributes: dict[str, Any]) -> None:
        with _convert_write_errors(self.path):
            self._group.update_attributes(attributes)

    def write(self, place: tuple[int | slice, ...], values: NDArray[np.integer] | int) -> None:
        """Write labels of full resolution.

        Parameters
        ----------
        place : tuple of int or slice
            Aligned with chunks where other processes write beside it.
        values : ndarray or int

        Raises
        ------
        UserError
            If the disk is full or missing.
        """
        with _convert_write_errors(self.path):
            self.labels[place] = values

    def build_pyramid(self) -> Iterator[Step]:
        """Build, or rebuild, the smaller levels, down to the size of one chunk in Y and X.

        Each takes every second pixel of the one before, as labels have no mean. The levels are
        listed in the metadata only when all are complete. One step needs memory for four chunks.

        Yields
        ------
        Step
            After each chunk.

        Raises
        ------
        UserError
            If the disk is full or missing.
        """
        grid = self.grid
        image = self._image
        edge, chunk = (
            max(n for axis, n in zip(grid.axes, lengths, strict=True) if axis in "YX")
            for lengths in (grid.shape, self.labels.chunks)
        )
        count = 1
        while edge > chunk * 2 ** (count - 1):
            count += 1
        self._update_attributes({"multiscales": grid.to_ngff(image["name"], 1)["multiscales"]})
        arrays = [self.labels]
        with _convert_write_errors(self.path):
            for level in range(1, count):
                chunks = tuple(self.labels.chunks)
                arrays.append(_add(self._group, level, grid.level(level), chunks, self.labels))
        total = sum(len(_chunk_boxes(array)) for array in arrays[1:])
        done = 0
        for below, array in itertools.pairwise(arrays):
            for box in _chunk_boxes(array):
                with _convert_write_errors(self.path):
                    array[box] = _read_every_second(below, box, grid.axes)
                done += 1
                yield Step(done, total)
        self._update_attributes({"multiscales": grid.to_ngff(image["name"], count)["multiscales"]})


def _check_grid(store: LabelsStore, grid: LabelsGrid, dtype: np.dtype[Any]) -> None:
    """Raise a UserError if a store has another grid or dtype."""
    have = (store.grid.axes, store.grid.shape, store.labels.dtype)
    if have != (grid.axes, grid.shape, dtype):
        raise UserError(
            f"{store.path} holds labels of shape {have[1]} ({have[0]}, {have[2]}), not "
            f"{grid.shape} ({grid.axes}, {dtype}): choose another name or `overwrite` them."
        )


def _is_labels_store(path: Path) -> bool:
    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        return isinstance(group.attrs[RECORD_KEY], dict) and isinstance(group["0"], zarr.Array)
    except Exception:  # whatever zarr raises for an unknown format
        return False


@contextmanager
def _convert_write_errors(path: Path) -> Iterator[None]:
    """Convert errors of writing to a folder to a :class:`UserError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be written ({reason}): choose another folder or free some space."
        ) from error


def _create(path: Path, name: str, grid: LabelsGrid, dtype: np.dtype[Any], chunk: int) -> None:
    """Create a store of background."""
    if dtype.kind not in "ui":
        raise ValueError(f"labels are integers, not {dtype}")
    attributes = {**grid.to_ngff(name, 1), RECORD_KEY: {"finished": False}}
    group = zarr.create_group(path, zarr_format=2, attributes=attributes)
    _add(group, 0, grid.shape, grid.chunks(chunk), np.empty(0, dtype))


def _add(
    group: zarr.Group, level: int, shape: tuple[int, ...], chunks: tuple[int, ...], like: Any
) -> Any:
    """Add an empty level with the dtype of another array."""
    return group.create_array(
        str(level),
        shape=shape,
        dtype=like.dtype,
        chunks=tuple(max(1, min(pair)) for pair in zip(chunks, shape, strict=True)),
        compressors=BLOSC_COMPRESSOR,
        fill_value=0,
        order="C",
        chunk_key_encoding={"name": "v2", "separator": "/"},
        overwrite=True,
    )


def _chunk_boxes(array: Any) -> list[tuple[slice, ...]]:
    """List the boxes of the chunks of an array."""
    axes = zip(array.shape, array.chunks, strict=True)
    return list(itertools.product(*(split_extent(slice(0, n), edge) for n, edge in axes)))


def _read_every_second(below: Any, box: tuple[slice, ...], axes: str) -> NDArray[Any]:
    """Read every second pixel of the level below for a chunk."""
    factors = [2 if axis in "YX" else 1 for axis in axes]
    pairs = list(zip(box, factors, strict=True))
    # the part is read with step 1, which zarr does by whole chunks
    part = below[tuple(slice(at.start * f, at.stop * f) for at, f in pairs)]
    return np.asarray(part)[tuple(slice(None, None, f) for _, f in pairs)]
