"""Saving of results in the format of the file's extension."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.paths import REFUSED_CHARACTERS, RESERVED_NAMES
from ..io.tables import write_table
from .geojson import write_geojson
from .imagej_roi import write_rois
from .ome_tiff import write_ome_tiff
from .result import Result

FORMATS = {
    ".csv": "Table (CSV)",
    ".geojson": "Outlines for QuPath (GeoJSON)",
    ".zip": "Outlines for ImageJ and Fiji (ROI archive)",
    ".ome.tif": "Labels (OME-TIFF)",
}


def save(path: str | Path, result: Result, decimal_comma: bool = False) -> Path:
    """Save a result; a file of this name is replaced.

    Parameters
    ----------
    path : str or Path
        Ends in one of ``FORMATS``, or in .ome.tiff, .tif or .tiff, which are OME-TIFF too. Folders
        are created.
    result : Result
    decimal_comma : bool, optional
        Of a table: for spreadsheets that write numbers so, with semicolons between columns.

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
    with atomic_write(path) as temporary:
        if write is _write_csv:
            _write_csv(temporary, result, decimal_comma)
        else:
            write(temporary, result)
    return path


def is_ome_tiff(path: str | Path) -> bool:
    """Return whether a file of this name would hold labels, and no measurements."""
    return _writer_for(Path(path).name) is write_ome_tiff


def _writer_for(name: str) -> Callable[[Path, Result], None]:
    refused = REFUSED_CHARACTERS.search(name)
    if refused:
        raise UserError(f"File names cannot have {refused[0]!r} in them: choose another name.")
    if RESERVED_NAMES.fullmatch(name):
        raise UserError(f"Windows keeps the name {name} for itself: choose another name.")
    extension = next((e for e in _WRITERS if name.lower().endswith(e)), None)
    if extension is None or len(name) == len(extension):
        raise UserError(f"Give the file a name that ends in {', '.join(FORMATS)}, not '{name}'.")
    return _WRITERS[extension]


def _write_csv(path: Path, result: Result, decimal_comma: bool = False) -> None:
    table = result.table if len(result.table.columns) else _ids_table(result)
    write_table(path, table, decimal_comma=decimal_comma)


def _ids_table(result: Result) -> pd.DataFrame:
    """Return a table of the nuclei on each plane, for a result without measurements."""
    rows = [
        (*position.values(), nucleus)
        for position, plane in result.planes()
        for nucleus in np.unique(plane[plane > 0])
    ]
    return pd.DataFrame(rows, columns=[*result.lead, "label"])


_WRITERS = {
    ".csv": _write_csv,
    ".geojson": write_geojson,
    ".zip": write_rois,
    **dict.fromkeys((".ome.tif", ".ome.tiff", ".tif", ".tiff"), write_ome_tiff),
}
