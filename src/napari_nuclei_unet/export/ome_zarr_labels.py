"""Labels as an OME-Zarr of their own."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..io.ngff import LabelsGrid, NgffVersion, order_ngff_axes
from ..io.ome_zarr import LabelsStore
from ..io.zarr_levels import list_chunk_boxes
from ..progress import Step, Stop, run

if TYPE_CHECKING:
    from .result import Result


def write_ome_zarr(path: Path, result: Result, version: NgffVersion) -> None:
    """Write labels with their levels and record; int32, or their own type if it is larger.

    Parameters
    ----------
    path : Path
        Does not exist.
    result : Result
    version : {"0.4", "0.5"}

    Raises
    ------
    UserError
        If a label is negative, NGFF cannot hold the axes, or the disk is full.
    """
    axes = order_ngff_axes(result.axes)
    order = [result.axes.index(axis) for axis in axes]
    ndim = len(axes)
    grid = LabelsGrid(
        tuple(result.labels.shape[at] for at in order),
        axes,
        tuple((result.spacing or (1.0,) * ndim)[at] for at in order),
        tuple((result.units or (None,) * ndim)[at] for at in order),
    )
    store = LabelsStore.create(path, grid, find_labels_dtype(result.labels), version=version)
    run(fill_store_steps(store, result, order))
    store.finish()


def fill_store_steps(
    store: LabelsStore, result: Result, order: Sequence[int | None], levels: int = 1
) -> Generator[Step, Stop, None]:
    """Write the labels and the record of a result into a store, and yield after each chunk.

    Parameters
    ----------
    store : LabelsStore
    result : Result
        May be larger than memory.
    order : sequence of (int or None)
        The axis of the result for each axis of the store; None: it has none.
    levels : int, optional
        Number of levels at least.
    """
    boxes = list_chunk_boxes(store.labels)
    for done, box in enumerate(boxes):
        store.write(box, _read_box(result.labels, box, order))
        yield Step(done + 1, len(boxes))
    yield from store.build_pyramid(levels)
    store.write_record(json.loads(json.dumps(result.record, default=str)))


def find_labels_dtype(labels: Any) -> np.dtype[Any]:
    """Return int32, as labels in OME-Zarr always have, or their own if it does not hold them."""
    if np.can_cast(labels.dtype, np.int32):
        return np.dtype(np.int32)
    most = max(np.asarray(labels[at]).max(initial=0) for at in np.ndindex(labels.shape[:-2]))
    return np.dtype(np.int32) if most <= np.iinfo(np.int32).max else np.dtype(labels.dtype)


def _read_box(
    labels: Any, box: tuple[slice, ...], order: Sequence[int | None]
) -> NDArray[np.integer]:
    """Read a box of the store's axes from labels whose axes have another order."""
    index: list[slice | int] = [0] * len(labels.shape)
    for at, axis in zip(box, order, strict=True):
        if axis is not None:
            index[axis] = at
    part = np.asarray(labels[tuple(index)])
    if part.min(initial=0) < 0:
        raise UserError(
            "Labels must not be negative: 0 is the background, and nuclei are numbered from 1."
        )
    present = [axis for axis in order if axis is not None]
    part = part.transpose([sorted(present).index(axis) for axis in present])
    return part.reshape([at.stop - at.start for at in box])
