"""Reading of results: labels, with the table that lies beside them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..arrays.selection import DEFAULT_AXES
from ..counts import format_count
from ..errors import UserError
from ..io.image_labels import find_labels_place
from ..io.labels import LABELS_ENDING, read_labels, read_record
from ..io.lazy_images import LazyArray, image_stem
from ..io.ome_zarr import LabelsStore
from ..io.open import open_lazily
from ..io.readers.ome_zarr import is_zarr
from ..io.store_files import TABLE_IN_GROUP
from ..io.tables import (
    CLASS_SUFFIX,
    TABLE_SUFFIX,
    TIME_COLUMN,
    TRACKS_SUFFIX,
    read_saved_table,
    with_time_column,
)
from ..labels.intensities import is_intensity_column
from ..labels.regionprops import BORDER_COLUMN, measure
from ..labels.volume_regionprops import VOLUME_COLUMN, measure_volume
from ..provenance.record import Provenance
from ..tracking.lineage import drop_track_measurements
from .geff import GEFF_SUFFIX, is_geff_installed, read_geff
from .result import Result

# Columns by which a table is one of tracks.
NEEDED_OF_TRACKS = ("track", TIME_COLUMN, "y", "x", "parent")


def read_result(path: str | Path, axes: str | None = None) -> Result:
    """Read labels, and the table of nuclei beside them.

    Parameters
    ----------
    path : str or Path
        Labels of this program as TIFF, OME-TIFF or OME-Zarr, or labels of another one as TIFF.
    axes : str, optional
        A letter for each axis of the labels, or of their image, which may have channels, C.
        Default: as the file says, else TZYX, as many as there are.

    Returns
    -------
    Result
        Labels of OME-Zarr are read when they are sliced. The table is that of
        ``<name>_nuclei.csv`` beside ``<name>_labels.ome.tif``, also if a spreadsheet has saved it
        with semicolons and decimal commas; empty if there is none. Labels in the OME-Zarr of their
        image, ``image.ome.zarr/labels/<name>``, have it in their group. Tracks are those of
        ``<name>_tracks.csv``, or else of ``<name>_tracks.geff``.

    Raises
    ------
    UserError
        If these are no labels, or not finished, or the axes or the table do not belong to them.
    """
    path = Path(path)
    result = dataclasses.replace(read_labels_of_result(path, axes), tracks=read_tracks(path))
    return with_saved_table(result, path)


def with_saved_table(result: Result, path: Path) -> Result:
    """Return labels with the table of nuclei beside their file, if there is one.

    Raises
    ------
    UserError
        If the table does not belong to them.
    """
    table = result_table_path(path)
    if not table.is_file():
        return result
    known = dataclasses.replace(result, table=read_saved_table(table))
    _check_table(known, table)
    if isinstance(known.labels, np.ndarray):  # others may be larger than memory
        _check_nuclei(known, table, path)
    return known


def result_table_path(labels: Path) -> Path:
    """Return the path of the table of labels; it need not exist.

    It is beside them, or of labels in an image in their group.
    """
    if find_labels_place(labels):
        return labels / TABLE_IN_GROUP
    return labels.with_name(f"{result_stem(labels)}{TABLE_SUFFIX}")


def result_tracks_path(labels: Path) -> Path:
    """Return the path of the tracks of labels; they need not exist."""
    return result_folder(labels) / f"{result_stem(labels)}{TRACKS_SUFFIX}"


def read_tracks(labels: str | Path) -> pd.DataFrame | None:
    """Read the tracks beside labels; None if there are none.

    Raises
    ------
    UserError
        If these are no tracks.
    """
    labels = Path(labels)
    path = result_tracks_path(labels)
    if not path.is_file():
        graph = path.with_suffix(GEFF_SUFFIX)
        return read_geff(graph) if graph.is_dir() and is_geff_installed() else None
    tracks = with_time_column(read_saved_table(path))
    if not {"track", "parent"} & set(tracks):
        return None  # of another program
    _check_columns(tracks, NEEDED_OF_TRACKS, path)
    _check_track_numbers(tracks, path)
    return drop_track_measurements(tracks)


def has_own_table(labels: Path) -> bool:
    """Return whether labels have a table, with their nuclei and areas.

    It may have been saved again by a spreadsheet, or measured in other images. Volumes stand for
    areas where a nucleus is one along z.
    """
    try:
        result = read_result(labels)
    except UserError:
        return False
    return "area" in result.table or VOLUME_COLUMN in result.table


def read_labels_of_result(path: str | Path, axes: str | None = None) -> Result:
    """Read labels without their table; arguments as of :func:`read_result`.

    Raises
    ------
    UserError
        If these are no labels, or not finished, or the axes do not fit them.
    """
    path = Path(path)
    given = axes and axes.upper().replace("C", "")
    return _read_store(path, given) if is_zarr(path) else _read_tiff(path, given)


def result_stem(path: Path) -> str:
    """Return the name of labels, by which their other files are named."""
    if place := find_labels_place(path):
        return place.stem
    return image_stem(path).removesuffix(LABELS_ENDING)


def result_folder(labels: Path) -> Path:
    """Return the folder for other files of labels: beside them, or beside the image they are in."""
    place = find_labels_place(labels)
    return labels.parent if place is None else place.folder


def _read_store(path: Path, given: str | None) -> Result:
    store = LabelsStore.open_existing(path)
    if not store.finished:
        raise UserError(f"The labels {path} are incomplete: run their command again.")
    grid = store.grid
    # its chunks may be damaged, which it says in a sentence
    labels = LazyArray(store.labels, range(store.labels.ndim), path)
    return _create(path, labels, given or grid.axes, (grid.scale, grid.units), store.record)


def _read_tiff(path: Path, given: str | None) -> Result:
    image = open_lazily(path)
    is_plane = len(image.pixels.shape) == 2 + image.is_rgb
    # palettes and floats of other programs are labels, too
    labels = read_labels(path) if is_plane else image.pixels[...]
    if labels.dtype.kind not in "ui":
        raise UserError(
            f"{path} contains no labels: they must be whole numbers, but are {labels.dtype}."
        )
    axes = given or image.axes or DEFAULT_AXES[-labels.ndim :]
    if labels.ndim == len(axes) and "C" in axes and labels.shape[axes.index("C")] > 1:
        raise UserError(f"{path} has channels, like an image: labels have none.")
    return _create(path, labels, axes, (image.scale, image.units), read_record(path) or {})


def _create(
    path: Path,
    labels: Any,
    axes: str,
    pixel_size: tuple[tuple[float, ...], tuple[str | None, ...]],
    record: dict[str, Any],
) -> Result:
    """Create a result without its table, whose planes have their positions in the image."""
    return Result(
        labels, {}, axes, *pixel_size, record, result_stem(path), _read_starts(record, axes[:-2])
    )


def _read_starts(record: dict[str, Any], lead: str) -> tuple[int, ...]:
    """Return the first selected position on each axis; 0 where the record does not say.

    Labels of the window have all planes, and the record of one: a number.
    """
    try:
        source = Provenance.from_json(record).source
    except UserError:
        source = None
    if source is None:
        return ()
    free = [name for name in source.axes if name not in "CYX"]
    ranges = {
        name: planes
        for name, planes in zip(free, source.planes, strict=False)
        if isinstance(planes, str)
    }
    firsts = (ranges.get(name, "").partition("-")[0] for name in lead)
    return tuple(int(first) if first.isdecimal() else 0 for first in firsts)


def _check_columns(table: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    if missing := [name for name in names if name not in table]:
        raise UserError(
            f"{path} has no column {' and no column '.join(missing)}: restore the names of its "
            "columns, or move it away."
        )


def _check_track_numbers(tracks: pd.DataFrame, path: Path) -> None:
    """Raise an error for tracks with text, or without a number, where one is needed."""
    needed = tracks[[name for name in (*NEEDED_OF_TRACKS, "z") if name in tracks]]
    if not len(needed):  # its columns have no type
        return
    whole = needed[["track", TIME_COLUMN, "parent"]]
    if (
        any(column.dtype.kind not in "iuf" for _, column in needed.items())
        or not np.isfinite(needed).all(axis=None)
        or (whole % 1 != 0).any(axis=None)
    ):
        raise UserError(
            f"{path} needs numbers in all rows, and whole ones in the columns track, "
            f"{TIME_COLUMN} and parent: correct it, or move it away."
        )


def _check_table(result: Result, path: Path) -> None:
    """Raise an error for a table that does not say which nucleus a row is."""
    table = result.table
    _check_columns(table, ("label", *result.row_axes), path)
    if not len(table):  # its columns have no type
        return
    keys = table[["label", *result.row_axes]]
    whole = all(column.dtype.kind in "iu" for _, column in keys.items())
    if not whole or keys.duplicated().any():
        raise UserError(
            f"{path} must name each nucleus once, by a whole number in the column label: correct "
            "it, or move it away."
        )
    nothing = np.zeros((1, 1, 1), np.int32)
    shapes = {*measure(nothing[0], None), *measure_volume(nothing, None)} - {BORDER_COLUMN}
    others = table.select_dtypes(exclude="number")
    for name in others:
        if name in shapes or (is_intensity_column(name) and not name.endswith(CLASS_SUFFIX)):
            raise UserError(
                f"{path} has text in the column {name}, which needs numbers: correct it, or move "
                "it away."
            )


def _check_nuclei(result: Result, table: Path, labels: Path) -> None:
    """Raise an error for a table of other nuclei than those in the labels."""
    size = VOLUME_COLUMN if result.is_volume else "area"
    keys = result.table[[*result.row_axes, "label"]].itertuples(index=False, name=None)
    sizes = result.table.get(size, np.nan)
    known = dict(zip(keys, np.broadcast_to(sizes, len(result.table)).tolist(), strict=True))
    present = _count_pixels(result)
    if known.keys() != present.keys():
        raise UserError(
            f"{table} does not belong to {labels}: {len(known.keys() - present.keys()):,} of its "
            f"nuclei are not in the labels, and {len(present.keys() - known.keys()):,} of theirs "
            "are not in it. Measure them again with `overwrite`, or move it away."
        )
    others = sum(not math.isnan(pixels) and pixels != present[key] for key, pixels in known.items())
    if others:
        raise UserError(
            f"{table} does not belong to {labels}: {format_count(others, 'nucleus')} with "
            f"another {size}. Measure them again with `overwrite`, or move it away."
        )


def _count_pixels(result: Result) -> Counter[tuple[int, ...]]:
    """Count the pixels of the nucleus of each row."""
    pixels = Counter[tuple[int, ...]]()
    for position, plane in result.planes():
        at = tuple(position[name] for name in result.row_axes)
        for label, count in zip(*np.unique(plane, return_counts=True), strict=True):
            if label:
                pixels[(*at, int(label))] += int(count)
    return pixels
