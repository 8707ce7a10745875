"""Labels as OME-TIFF, with the size of a pixel."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import UserError
from ..io.labels import MIN_BIGTIFF_BYTES, RECORD_KEY, UINT16_MAX
from ..io.record_paths import shorten_paths
from .result import Result

# Units of OME-XML by their names in UDUNITS.
OME_LENGTH_UNITS = {
    "meter": "m", "centimeter": "cm", "millimeter": "mm", "micrometer": "\u00b5m",
    "nanometer": "nm", "picometer": "pm", "angstrom": "\u00c5", "inch": "in",
}  # fmt: skip
OME_TIME_UNITS = {
    "second": "s", "millisecond": "ms", "microsecond": "\u00b5s", "minute": "min", "hour": "h",
    "day": "d",
}  # fmt: skip
# Axes of OME-XML as tifffile writes them, and the letter of any other axis.
OME_AXES, OME_OTHER_AXIS = "TZCAPRHE", "Q"
UINT32_MAX = 2**32 - 1
# Of the only channel of labels.
CHANNEL_NAME = "nuclei"


def write_ome_tiff(path: Path, result: Result, max_label: int | None = None) -> None:
    """Write labels plane by plane: uint16, or uint32 past 65,535; zlib; BigTIFF from 2 GB.

    Parameters
    ----------
    path : Path
    result : Result
        Labels keep their ids. The record goes into an annotation of OME-XML as JSON.
    max_label : int, optional
        Largest label; None: all planes are read once more for it.

    Raises
    ------
    UserError
        If there are no pixels, a label is too large, or OME-XML cannot hold the axes.
    """
    shape, axes = result.labels.shape, ome_axes(result.axes)
    if not math.prod(shape):
        raise UserError("There are no pixels to save.")
    most = max_label
    if most is None:
        most = max(int(plane.max()) for _, plane in result.planes())
    if most > UINT32_MAX:
        raise UserError(f"Number the nuclei from 1: TIFF cannot hold the label {most}.")
    dtype = np.dtype(np.uint16 if most <= UINT16_MAX else np.uint32)
    tifffile.imwrite(
        path,
        (plane.astype(dtype) for _, plane in result.planes()),
        shape=shape,
        dtype=dtype,
        ome=True,
        bigtiff=math.prod(shape) * dtype.itemsize > MIN_BIGTIFF_BYTES,
        compression="zlib",
        photometric="minisblack",
        metadata={
            "axes": axes,
            "Name": "".join(filter(str.isprintable, result.name)),  # XML allows no others
            **_ome_sizes(result),
            **({"Channel": {"Name": CHANNEL_NAME}} if set(axes) <= set("TZYX") else {}),
            "MapAnnotation": {
                "Namespace": RECORD_KEY,
                RECORD_KEY: json.dumps(shorten_paths(result.record, path), default=str),
            },
        },
    )


def ome_axes(axes: str) -> str:
    """Convert axes of labels to letters of OME-XML; one that it does not know becomes "other".

    Raises
    ------
    UserError
        If it cannot hold them.
    """
    unknown = set(axes[:-2]) - set(OME_AXES)
    if len(unknown) > 1 or len(axes) > 5 or axes[-2:] != "YX":
        raise UserError(
            f"OME-TIFF cannot store the axes {axes}: save fewer of them, or name them T, Z and C."
        )
    return "".join(OME_OTHER_AXIS if axis in unknown else axis for axis in axes)


def _ome_sizes(result: Result) -> dict[str, Any]:
    """Return the pixel size along X, Y and Z, and the time between frames, where known."""
    sizes: dict[str, Any] = {}
    units = result.units or (None,) * len(result.axes)
    for axis, size, unit in zip(result.axes, map(float, result.spacing), units, strict=False):
        if not (math.isfinite(size) and size > 0):
            continue
        if axis in "XYZ" and (unit in OME_LENGTH_UNITS or size != 1):
            # a size without a unit would be read as micrometers
            sizes |= {f"PhysicalSize{axis}": size}
            sizes |= {f"PhysicalSize{axis}Unit": OME_LENGTH_UNITS.get(str(unit), "pixel")}
        elif axis == "T" and unit in OME_TIME_UNITS:
            sizes |= {"TimeIncrement": size, "TimeIncrementUnit": OME_TIME_UNITS[str(unit)]}
    return sizes
