"""Distances with a unit, as of ``--ring`` and ``--cells``."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(px|um|µm|μm)?")


@dataclass(frozen=True)
class Distance:
    """A distance in pixels or micrometers."""

    value: float
    in_micrometers: bool


def parse_distance(text: str) -> Distance:
    """Return the distance of a flag."""
    match = DISTANCE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"'{text}': a distance, such as 5px or 1.5um")
    return Distance(float(match[1]), match[2] not in (None, "px"))
