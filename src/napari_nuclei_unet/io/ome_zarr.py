"""Labels larger than memory: an OME-Zarr that is written block by block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import UserError
from ..limits import DEFAULT_LIMITS
from ..progress import Step
from .atomic import atomic_write_folder
from .labels import RECORD_KEY
from .ngff import DEFAULT_NGFF, LabelsGrid, NgffVersion, read_ngff, with_ngff
from .read_errors import convert_decoder_errors
from .record_paths import resolve_paths, shorten_paths
from .store_files import check_only_own, check_usable, damaged_store_error
from .zarr_levels import (
    add_level,
    convert_write_errors,
    create_labels_group,
    list_chunk_boxes,
    read_chunks,
    read_every_second,
)


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
        # here and below: takes a moment to load, and few labels are zarr
        import zarr

        from .anchored_store import AnchoredStore

        self.path = path
        self._group = zarr.open_group(AnchoredStore(path), mode="r+", use_consolidated=False)
        self.labels: Any = self._group["0"]

    @classmethod
    def create(
        cls,
        path: str | Path,
        grid: LabelsGrid,
        dtype: DTypeLike,
        chunk: int = DEFAULT_LIMITS.chunk,
        overwrite: bool = False,
        version: NgffVersion = DEFAULT_NGFF,
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
            Delete existing labels of this program; what others have put into their folder is
            never deleted.
        version : {"0.4", "0.5"}, optional
            Of NGFF: 0.4 is written as zarr 2, 0.5 as zarr 3.

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
        with convert_write_errors(path):
            ours = is_labels_store(path)
            if not ours:
                check_usable(path, overwrite)
            if ours and not overwrite:
                store = cls.open_existing(path)
                _check_same(store, grid, np.dtype(dtype), version)
                return store
            if path.is_dir():
                check_only_own(path)
            name = path.name.removesuffix(".zarr").removesuffix(".ome")
            with atomic_write_folder(path) as aside:
                create_labels_group(aside, name, grid, np.dtype(dtype), chunk, version)
            return cls(path)

    @classmethod
    def open_existing(cls, path: str | Path) -> LabelsStore:
        """Open labels written by :meth:`create`, for reading and writing.

        Raises
        ------
        UserError
            If there are none, or their metadata are damaged.
        """
        path = Path(path)
        if not is_labels_store(path):
            raise UserError(f"{path} contains no labels of this program: choose another folder.")
        with convert_decoder_errors(path, MemoryError):
            try:
                store = cls(path)
                if len(store.grid.shape) != store.labels.ndim or not store.levels:
                    raise ValueError
                if min(store.labels.chunks) < 1 or store.labels.fill_value != 0:
                    raise ValueError
                _ = store.finished  # raises an error where somebody has changed it
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise damaged_store_error(path) from error
            return store

    @property
    def _image(self) -> dict[str, Any]:
        """NGFF metadata."""
        return dict(read_ngff(self._group.attrs)["multiscales"][0])

    @property
    def version(self) -> NgffVersion:
        """Version of NGFF."""
        return "0.5" if "ome" in self._group.attrs else "0.4"

    @property
    def grid(self) -> LabelsGrid:
        """Pixel grid at full resolution."""
        axes = self._image["axes"]
        scale, *moved = self._image["datasets"][0]["coordinateTransformations"]
        return LabelsGrid(
            tuple(self.labels.shape),
            "".join(axis["name"].upper() for axis in axes),
            tuple(map(float, scale["scale"])),
            tuple(axis.get("unit") for axis in axes),
            tuple(moved[0]["translation"]) if moved else (),
        )

    @property
    def levels(self) -> list[Any]:
        """Complete zarr arrays, full resolution first, as napari takes a pyramid."""
        return [self._group[dataset["path"]] for dataset in self._image["datasets"]]

    @property
    def record(self) -> dict[str, Any]:
        """Provenance of the labels, with absolute paths."""
        record = resolve_paths(self._stored_record, self.path)
        return {key: value for key, value in record.items() if key != "finished"}

    @property
    def finished(self) -> bool:
        """Whether all labels are written."""
        return self._stored_record.get("finished") is True

    @property
    def fingerprint(self) -> dict[str, Any] | None:
        """What the run that has finished them was of, where that is known."""
        written = self._stored_record.get("wish")
        return written if isinstance(written, dict) else None

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
        record = shorten_paths(record, self.path)
        self._update_attributes({RECORD_KEY: {**record, "finished": self.finished}})

    def finish(self, fingerprint: dict[str, Any] | None = None) -> None:
        """Mark the labels as finished.

        Parameters
        ----------
        fingerprint : dict, optional
            What the run was of; JSON.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        state = {"finished": True} | ({} if fingerprint is None else {"wish": fingerprint})
        self._update_attributes({RECORD_KEY: {**self._stored_record, **state}})

    def write_source(self, image: str) -> None:
        """Write which image the labels are of: its path, seen from here."""
        about = {**read_ngff(self._group.attrs)["image-label"], "source": {"image": image}}
        self._update_attributes(with_ngff(self._group.attrs, **{"image-label": about}))

    def _update_attributes(self, attributes: dict[str, Any]) -> None:
        with convert_write_errors(self.path):
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
        with convert_write_errors(self.path):
            self.labels[place] = values

    def read(self, place: tuple[int | slice, ...]) -> NDArray[np.integer]:
        """Read labels of full resolution.

        Raises
        ------
        UserError
            If a chunk is damaged.
        """
        return read_chunks(self.labels, place, self.path)

    def build_pyramid(self, least: int = 1) -> Iterator[Step]:
        """Build, or rebuild, the smaller levels, down to the size of one chunk in Y and X.

        Each takes every second pixel of the one before, as labels have no mean. The levels are
        listed in the metadata only when all are complete. One step needs memory for four chunks.

        Parameters
        ----------
        least : int, optional
            Number of levels at least, with full resolution.

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
        edge, chunk = (
            max(n for axis, n in zip(grid.axes, lengths, strict=True) if axis in "YX")
            for lengths in (grid.shape, self.labels.chunks)
        )
        count = least
        while edge > chunk * 2 ** (count - 1):
            count += 1
        self._write_levels(1)
        arrays = [self.labels]
        for box in list_chunk_boxes(self.labels) if count == 1 else ():
            self.read(box)  # as the next level would have: damaged chunks are not finished
        with convert_write_errors(self.path):
            for level in range(1, count):
                chunks, dtype = tuple(self.labels.chunks), self.labels.dtype
                smaller = replace(grid, shape=grid.level(level))
                arrays.append(add_level(self._group, level, smaller, chunks, dtype))
        total = sum(len(list_chunk_boxes(array)) for array in arrays[1:])
        done = 0
        for below, array in itertools.pairwise(arrays):
            for box in list_chunk_boxes(array):
                with convert_write_errors(self.path):
                    array[box] = read_every_second(below, box, grid.axes, self.path)
                done += 1
                yield Step(done, total)
        self._write_levels(count)

    def _write_levels(self, count: int) -> None:
        """List so many levels in the metadata."""
        ngff = read_ngff(self.grid.to_ngff(self._image["name"], count, self.version))
        self._update_attributes(with_ngff(self._group.attrs, multiscales=ngff["multiscales"]))


def _check_same(
    store: LabelsStore, grid: LabelsGrid, dtype: np.dtype[Any], version: NgffVersion
) -> None:
    """Raise a UserError if a store has another grid, dtype or version."""
    have = (store.grid.axes, store.grid.shape, store.labels.dtype)
    if have != (grid.axes, grid.shape, dtype):
        raise UserError(
            f"{store.path} contains labels of shape {have[1]} ({have[0]}, {have[2]}), not "
            f"{grid.shape} ({grid.axes}, {dtype}): choose another name or `overwrite` them."
        )
    if store.version != version:
        raise UserError(
            f"{store.path} is of NGFF {store.version}, not {version}: choose another name or "
            "`overwrite` it."
        )


def is_labels_store(path: str | Path) -> bool:
    """Return whether a folder is labels in OME-Zarr that this program wrote."""
    import zarr

    from .zarr_nodes import open_group

    try:
        group = open_group(path)
        return isinstance(group.attrs[RECORD_KEY], dict) and isinstance(group["0"], zarr.Array)
    except Exception:  # whatever zarr raises for an unknown format
        return False
