"""Label images as TIFF, with the record of their provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import UserError
from .json_text import parse_json
from .label_numbers import read_numbers, to_labels
from .openable import check_openable
from .record_paths import resolve_paths, shorten_paths

LABELS_ENDING = "_labels"
LABELS_SUFFIX = LABELS_ENDING + ".ome.tif"
# Of labels whose axes OME-TIFF cannot hold, and of all of them in earlier versions.
PLAIN_LABELS_SUFFIX = LABELS_ENDING + ".tif"
STORE_SUFFIX = LABELS_ENDING + ".ome.zarr"

# Labels of more bytes, uncompressed, are written as BigTIFF.
MIN_BIGTIFF_BYTES = 2**31

RECORD_KEY = "napari_nuclei_unet"

UINT16_MAX = 65_535


def check_overwritable(labels: Path) -> None:
    """Refuse to overwrite labels that were not written by this program.

    Raises
    ------
    UserError
    """
    if labels.exists() and read_record(labels) is None:
        raise UserError(
            f"{labels} was not made by this program and is not overwritten: choose another folder."
        )


def read_record(path: str | Path) -> dict[str, Any] | None:
    """Read the record of a TIFF of this program, with absolute paths; None of any other file."""
    try:
        check_openable(path)
        with tifffile.TiffFile(path) as opened:
            text = opened.pages.first.description
            record = _read_annotation(text) if opened.is_ome else parse_json(text)[RECORD_KEY]
    except (UserError, tifffile.TiffFileError, ET.ParseError):
        return None
    except (OSError, ValueError, LookupError, TypeError):  # a damaged file has no page, or no key
        return None
    return resolve_paths(record, Path(path)) if isinstance(record, dict) else None


def _read_annotation(xml: str) -> Any:
    """Read the record in an annotation of OME-XML."""
    found = ET.fromstring(xml).find(f".//{{*}}MapAnnotation//{{*}}M[@K='{RECORD_KEY}']")
    return None if found is None else parse_json(found.text or "")


def write_labels_tiff(path: Path, labels: NDArray[np.integer], record: dict[str, Any]) -> None:
    """Write labels as TIFF: uint16, or uint32 past 65,535 nuclei; zlib.

    Parameters
    ----------
    path : Path
    labels : ndarray, shape (Y, X), integer
    record : dict
        Their provenance; written into the description as JSON.
    """
    dtype = np.uint16 if labels.max(initial=0) <= UINT16_MAX else np.uint32
    tifffile.imwrite(
        path,
        labels.astype(dtype),
        compression="zlib",
        description=json.dumps({RECORD_KEY: shorten_paths(record, path)}),
        metadata=None,
    )


def write_labels_stack(
    path: Path,
    planes: Iterable[NDArray[np.integer]],
    shape_and_axes: tuple[tuple[int, ...], str],
    max_label: int,
    record: dict[str, Any],
) -> None:
    """Write labels of many planes as TIFF, plane by plane: zlib, with the letters of their axes.

    Parameters
    ----------
    path : Path
    planes : iterable of ndarray, shape (Y, X), integer
        In order, the last axis fastest.
    shape_and_axes : (tuple of int, str)
        Shape of all labels, and a letter for each axis.
    max_label : int
        Largest label: uint16, or uint32 past 65,535.
    record : dict
        As in :func:`write_labels_tiff`.
    """
    shape, axes = shape_and_axes
    dtype = np.dtype(np.uint16 if max_label <= UINT16_MAX else np.uint32)
    tifffile.imwrite(
        path,
        (plane.astype(dtype) for plane in planes),
        shape=shape,
        dtype=dtype,
        bigtiff=math.prod(shape) * dtype.itemsize > MIN_BIGTIFF_BYTES,
        compression="zlib",
        photometric="minisblack",
        metadata={"axes": axes, RECORD_KEY: shorten_paths(record, path)},
    )


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels of one plane, of any program: integers, whole floats, or a palette.

    Raises
    ------
    UserError
        If the file does not hold whole numbers from 0 up, one per pixel.
    """
    return to_labels(read_numbers(path), path)
