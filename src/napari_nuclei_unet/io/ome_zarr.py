"""Labels larger than memory: an OME-Zarr that is filled block by block."""

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

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.labels import RECORD_KEY
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.progress import Step

CHUNK = 1024
# with zarr 2 what QuPath, Fiji and napari-ome-zarr all read
BLOSC_COMPRESSOR: Any = {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1, "blocksize": 0}


class LabelsStore:
    """Labels on disk, with their pyramid and the record of what made them.

    It is not finished until :meth:`finish`; whoever finds it can tell.
    Made by :meth:`create` or :meth:`open_existing`.

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
        chunk: int = CHUNK,
        overwrite: bool = False,
    ) -> LabelsStore:
        """Make a store of background only, or open the one of the same kind that is there.

        Parameters
        ----------
        path : str or Path
            Folder; appears whole or not at all.
        grid : Grid
        dtype : dtype
            Integer.
        chunk : int, optional
            Largest edge of a chunk, in pixels.
        overwrite : bool, optional
            Delete labels of this program that are there; nothing else is ever deleted.

        Returns
        -------
        LabelsStore
            What was there keeps its labels, record and chunks: see ``record`` and ``finished``
            before going on with it.

        Raises
        ------
        UserError
            If something else is there, or it cannot be written.
        """
        path = Path(path)
        with _filling(path):
            ours = _is_ours(path)
            if not ours and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
                raise UserError(f"{path} exists and holds something else: choose another name.")
            if ours and not overwrite:
                return cls.open_existing(path)._checked(grid, np.dtype(dtype))
            aside = path.with_name(f".{uuid4().hex}.zarr")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _make(aside, path.stem.removesuffix(".ome"), grid, np.dtype(dtype), chunk)
                old = path.with_name(f".{uuid4().hex}.zarr")
                if path.exists():
                    os.replace(path, old)  # at once: half of it could pass for the whole
                os.replace(aside, path)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            return cls(path)

    @classmethod
    def open_existing(cls, path: str | Path) -> LabelsStore:
        """Open labels that :meth:`create` made, to read and to write.

        Raises
        ------
        UserError
            If there are none.
        """
        path = Path(path)
        if not _is_ours(path):
            raise UserError(f"{path} holds no labels of this program: choose another folder.")
        return cls(path)

    def _checked(self, grid: LabelsGrid, dtype: np.dtype[Any]) -> LabelsStore:
        """Self, if it is of this kind."""
        have = (self.grid.axes, self.grid.shape, self.labels.dtype)
        if have != (grid.axes, grid.shape, dtype):
            raise UserError(
                f"{self.path} holds labels of shape {have[1]} ({have[0]}, {have[2]}), not "
                f"{grid.shape} ({grid.axes}, {dtype}): choose another name or `overwrite` them."
            )
        return self

    @property
    def _image(self) -> dict[str, Any]:
        """Metadata of NGFF."""
        images: Any = self._group.attrs["multiscales"]
        return dict(images[0])

    @property
    def grid(self) -> LabelsGrid:
        """Where the pixels of full resolution are."""
        axes = self._image["axes"]
        return LabelsGrid(
            tuple(self.labels.shape),
            "".join(axis["name"].upper() for axis in axes),
            tuple(self._image["datasets"][0]["coordinateTransformations"][0]["scale"]),
            tuple(axis.get("unit") for axis in axes),
        )

    @property
    def levels(self) -> list[Any]:
        """Arrays of zarr that are complete, full resolution first, as napari wants a pyramid."""
        return [self._group[dataset["path"]] for dataset in self._image["datasets"]]

    @property
    def record(self) -> dict[str, Any]:
        """What made the labels."""
        return {key: value for key, value in self._written.items() if key != "finished"}

    @property
    def finished(self) -> bool:
        """Whether all labels are there."""
        return bool(self._written["finished"])

    @property
    def _written(self) -> dict[str, Any]:
        written: Any = self._group.attrs[RECORD_KEY]
        return dict(written)

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace the record; JSON, and the key "finished" is ours.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self._describe({RECORD_KEY: {**record, "finished": self.finished}})

    def finish(self) -> None:
        """Say that all labels are there.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self._describe({RECORD_KEY: {**self._written, "finished": True}})

    def _describe(self, attributes: dict[str, Any]) -> None:
        with _filling(self.path):
            self._group.update_attributes(attributes)

    def write(self, place: tuple[int | slice, ...], values: NDArray[np.integer] | int) -> None:
        """Write labels of full resolution.

        Parameters
        ----------
        place : tuple of int or slice
            Ends at chunks where other processes write beside it.
        values : ndarray or int

        Raises
        ------
        UserError
            If the disk is full or gone.
        """
        with _filling(self.path):
            self.labels[place] = values

    def build_pyramid(self) -> Iterator[Step]:
        """Make, or make anew, the smaller levels, down to one chunk's size in Y and X.

        Each takes every second pixel of the one before, as labels have no mean. The levels are
        listed in the metadata when all are complete, and not while they are made. One step holds
        four chunks in memory.

        Yields
        ------
        Step
            After each chunk.

        Raises
        ------
        UserError
            If the disk is full or gone.
        """
        grid = self.grid
        image = self._image
        edges = [n for axis, n in zip(grid.axes, grid.shape, strict=True) if axis in "YX"]
        count = 1
        while max(edges) > CHUNK * 2 ** (count - 1):
            count += 1
        self._describe({"multiscales": grid.to_ngff(image["name"], 1)["multiscales"]})
        arrays = [self.labels]
        with _filling(self.path):
            for level in range(1, count):
                chunks = tuple(self.labels.chunks)
                arrays.append(_add(self._group, level, grid.level(level), chunks, self.labels))
        total = sum(len(_places(array)) for array in arrays[1:])
        done = 0
        for below, array in itertools.pairwise(arrays):
            for place in _places(array):
                with _filling(self.path):
                    array[place] = _every_second(below, place, grid.axes)
                done += 1
                yield Step(done, total)
        self._describe({"multiscales": grid.to_ngff(image["name"], count)["multiscales"]})


