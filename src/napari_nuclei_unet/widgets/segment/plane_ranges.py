"""Axes along which an image has planes, and ranges of these that are typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UserError


@dataclass(frozen=True)
class StackAxis:
    """An axis other than those of the plane and the channels.

    Attributes
    ----------
    number : int
    name : str
    length : int
    """

    number: int
    name: str
    length: int

    def __str__(self) -> str:
        return f"{self.name} (0-{self.length - 1})"


def format_whole_range(axes: Sequence[StackAxis]) -> str:
    """Return the range of all planes, as the user would type it: "0-50" for every axis."""
    return ", ".join(f"0-{axis.length - 1}" for axis in axes)


def parse_plane_ranges(text: str, axes: Sequence[StackAxis]) -> list[range]:
    """Parse the ranges that the user has typed, such as "0-9, 3": one for every axis.

    Raises
    ------
    UserError
        If the text is invalid.
    """
    names = ", ".join(map(str, axes))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(axes) or not all(parts):
        example = format_whole_range(axes)
        raise UserError(f"Type the planes, such as {example}: first and last along {names}.")
    ranges = []
    for part, axis in zip(parts, axes, strict=True):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part, re.ASCII)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else -1
        if not first <= last < axis.length:
            raise UserError(
                f"'{part}' is no range of {axis.name}. Type the planes, such as "
                f"0-{axis.length - 1}, or the number of one."
            )
        ranges.append(range(first, last + 1))
    return ranges
