"""Pixel sizes in the metadata of TIFF files."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree as ET

import tifffile

# Names of UDUNITS, as in NGFF, for the units of OME-XML and ImageJ.
UDUNITS_NAMES = {
    "m": "meter", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "pm": "picometer",
    "\u00b5m": "micrometer", "\u03bcm": "micrometer", "\\u00B5m": "micrometer", "um": "micrometer",
    "micron": "micrometer", "microns": "micrometer", "micrometer": "micrometer",
    "\u00c5": "angstrom", "inch": "inch", "nanometer": "nanometer", "millimeter": "millimeter",
    "s": "second", "sec": "second", "ms": "millisecond", "min": "minute", "h": "hour",
}  # fmt: skip
UNKNOWN_SPACING = (1.0, None)
Spacings = dict[str, tuple[float, str | None]]


def read_spacings(opened: Any, number: int = 0) -> Spacings:
    """Read the size and unit of a pixel along the axes for which a TIFF has them.

    Parameters
    ----------
    opened : tifffile.TiffFile
        OME-TIFF, of ImageJ, or with a resolution in centimeters.
    number : int, optional
        Of the image in the file.

    Returns
    -------
    dict of str to (float, str or None)
        By letter of the axis; units are names of UDUNITS, None where unknown.
    """
    if opened.is_ome:
        return _read_ome_spacings(opened.ome_metadata, number)
    tags = opened.pages.first.tags
    across = {"X": tags.valueof("XResolution"), "Y": tags.valueof("YResolution")}
    sizes = {axis: pair[1] / pair[0] for axis, pair in across.items() if pair and pair[0]}
    if opened.is_imagej:
        metadata = opened.imagej_metadata or {}
        unit = UDUNITS_NAMES.get(str(metadata.get("unit")))
        spacings = {axis: _parse_size(size, unit) for axis, size in sizes.items()}
        if "spacing" in metadata:
            spacings["Z"] = _parse_size(metadata["spacing"], unit)
        if "finterval" in metadata:
            spacings["T"] = _parse_size(
                metadata["finterval"], UDUNITS_NAMES.get(str(metadata.get("tunit", "sec")))
            )
        return spacings
    # microscopes write centimeters; dots per inch are settings of printers and scanners
    if tags.valueof("ResolutionUnit") == tifffile.RESUNIT.CENTIMETER:
        return {axis: _parse_size(1e4 * size, "micrometer") for axis, size in sizes.items()}
    return {}


def _read_ome_spacings(xml: str, number: int) -> Spacings:
    try:
        images = ET.fromstring(xml).findall(".//{*}Pixels")
        pixels = images[number] if number < len(images) else None
    except ET.ParseError:
        pixels = None
    spacings: Spacings = {}
    if pixels is not None:
        for axis, key, default in (
            *((axis, f"PhysicalSize{axis}", "\u00b5m") for axis in "XYZ"),
            ("T", "TimeIncrement", "s"),
        ):
            if key in pixels.attrib:
                spacings[axis] = _parse_size(
                    pixels.get(key), UDUNITS_NAMES.get(pixels.get(f"{key}Unit", default))
                )
    return spacings


def _parse_size(value: Any, unit: str | None) -> tuple[float, str | None]:
    """Return size and unit; 1 without a unit where the size is invalid."""
    try:
        size = float(value)
    except (TypeError, ValueError):
        return UNKNOWN_SPACING
    return (size, unit) if math.isfinite(size) and size > 0 else UNKNOWN_SPACING
