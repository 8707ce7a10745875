"""Names of units, in any spelling, and lengths in micrometers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# Names of UDUNITS, as in NGFF, and the ways in which files and people write them.
_SPELLINGS = {
    "picometer": "pm picometre",
    "angstrom": "å ångström ångstrom",
    "nanometer": "nm nanometre",
    "micrometer": "um micron micrometre mum",
    "millimeter": "mm millimetre",
    "centimeter": "cm centimetre",
    "decimeter": "dm decimetre",
    "meter": "m metre",
    "kilometer": "km kilometre",
    "inch": 'in inche "',
    "foot": "ft feet",
    "yard": "yd",
    "point": "pt",
    "thou": "mil",
    "microsecond": "us usec",
    "millisecond": "ms msec",
    "second": "s sec",
    "minute": "min",
    "hour": "h hr",
    "day": "d",
}
_NAMES = {
    spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others.split())
}
_MICROMETERS = {
    "picometer": 1e-6, "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3,
    "centimeter": 1e4, "decimeter": 1e5, "meter": 1e6, "kilometer": 1e9, "inch": 25_400.0,
    "foot": 304_800.0, "yard": 914_400.0, "point": 25_400 / 72, "thou": 25.4,
}  # fmt: skip
# Micro: its own sign, the Greek letter, and either as an escape, which ImageJ and Java write.
_MICRO = re.compile(r"µ|μ|\\u00b5|\\u03bc|\\xb5|&#181;|&micro;", re.IGNORECASE)
# Bytes of UTF-8 that a program took for Latin-1, such as in "Âµm" and "Ã…".
_MOJIBAKE = re.compile("[ÂÃÎ]")


def parse_unit(text: object) -> str | None:
    """Return the name of a unit in UDUNITS, such as "micrometer" for µm; None if unknown."""
    plain = _repair(str(text)).strip().strip("\0").lower()
    plain = _MICRO.sub("u", plain)
    return _NAMES.get(plain) or _NAMES.get(plain.removesuffix("s"))


def _repair(text: str) -> str:
    """Return text whose UTF-8 was taken for Latin-1 or Windows-1252, as it was meant."""
    if _MOJIBAKE.search(text):
        for encoding in ("latin-1", "cp1252"):
            try:
                return text.encode(encoding).decode()
            except UnicodeError:
                continue
    return text


def to_micrometers(size: float, unit: str | None) -> float | None:
    """Convert a length; None where the unit is none of a length."""
    factor = _MICROMETERS.get(unit or "")
    return None if factor is None else size * factor


def plane_micrometers(
    axes: str, spacing: Sequence[float], units: Sequence[str | None]
) -> tuple[float, float] | None:
    """Return the size of a pixel along Y and X in micrometers; None where it is unknown.

    Parameters
    ----------
    axes : str
        A letter for each axis, Y and X among them.
    spacing : sequence of float
        Size of a pixel along each axis; empty if unknown.
    units : sequence of (str or None)
        Of the spacing, by their names in UDUNITS; empty if unknown.
    """
    rows, columns = _axis_micrometers("YX", axes, spacing, units)
    return None if rows is None or columns is None else (rows, columns)


def voxel_micrometers(
    axes: str, spacing: Sequence[float], units: Sequence[str | None]
) -> tuple[float, float, float] | None:
    """Return the size of a voxel along Z, Y and X in micrometers; None where one is unknown or 0.

    Parameters
    ----------
    axes, spacing, units
        As of :func:`plane_micrometers`.
    """
    step, rows, columns = _axis_micrometers("ZYX", axes, spacing, units)
    if step is None or rows is None or columns is None:
        return None
    size = (step, rows, columns)
    return size if all(math.isfinite(length) and length > 0 for length in size) else None


def _axis_micrometers(
    letters: str, axes: str, spacing: Sequence[float], units: Sequence[str | None]
) -> list[float | None]:
    """Return the size of a pixel along some axes in micrometers."""
    known = dict(zip(axes, zip(spacing, units, strict=False), strict=False))
    return [to_micrometers(*known.get(axis, (1.0, None))) for axis in letters]
