"""Saving of results into the OME-Zarr of their image."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.image_group import open_image_group
from ..io.image_labels import DEFAULT_NAME, write_aside
from ..io.ome_zarr import LabelsStore, is_labels_store
from ..io.store_files import TABLE_IN_GROUP, check_only_own
from ..io.tables import write_table
from ..progress import Step, Stop, run
from .ome_zarr_labels import fill_store_steps, find_labels_dtype

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
    if overwrite and is_labels_store(group.labels / name):
        check_only_own(group.labels / name)
    with write_aside(group, name, overwrite) as aside:
        dtype = find_labels_dtype(result.labels)
        store = LabelsStore.create(aside, group.grid, dtype, version=group.version)
        yield from fill_store_steps(store, result, order, group.levels)
        store.write_source("../../")
        if len(result.table.columns):
            write_table(aside / TABLE_IN_GROUP, result.table)
        store.finish()
    return group.labels / name
