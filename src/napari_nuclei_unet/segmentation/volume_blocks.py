"""Separation of volumes in columns of blocks, each with all slices, so that memory suffices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import Box, box_shape, expand_box
from ..arrays.tiling import split_box
from .volume_separation import LIGHT_STRIDE, VolumeMaps, VolumeSeparation, separate_volume

# Around a block so many typical diameters are looked at with it: neighbours of its nuclei are
# then as whole as in the volume.
CONTEXT_DIAMETERS = 2.0
CHUNK = 512


@dataclass(frozen=True, eq=False)
class BlockLabels:
    """Labels of a volume in memory, compressed if it is large.

    Attributes
    ----------
    array : array-like, shape (Z, Y, X), int32
        Of numpy or zarr.
    count : int
        Number of nuclei, whose ids are 1..n.
    """

    array: Any
    count: int

    def read(self, z: int, box: Box = (slice(None), slice(None))) -> NDArray[np.int32]:
        """Return the labels of a slice, or of a box of it."""
        return np.asarray(self.array[z, *box])


def separate_in_blocks(
    maps: VolumeMaps, params: VolumeSeparation, block_voxels: int
) -> BlockLabels:
    """Separate the nuclei of a volume, if it is large block by block.

    A nucleus is that of the block in which its centroid lies, and is whole there.

    Parameters
    ----------
    maps, params
        As in ``volume_separation.separate_volume``.
    block_voxels : int
        With their context, blocks have about so many voxels.

    Returns
    -------
    BlockLabels
    """
    if maps.nucleus.size <= block_voxels:
        labels = separate_volume(maps, params)
        return BlockLabels(labels, int(labels.max(initial=0)))
    # takes a moment to load
    import zarr

    depth, height, width = maps.nucleus.shape
    context = math.ceil(CONTEXT_DIAMETERS * params.diameter / LIGHT_STRIDE) * LIGHT_STRIDE
    edge = int(math.sqrt(block_voxels / depth)) - 2 * context
    edge = max(edge // LIGHT_STRIDE * LIGHT_STRIDE, context)
    array = zarr.create_array(
        zarr.storage.MemoryStore(), shape=maps.nucleus.shape, dtype=np.int32,
        chunks=(1, min(CHUNK, height), min(CHUNK, width)),
    )  # fmt: skip
    count = 0
    for core in split_box((slice(0, height), slice(0, width)), edge, edge):
        read = expand_box(core, context, (height, width))
        labels = _own_nuclei(separate_volume(_cut(maps, read), params), core, read)
        count += _add(array, labels, read, count)
    return BlockLabels(array, count)


def _cut(maps: VolumeMaps, box: Box) -> VolumeMaps:
    """Return a part of the maps, which begins at even pixels."""
    rows, columns = (
        slice(part.start // LIGHT_STRIDE, math.ceil(part.stop / LIGHT_STRIDE)) for part in box
    )
    return VolumeMaps(maps.nucleus[:, *box], maps.light[:, rows, columns], maps.step)


def _own_nuclei(labels: NDArray[np.int32], core: Box, read: Box) -> NDArray[np.int32]:
    """Remove nuclei whose centroid is not in the core of a block."""
    n = int(labels.max(initial=0)) + 1
    size, owned = np.zeros(n), np.ones(n, bool)
    moments = np.zeros((2, n))
    lines = [np.arange(part.start, part.stop, dtype=np.float64) for part in read]
    for section in labels:
        flat = section.ravel()
        size += np.bincount(flat, minlength=n)
        for axis, line in enumerate(lines):
            weights = np.broadcast_to(line[:, None] if axis == 0 else line, box_shape(read))
            moments[axis] += np.bincount(flat, weights.ravel(), minlength=n)
    for part, moment in zip(core, moments, strict=True):
        centre = moment / np.maximum(size, 1)
        owned &= (centre >= part.start - 0.5) & (centre < part.stop - 0.5)
    owned[0] = False
    numbers = np.where(owned, np.cumsum(owned), 0).astype(np.int32)
    return numbers[labels]


def _add(array: Any, labels: NDArray[np.int32], box: Box, count: int) -> int:
    """Write nuclei with ids that follow, where nothing is yet; return how many there are."""
    for z, section in enumerate(labels):
        if section.any():
            there = np.asarray(array[z, *box])
            array[z, *box] = np.where((section > 0) & (there == 0), section + count, there)
    return int(labels.max(initial=0))
