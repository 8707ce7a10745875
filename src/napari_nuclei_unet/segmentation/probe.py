"""The part of a plane in which the size of nuclei is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box, full_box
from ..arrays.tiling import split_box
from .normalization import Plane

# Of a larger plane only the liveliest square of this edge, in pixels, is measured.
PROBE_EDGE = 1024


@dataclass(frozen=True, eq=False)
class Probe:
    """Part of a plane in which nuclei are measured.

    Attributes
    ----------
    plane : Plane
        The whole of it, so that the network sees what lies around the part.
    box : (slice, slice)
    """

    plane: Plane
    box: Box

    @classmethod
    def of_whole(cls, plane: Plane) -> Probe:
        """Return a plane as its own probe."""
        return cls(plane, full_box(plane.shape))

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the plane."""
        return self.box == full_box(self.plane.shape)

    def cut_out(self) -> Plane:
        """Return the part as a plane of its own."""
        return replace(self.plane, pixels=self.plane.pixels[self.box], invalid=None)


def find_probe(plane: Plane) -> Probe:
    """Find where brightness varies most; a small plane is its own probe."""
    height, width = plane.shape
    if height * width <= PROBE_EDGE**2:
        return Probe.of_whole(plane)
    boxes = [
        (slice(y, min(y + PROBE_EDGE, height)), slice(x, min(x + PROBE_EDGE, width)))
        for y, x in probe_corners(plane.shape)
    ]
    best = int(np.argmax([measure_contrast(plane.pixels[box]) for box in boxes]))
    return Probe(plane, boxes[best])


def probe_corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """List the first pixels of squares of a plane, of which that with most contrast is measured."""
    inner = full_box([max(extent - PROBE_EDGE // 2, 1) for extent in shape[:2]])
    squares = split_box(inner, PROBE_EDGE, PROBE_EDGE)
    return [(rows.start, columns.start) for rows, columns in squares]


def measure_contrast(part: NDArray[np.generic]) -> float:
    """Compute how much brightness varies: its standard deviation in every eighth pixel."""
    seen = part[::8, ::8].astype(np.float64)
    return float(np.where(np.isfinite(seen), seen, 0).std())
