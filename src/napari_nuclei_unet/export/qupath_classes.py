"""Classes of nuclei as classifications of QuPath."""

from __future__ import annotations

import colorsys
import zlib
from typing import TypedDict

from ..io.tables import CLASS_SUFFIX

# QuPath splits names here, and derives a class from the part before.
DELIMITER = ": "
# Red, green and blue of classes that end so, as QuPath colours them.
SIGN_COLORS = {"positive": [200, 50, 50], "negative": [90, 90, 180]}


class Classification(TypedDict):
    """A classification as JSON."""

    name: str
    color: list[int]


def find_classification(text: dict[str, str]) -> Classification | None:
    """Return the classification of a nucleus; None if it has no class.

    Parameters
    ----------
    text : dict of str to str
        Its columns with text. Those of several classes become one name, in their order, as QuPath
        has one classification for each object.
    """
    names = [value.strip() for name, value in text.items() if name.endswith(CLASS_SUFFIX)]
    name = DELIMITER.join(name for name in names if name)
    return Classification(name=name, color=_choose_color(name)) if name else None


def _choose_color(name: str) -> list[int]:
    """Return the colour of a class, the same in every file."""
    *parents, last = name.split(DELIMITER)
    if len(parents) < 2 and last.lower() in SIGN_COLORS:
        return SIGN_COLORS[last.lower()]
    hue = zlib.crc32(name.encode()) % 360 / 360
    return [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.7, 0.9)]
