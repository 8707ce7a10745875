"""Saving of results into the OME-Zarr of their image."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..io.image_group import open_image_group
from ..io.image_labels import DEFAULT_NAME, TABLE_IN_GROUP, write_aside
from ..io.ome_zarr import LabelsStore
from ..io.tables import write_table
from ..io.zarr_levels import list_chunk_boxes
from ..progress import Step, Stop, run

if TYPE_CHECKING:
    from .result import Result


def save_into_image(
    image: str | Path, result: Result, name: str = DEFAULT_NAME, overwrite: bool = False
) -> Path:
    """Save labels into the OME-Zarr of their image, with their record and table.

    Parameters
    ----------
    image : str or Path
        OME-Zarr image, NGFF 0.4 or 0.5; the labels have its version, pixel size and levels.
        Of a plate the path of one image in it, such as ``plate.zarr/A/1/0``.
    result : Result
        Labels of all planes of the image, in full resolution, without an axis of channels.
    name : str, optional
        Of the labels. Others that are there stay.
    overwrite : bool, optional
        Replace labels of this name.

    Returns
    -------
    Path
        The group of the labels, ``labels/<name>`` in the image. ``read_result`` reads it.

    Raises
    ------
    UserError
        If there are labels of this name, it is no OME-Zarr image or one of another shape, or it
        cannot be written. What was there before is then still there.
    """
    return run(save_into_image_steps(image, result, name, overwrite))


def save_into_image_steps(
    image: str | Path, result: Result, name: str = DEFAULT_NAME, overwrite: bool = False
) -> Generator[Step, Stop, Path]:
    """Save as :func:`save_into_image`, and yield after each part.

    Labels larger than memory are copied chunk by chunk. Closed early, it leaves nothing.
    """
    group = open_image_group(image)
    order = group.match_axes(result.axes, result.labels.shape)
    with write_aside(group, name, overwrite) as aside:
        dtype = _find_dtype(result.labels)
        store = LabelsStore.create(aside, group.grid, dtype, version=group.version)
        boxes = list_chunk_boxes(store.labels)
        for done, box in enumerate(boxes):
            store.write(box, _read_box(result.labels, box, order))
            yield Step(done + 1, len(boxes))
        yield from store.build_pyramid(group.levels)
        store.write_source("../../")
        store.write_record(json.loads(json.dumps(result.record, default=str)))
        if len(result.table.columns):
            write_table(aside / TABLE_IN_GROUP, result.table)
        store.finish()
    return group.labels / name


def _find_dtype(labels: Any) -> np.dtype[Any]:
    """Return int32, as labels in OME-Zarr always have, or their own if it does not hold them."""
    if np.can_cast(labels.dtype, np.int32):
        return np.dtype(np.int32)
    most = max(np.asarray(labels[at]).max(initial=0) for at in np.ndindex(labels.shape[:-2]))
    return np.dtype(np.int32) if most <= np.iinfo(np.int32).max else np.dtype(labels.dtype)


def _read_box(
    labels: Any, box: tuple[slice, ...], order: tuple[int | None, ...]
) -> NDArray[np.integer]:
    """Read a box of the image's axes from labels whose axes have another order."""
    index: list[slice | int] = [0] * len(labels.shape)
    for at, axis in zip(box, order, strict=True):
        if axis is not None:
            index[axis] = at
    part = np.asarray(labels[tuple(index)])
    if part.min(initial=0) < 0:
        raise UserError("Labels must not be negative: 0 is background, nuclei count from 1.")
    present = [axis for axis in order if axis is not None]
    part = part.transpose([sorted(present).index(axis) for axis in present])
    shape = [at.stop - at.start for at in box]
    return part.reshape(shape)
