"""Saving of results in the format of the file's extension."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import UserError
from ..io.atomic import atomic_write, atomic_write_folder, file_crc32
from ..io.labels import LABELS_ENDING
from ..io.lazy_images import image_stem
from ..io.ngff import DEFAULT_NGFF, NgffVersion
from ..io.ome_zarr import is_labels_store
from ..io.paths import REFUSED_CHARACTERS, RESERVED_NAMES
from ..io.readers.ome_zarr import is_zarr
from ..io.store_files import check_only_own
from ..io.tables import write_table
from ..provenance.record import FINGERPRINT_KEY, TABLE_CRC_KEY, TRACKS_CRC_KEY
from ..tracking.lineage import TrackScale
from .geff import GEFF_SUFFIX, check_only_own_geff, write_geff
from .geojson import NUCLEI_ONLY, OutlineOptions, write_geojson
from .imagej_roi import write_rois
from .ome_tiff import write_ome_tiff
from .ome_zarr_labels import write_ome_zarr
from .read import result_table_path, result_tracks_path
from .result import Result
from .track_tables import lineage_path, tracks_crc32, write_track_tables

OME_ZARR_SUFFIX = ".ome.zarr"
FORMATS = {
    ".ome.tif": "Labels (OME-TIFF)",
    ".csv": "Table (CSV)",
    ".geojson": "Outlines for QuPath (GeoJSON)",
    ".zip": "Outlines for ImageJ and Fiji (ROI archive)",
}


def save(
    path: str | Path,
    result: Result,
    outlines: OutlineOptions = NUCLEI_ONLY,
    *,
    decimal_comma: bool = False,
    ngff: NgffVersion = DEFAULT_NGFF,
) -> Path:
    """Save a result; a file of this name is replaced.

    Parameters
    ----------
    path : str or Path
        Ends in one of ``FORMATS``, or in .ome.tiff, .tif or .tiff, which are OME-TIFF too, or in
        .geff, for tracks, or .ome.zarr. Folders are created.
    result : Result
    outlines : OutlineOptions, optional
        Of GeoJSON; of no effect for other formats.
    decimal_comma : bool, optional
        Of a table: for spreadsheets that write numbers so, with semicolons between columns.
    ngff : {"0.4", "0.5"}, optional
        Version of OME-Zarr.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        If the name has no such extension, or a file system would refuse it; if the file cannot be
        written, or cannot hold the result. An existing file is then left as it was.
    """
    path = Path(path)
    write = _writer_for(path.name)
    if write is write_geff or write is write_ome_zarr:
        _check_replaceable(path)
        with atomic_write_folder(path) as folder:
            if write is write_ome_zarr:
                write_ome_zarr(folder, result, ngff)
            else:
                write_geff(folder, result)
        return path
    with atomic_write(path) as temporary:
        if write is write_geojson:
            write_geojson(temporary, result, outlines)
        elif write is _write_csv:
            _write_csv(temporary, result, decimal_comma)
        else:
            write(temporary, result)
    return path


def save_with_table(
    path: str | Path,
    result: Result,
    outlines: OutlineOptions = NUCLEI_ONLY,
    *,
    decimal_comma: bool = False,
) -> tuple[Path, ...]:
    """Save a result; labels with their tables beside them, as :func:`read_result` finds them.

    Parameters
    ----------
    path : str or Path
        As in :func:`save`. If :func:`has_table_beside`, table, tracks and lineages are saved, too.
    result : Result
    outlines, decimal_comma
        As in :func:`save`.

    Returns
    -------
    tuple of Path
        What was saved: all of it, or nothing.

    Raises
    ------
    UserError
        As from :func:`save`.
    """
    path = Path(path)
    if not has_table_beside(path):
        return (save(path, result, outlines, decimal_comma=decimal_comma),)
    table, tracks = result_table_path(path), result_tracks_path(path)
    others = [] if result.tracks is None else [tracks, lineage_path(tracks)]
    with ExitStack() as files:
        labels, rows = (files.enter_context(atomic_write(one)) for one in (path, table))
        _write_csv(rows, result, decimal_comma)
        if result.tracks is not None:
            links, lineages = (files.enter_context(atomic_write(one)) for one in others)
            scale = TrackScale.of(result.axes, result.spacing, result.units)
            write_track_tables(links, lineages, result.tracks, scale, decimal_comma)
        record = result.record
        if TRACKS_CRC_KEY in record and result.tracks is not None:
            record = record | {TRACKS_CRC_KEY: tracks_crc32(links, lineages)}
        if FINGERPRINT_KEY in record:  # or a run over its folder would compute it again
            record = record | {TABLE_CRC_KEY: file_crc32(rows)}
        write_ome_tiff(labels, replace(result, record=record))
    return (path, table, *others)


def has_table_beside(path: str | Path) -> bool:
    """Return whether a file of this name is a result: labels that have a table beside them."""
    return is_ome_tiff(path) and image_stem(Path(path)).endswith(LABELS_ENDING)


def _check_replaceable(path: Path) -> None:
    """Raise an error for a file or folder of another kind than that which replaces it."""
    is_geff = is_zarr(path) and (path / "nodes").is_dir()
    if path.exists() and not (is_geff if path.suffix == GEFF_SUFFIX else is_labels_store(path)):
        kind = "a GEFF" if path.suffix == GEFF_SUFFIX else "the labels of a result"
        raise UserError(f"{path} is not {kind}, and is not overwritten: choose another name.")
    if path.exists():
        check_only_own_geff(path) if is_geff else check_only_own(path)


def is_ome_tiff(path: str | Path) -> bool:
    """Return whether a file of this name would hold labels, and no measurements."""
    return _writer_for(Path(path).name) is write_ome_tiff


def _writer_for(name: str) -> Callable[..., None]:
    refused = REFUSED_CHARACTERS.search(name)
    if refused:
        raise UserError(f"File names cannot contain {refused[0]!r}: choose another name.")
    if RESERVED_NAMES.fullmatch(name):
        raise UserError(f"Windows reserves the name {name}: choose another name.")
    extension = next((e for e in _WRITERS if name.lower().endswith(e)), None)
    if extension is None or len(name) == len(extension):
        endings = ", ".join((*FORMATS, OME_ZARR_SUFFIX, GEFF_SUFFIX))
        raise UserError(f"Give the file a name that ends in {endings}, not '{name}'.")
    return _WRITERS[extension]


def _write_csv(path: Path, result: Result, decimal_comma: bool = False) -> None:
    table = result.table if len(result.table.columns) else _ids_table(result)
    write_table(path, table, decimal_comma=decimal_comma)


def _ids_table(result: Result) -> pd.DataFrame:
    """Return a table of the nuclei of each plane or volume, for a result without measurements."""
    rows = [
        (*position.values(), nucleus)
        for position, part in result.parts()
        for nucleus in np.unique(part[part > 0])
    ]
    return pd.DataFrame(rows, columns=[*result.row_axes, "label"])


_WRITERS: dict[str, Callable[..., None]] = {
    ".csv": _write_csv,
    ".geojson": write_geojson,
    ".zip": write_rois,
    GEFF_SUFFIX: write_geff,
    OME_ZARR_SUFFIX: write_ome_zarr,
    **dict.fromkeys((".ome.tif", ".ome.tiff", ".tif", ".tiff"), write_ome_tiff),
}
