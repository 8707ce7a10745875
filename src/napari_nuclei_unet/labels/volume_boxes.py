"""Where nuclei of a volume are: the box of one, or of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import (
    Box,
    VolumeBox,
    bounding_box,
    enclose_boxes,
    expand_box,
    from_frame,
    stack_boxes,
)
from .run_lengths import encode_run_lengths


@dataclass(frozen=True, eq=False)
class VolumeBoxes:
    """Boxes of nuclei.

    Attributes
    ----------
    ids : ndarray, shape (n,), int64
        Ascending.
    boxes : ndarray, shape (n, 6), int64
        First slice, row and column of each, and those after its last.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]


def find_volume_boxes(labels: NDArray[np.integer]) -> VolumeBoxes:
    """Find the bounding boxes of all nuclei.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), integer
        0 is background.
    """
    runs = encode_run_lengths(labels.reshape(-1, labels.shape[2]))
    z, y = np.divmod(runs.rows, labels.shape[1])
    low = [runs.reduce_by_nucleus(np.minimum, values) for values in (z, y, runs.starts)]
    high = [runs.reduce_by_nucleus(np.maximum, values) for values in (z + 1, y + 1, runs.stops)]
    return VolumeBoxes(runs.ids, np.stack([*low, *high], axis=1).astype(np.int64))


def find_label_box(labels: NDArray[np.integer], nucleus: int) -> VolumeBox | None:
    """Find the box of a nucleus in a volume in memory, slice by slice; None if there is none.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), integer
    nucleus : int
    """
    found: VolumeBox | None = None
    for z in range(labels.shape[0]):
        mask = labels[z] == nucleus
        if mask.any():
            found = _enclose_section(found, z, bounding_box(mask))
    return found


def grow_box(labels: Any, nucleus: int, z: int, section: Box) -> VolumeBox:
    """Grow the box of a nucleus from its section in one slice, as far as it goes up and down.

    Reads little of a volume in a file: of each slice the part in which the slice before has the
    nucleus, and more only while it goes on at the edge of that.

    Parameters
    ----------
    labels : array, shape (Z, Y, X), integer
        Is only sliced.
    nucleus : int
    z : int
    section : (slice, slice)
        Box of the nucleus in slice ``z``.
    """
    found: VolumeBox = (slice(z, z + 1), *section)
    for step in (-1, 1):
        here, part = z + step, section
        while 0 <= here < labels.shape[0]:
            grown = _find_section(labels, nucleus, here, part)
            if grown is None:
                break
            found, part = _enclose_section(found, here, grown), grown
            here += step
    return found


def _find_section(labels: Any, nucleus: int, z: int, near: Box) -> Box | None:
    """Find the box of a nucleus in a slice, around the box of its section in the next one."""
    shape = labels.shape[1:]
    margin = max(near[0].stop - near[0].start, near[1].stop - near[1].start) // 2 + 1
    while True:
        window = expand_box(near, margin, shape)
        mask = np.asarray(labels[(z, *window)]) == nucleus
        if not mask.any():
            return None
        inner = bounding_box(mask)
        is_cut = any(
            (part.start == 0 and outer.start > 0)
            or (part.stop == outer.stop - outer.start and outer.stop < length)
            for part, outer, length in zip(inner, window, shape, strict=True)
        )
        if not is_cut:
            return from_frame(inner, window)
        margin *= 2


def _enclose_section(box: VolumeBox | None, z: int, section: Box) -> VolumeBox:
    own: VolumeBox = (slice(z, z + 1), *section)
    return own if box is None else enclose_boxes(box, stack_boxes([own]))


def expand_volume_box(box: VolumeBox, margin: int, shape: tuple[int, ...]) -> VolumeBox:
    """Expand a box by a margin on every side, clipped to a volume of this shape."""
    parts = (
        slice(max(part.start - margin, 0), min(part.stop + margin, length))
        for part, length in zip(box, shape, strict=True)
    )
    return cast(VolumeBox, tuple(parts))
