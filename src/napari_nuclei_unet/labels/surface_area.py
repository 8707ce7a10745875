"""Surfaces of all nuclei of a volume at once, by Crofton's formula."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .run_lengths import RunLengths

# Steps (z, y, x) to one half of the 26 neighbours of a voxel; the other half is opposite.
DIRECTIONS = np.array(
    [step for step in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if step > (0, 0, 0)]
)


def count_exits(
    runs: RunLengths,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    shape: tuple[int, ...],
) -> NDArray[np.int64]:
    """Count the steps that lead out of each nucleus, in each of ``DIRECTIONS``.

    The nucleus' voxels, and those that it shares with itself moved by a step, are counted in runs:
    no voxel is read.

    Parameters
    ----------
    runs : RunLengths
        Of the volume as one plane of shape (Z * Y, X).
    rows : (ndarray, ndarray), each of shape (m,)
        Slice of each run, and its row there.
    shape : (int, int, int)
        Of the volume; outside of it there is no nucleus.

    Returns
    -------
    ndarray, shape (n, 13), int64
    """
    # positions in a volume with a margin, so that no step leads from one row to another
    row, plane = shape[2] + 2, (shape[1] + 2) * (shape[2] + 2)
    z, y = (at[runs.order] for at in rows)
    length = runs.lengths[runs.order]
    begin = runs.starts[runs.order] + 1 + row * (y + 1) + plane * z
    begin += runs.owner[runs.order] * (plane * (shape[0] + 2))
    end, total = begin + length, np.append(0, np.cumsum(length))

    def count_before(position: NDArray[np.int64]) -> NDArray[np.int64]:
        index = np.searchsorted(begin, position)
        return np.asarray(total[index] - np.maximum(end[index - 1] - position, 0) * (index > 0))

    shared = [
        np.add.reduceat(count_before(end + step) - count_before(begin + step), runs.first)
        for step in DIRECTIONS @ (plane, row, 1)
    ]
    return np.asarray(runs.area - np.array(shared)).T


def weigh_exits(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Compute the area for which a step out of a nucleus stands, for each of ``DIRECTIONS``.

    A surface is four times the mean area of its shadows (Crofton), which steps out of it sample. A
    direction counts for the part of the sphere that is nearest to it, so that the surface is right
    for voxels of any shape (Legland, Kiêu and Devaux 2007, doi:10.5566/ias.v26.p83-92).

    Parameters
    ----------
    spacing : (float, float, float)
        Size of a voxel along Z, Y and X.

    Returns
    -------
    ndarray, shape (13,), float64
        In units of the spacing, squared.
    """
    # slow to import, and only volumes have a surface
    from scipy.spatial import SphericalVoronoi

    steps = DIRECTIONS * np.asarray(spacing)
    length = np.linalg.norm(steps, axis=1)
    towards = steps / length[:, None]
    sphere = SphericalVoronoi(np.concatenate([towards, -towards]), threshold=1e-9)
    share = sphere.calculate_areas()[: length.size] / (2 * np.pi)
    return np.asarray(4 * share * np.prod(spacing) / length)