def _is_ours(path: Path) -> bool:
    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        return isinstance(group.attrs[RECORD_KEY], dict) and isinstance(group["0"], zarr.Array)
    except Exception:  # whatever zarr raises of what it does not know
        return False


@contextmanager
def _filling(path: Path) -> Iterator[None]:
    """Say in one sentence that a folder cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be written ({reason}): choose another folder or free some space."
        ) from error


def _make(path: Path, name: str, grid: LabelsGrid, dtype: np.dtype[Any], chunk: int) -> None:
    """Make a store of background."""
    if dtype.kind not in "ui":
        raise ValueError(f"labels are integers, not {dtype}")
    about = {**grid.to_ngff(name, 1), RECORD_KEY: {"finished": False}}
    group = zarr.create_group(path, zarr_format=2, attributes=about)
    _add(group, 0, grid.shape, grid.chunks(chunk), np.empty(0, dtype))


def _add(
    group: zarr.Group, level: int, shape: tuple[int, ...], chunks: tuple[int, ...], like: Any
) -> Any:
    """Add an empty level of the type of another."""
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


def _places(array: Any) -> list[tuple[slice, ...]]:
    """Where the chunks of an array are."""
    return list(
        itertools.product(
            *(
                [slice(at, min(at + edge, length)) for at in range(0, length, edge)]
                for length, edge in zip(array.shape, array.chunks, strict=True)
            )
        )
    )


def _every_second(below: Any, place: tuple[slice, ...], axes: str) -> NDArray[Any]:
    """Read what a chunk takes of the level below."""
    factors = [2 if axis in "YX" else 1 for axis in axes]
    pairs = list(zip(place, factors, strict=True))
    # the part is read with step 1, which zarr does by whole chunks
    part = below[tuple(slice(at.start * f, at.stop * f) for at, f in pairs)]
    return np.asarray(part)[tuple(slice(None, None, f) for _, f in pairs)]
