"""Pixel sizes in the metadata of TIFF files."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree as ET

import tifffile

from .units import parse_unit, to_micrometers

UNKNOWN_SPACING = (1.0, None)
Spacings = dict[str, tuple[float, str | None]]
UM = "micrometer"
# Larger pixels are none of a microscope: 72 dots per inch, which image editors write, are 353 µm.
MAX_PIXEL_UM = 100.0
# Settings of printers, screens and scanners.
PRINTER_DPI = (
    72, 75, 90, 96, 100, 120, 144, 150, 160, 180, 192, 200, 220, 240, 250, 266, 300, 350, 360,
    400, 450, 480, 500, 600, 720, 800, 900, 1000, 1200, 1440, 1600, 1800, 2000,
    2400, 2880, 3200, 3600, 4000, 4800, 5400, 5760, 6400, 7200, 9600,
)  # fmt: skip
# Written with three digits or more, as in 118.11 dots per centimeter.
DPI_TOLERANCE = 1e-3
# Units in which no microscope counts.
UNITS_OF_PRINT = ("inch", "foot", "yard", "point", "thou")


def read_spacings(opened: Any, image: int = 0) -> Spacings:
    """Read the size and unit of a pixel along the axes for which a TIFF has them.

    Parameters
    ----------
    opened : tifffile.TiffFile
        OME-TIFF, of ImageJ, LSM, STK, SVS, of Olympus, or with a resolution in centimeters that is
        none of a printer.
    image : int, optional
        Number of the image in OME-XML.

    Returns
    -------
    dict of str to (float, str or None)
        By letter of the axis; units are names of UDUNITS, None where unknown. A size that cannot
        be that of a pixel is left out.
    """
    if opened.is_ome:
        spacings = _read_ome(opened.ome_metadata, image)
    elif opened.is_imagej:
        spacings = _read_imagej(opened)
    elif opened.is_lsm:
        spacings = _read_lsm(opened.lsm_metadata)
    elif opened.is_stk:
        spacings = _read_stk(opened.stk_metadata)
    elif (
        opened.pages.first.is_svs
    ):  # the file's own property asks for tiles, too, in newer versions
        spacings = _read_svs(opened.pages.first.description)
    elif opened.is_sis:
        spacings = _read_sis(opened.sis_metadata)
    else:
        spacings = _read_tags(opened)
    return check_spacings(spacings)


def check_spacings(spacings: Spacings) -> Spacings:
    """Return spacings without those along Y and X that are too large or settings of a printer."""
    return {
        axis: pair for axis, pair in spacings.items() if axis not in "YX" or _is_possible(*pair)
    }


def _is_possible(size: float, unit: str | None) -> bool:
    if unit is None:
        return (size, unit) != UNKNOWN_SPACING
    length = to_micrometers(size, unit)
    if length is None or length > MAX_PIXEL_UM:
        return False
    return not any(math.isclose(length * dpi, 25_400, rel_tol=DPI_TOLERANCE) for dpi in PRINTER_DPI)


def parse_spacing(value: Any, unit: str | None) -> tuple[float, str | None]:
    """Return size and unit; micrometers for units that are none of a microscope, such as inches.

    Where the size is invalid, 1 without a unit.
    """
    try:
        size = float(value)
    except (TypeError, ValueError):
        return UNKNOWN_SPACING
    if not (math.isfinite(size) and size > 0):
        return UNKNOWN_SPACING
    if unit in UNITS_OF_PRINT and (length := to_micrometers(size, unit)):
        return length, UM
    return size, unit


def _resolution(opened: Any) -> dict[str, float]:
    """Return the sizes of which the tags of resolution have the inverse."""
    tags = opened.pages.first.tags
    pairs = {"X": tags.valueof("XResolution"), "Y": tags.valueof("YResolution")}
    return {axis: pair[1] / pair[0] for axis, pair in pairs.items() if pair and pair[0]}


def _read_tags(opened: Any) -> Spacings:
    # microscopes write centimeters; dots per inch are settings of printers and scanners
    if opened.pages.first.tags.valueof("ResolutionUnit") != tifffile.RESUNIT.CENTIMETER:
        return {}
    return {axis: parse_spacing(1e4 * size, UM) for axis, size in _resolution(opened).items()}


def _read_imagej(opened: Any) -> Spacings:
    metadata = opened.imagej_metadata or {}
    unit = parse_unit(metadata.get("unit"))
    spacings = {axis: parse_spacing(size, unit) for axis, size in _resolution(opened).items()}
    if "spacing" in metadata:
        spacings["Z"] = parse_spacing(metadata["spacing"], unit)
    if "finterval" in metadata:
        tunit = parse_unit(metadata.get("tunit", "sec"))
        spacings["T"] = parse_spacing(metadata["finterval"], tunit)
    return spacings


def _read_ome(xml: str, image: int) -> Spacings:
    try:
        found = ET.fromstring(xml).findall("{*}Image/{*}Pixels")
    except ET.ParseError:
        found = []
    spacings: Spacings = {}
    if image < len(found):
        pixels = found[image]
        for axis, key, default in (
            *((axis, f"PhysicalSize{axis}", "\u00b5m") for axis in "XYZ"),
            ("T", "TimeIncrement", "s"),
        ):
            if key in pixels.attrib:
                unit = parse_unit(pixels.get(f"{key}Unit", default))
                spacings[axis] = parse_spacing(pixels.get(key), unit)
    return spacings


def _read_lsm(metadata: Any) -> Spacings:
    values = metadata or {}
    found = {axis: (values.get(f"VoxelSize{axis}"), "meter") for axis in "XYZ"}
    found["T"] = (values.get("TimeIntervall"), "second")  # as tifffile spells it
    return {axis: parse_spacing(*pair) for axis, pair in found.items() if pair[0]}


def _read_stk(metadata: Any) -> Spacings:
    values = metadata or {}
    unit = parse_unit(values.get("CalibrationUnits"))
    sizes = {axis: values.get(f"{axis}Calibration") for axis in "XY"}
    return {axis: parse_spacing(size, unit) for axis, size in sizes.items() if size}


def _read_svs(description: str) -> Spacings:
    """Read what Aperio writes: ``MPP = 0.4990``, micrometers per pixel."""
    found = re.search(r"\bMPP\s*=\s*([\d.]+)", description)
    return {axis: parse_spacing(found[1], UM) for axis in "XY"} if found else {}


def _read_sis(metadata: Any) -> Spacings:
    values = metadata or {}
    sizes = {axis: values.get(f"pixelsize{axis.lower()}") for axis in "XY"}
    return {axis: parse_spacing(size, "meter") for axis, size in sizes.items() if size}
