"""The table of nuclei of a volume: a row for each nucleus, which has a section in every slice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .intensities import compute_intensities
from .regionprops import BORDER_COLUMN, check_measured_shapes, mean_probability
from .run_lengths import RunLengths, encode_run_lengths, find_changes
from .surface_area import count_exits, weigh_exits

if TYPE_CHECKING:
    import pandas as pd

# By this column a table is one of volumes.
VOLUME_COLUMN = "volume"
# Columns of lengths, in units of the spacing.
VOLUME_LENGTH_COLUMNS = (
    "equivalent_diameter", "major_axis", "middle_axis", "minor_axis", "z_extent",
)  # fmt: skip
_AXES = ("major_axis", "middle_axis", "minor_axis")


@dataclass(frozen=True)
class VolumeFrame:
    """Position of a part in a stack of slices.

    Attributes
    ----------
    spacing : (float, float, float)
        Size of a voxel along Z, Y and X, in any unit.
    offset : (int, int, int)
        Position of the part's first voxel in the stack.
    shape : (int, int, int) or None
        Of the whole stack; None: the part is all that is measured, and its faces are borders.
    micrometers : (float, float, float) or None
        Size of a voxel along Z, Y and X in micrometers, if known.

    Raises
    ------
    UserError
        If a size is not more than 0.
    """

    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[int, int, int] = (0, 0, 0)
    shape: tuple[int, int, int] | None = None
    micrometers: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name, size in (("spacing", self.spacing), ("micrometers", self.micrometers)):
            if size is not None and not all(0 < value < np.inf for value in size):
                raise UserError(
                    f"Give `{name}` as sizes of a voxel along Z, Y and X, each above 0, not {size}."
                )


WHOLE_STACK_FRAME = VolumeFrame()


def measure_volume(
    labels: NDArray[np.integer],
    image: NDArray[np.generic] | None,
    nucleus: NDArray[np.floating] | None = None,
    frame: VolumeFrame = WHOLE_STACK_FRAME,
    channels: Sequence[str] = (),
) -> pd.DataFrame:
    """Measure every nucleus of a stack of slices, or of a part of it, as one object along z.

    Shapes are those of ``skimage.measure.regionprops``, for any spacing; surfaces are not, as the
    mesh that scikit-image offers follows the steps of voxels: it is 9 % too large for a ball, and
    19 % where slices are four pixels apart. See :func:`.surface_area.weigh_exits`.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), integer
        0 is background, else the id of a nucleus, which may be in several pieces.
    image : ndarray, shape (Z, Y, X) or (Z, Y, X, C), or None
        Intensities. NaN and infinity, which no segmented nucleus contains, count as 0.
    nucleus : ndarray, shape (Z, Y, X), floating, values 0 to 1, or None
        Predicted probability of nucleus.
    frame : VolumeFrame
    channels : sequence of str, length C
        Their names; "0", "1" and so on where they are not unique.

    Returns
    -------
    pandas.DataFrame
        A row for each nucleus, in the order of ids: ``label``; ``centroid_z``, ``centroid_y`` and
        ``centroid_x`` in voxels of the stack; ``volume`` (int64 where a voxel is 1 by 1 by 1),
        ``surface_area``, ``equivalent_diameter`` (of the ball with the same volume), and the axes
        of the ellipsoid with the same second moments, ``major_axis``, ``middle_axis`` and
        ``minor_axis``, in units of the spacing; ``sphericity``, the surface of the ball with the
        same volume divided by its own, in micrometers where the frame has them: 1 is a ball, and a
        nucleus of a few voxels, whose surface is uncertain, can have more; ``z_extent``, from its
        first to its last slice, in units of the spacing; ``sections``, the slices that it appears
        in. Intensities, ``confidence`` and ``touches_border`` are as of
        :func:`.regionprops.measure`, and all six faces are borders: in the first or the last slice,
        too, a part of the nucleus may be missing; but not if there is only one slice. Where the
        frame has micrometers, also ``centroid_z_um`` and so on, ``volume_um3``,
        ``surface_area_um2`` and all lengths, such as ``major_axis_um``. Without nuclei it has all
        columns, and no row.

    Raises
    ------
    UserError
        If they are not of one stack.
    """
    import pandas as pd  # takes longer to load than a dock

    check_measured_shapes(labels, "ZYX", image=image, probability=nucleus)
    plane = labels.reshape(-1, labels.shape[2])
    volume = _encode_volume(plane, labels.shape)
    runs = volume.runs
    shapes, in_micrometers = _compute_shapes(volume, frame.spacing), None
    if frame.micrometers is not None:
        in_micrometers = _compute_shapes(volume, frame.micrometers)
        shapes["sphericity"] = in_micrometers["sphericity"]
    centroids = {
        f"centroid_{axis}": value + start
        for axis, value, start in zip("zyx", volume.centroids, frame.offset, strict=True)
    }
    intensities = {}
    if image is not None:
        pixels = image.reshape(-1, *image.shape[2:])
        intensities = compute_intensities(runs, plane, pixels, channels)
    maps = None if nucleus is None else nucleus.reshape(plane.shape)
    return pd.DataFrame(
        {
            "label": runs.ids,
            **centroids,
            **shapes,
            "sections": _count_sections(volume),
            **intensities,
            "confidence": mean_probability(runs, plane, maps),
            BORDER_COLUMN: _touches_faces(volume, labels.shape, frame),
            **_convert_to_micrometers(centroids, in_micrometers, frame.micrometers),
        }
    )


@dataclass(frozen=True, eq=False)
class _VolumeRuns:
    """The m runs of a volume, and where they are.

    Attributes
    ----------
    runs : RunLengths
        Of the volume as one plane of shape (Z * Y, X).
    z, y : ndarray, shape (m,)
        Slice of each run, and its row there.
    exits : ndarray, shape (n, 13)
        As from :func:`count_exits`.
    """

    runs: RunLengths
    z: NDArray[np.int64]
    y: NDArray[np.int64]
    exits: NDArray[np.int64]

    @cached_property
    def centroids(self) -> tuple[NDArray[np.float64], ...]:
        """Centroid of each nucleus along Z, Y and X, in voxels."""
        runs = self.runs
        return tuple(runs.mean(runs.lengths * at) for at in (self.z, self.y, runs.middles))

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """First and last voxel of each nucleus along Z, Y and X, shape (2, 3, n)."""
        runs = self.runs
        return np.array(
            [
                [runs.reduce_by_nucleus(ufunc, at) for at in (self.z, self.y, ends)]
                for ufunc, ends in ((np.minimum, runs.starts), (np.maximum, runs.stops - 1))
            ]
        )


def _encode_volume(plane: NDArray[np.integer], shape: tuple[int, ...]) -> _VolumeRuns:
    runs = encode_run_lengths(plane)
    z, y = np.divmod(runs.rows, max(shape[1], 1))
    return _VolumeRuns(runs, z, y, count_exits(runs, (z, y), shape))


def _compute_shapes(
    volume: _VolumeRuns, spacing: tuple[float, float, float]
) -> dict[str, NDArray[Any]]:
    """Compute the columns of shapes, in units of a spacing."""
    voxels = volume.runs.area
    size = voxels if spacing == (1, 1, 1) else voxels * float(np.prod(spacing))
    surface = volume.exits @ weigh_exits(spacing)
    first, last = volume.boxes[:, 0]
    return {
        VOLUME_COLUMN: size,
        "surface_area": surface,
        "equivalent_diameter": np.cbrt(6 / np.pi * size),
        "sphericity": np.cbrt(36 * np.pi * size.astype(np.float64) ** 2) / surface,
        **_compute_ellipsoids(volume, spacing),
        "z_extent": (last + 1 - first) * spacing[0],
    }


def _compute_ellipsoids(
    volume: _VolumeRuns, spacing: tuple[float, float, float]
) -> dict[str, NDArray[np.float64]]:
    """Compute the axes of ellipsoids with the same second moments."""
    runs = volume.runs
    zyx = [
        (at - centroid[runs.owner]) * size
        for at, centroid, size in zip(
            (volume.z, volume.y, runs.middles), volume.centroids, spacing, strict=True
        )
    ]
    moments = np.empty((runs.ids.size, 3, 3))
    for i, j in itertools.product(range(3), range(3)):
        moments[:, i, j] = runs.mean(runs.lengths * zyx[i] * zyx[j])
    # the pixels of a run are not all in its middle
    moments[:, 2, 2] += runs.mean(runs.lengths * (runs.lengths**2 - 1) / 12) * spacing[2] ** 2
    # less than 0 is a rounding error
    axes = 2 * np.sqrt(5 * np.maximum(np.linalg.eigvalsh(moments), 0))
    return dict(zip(_AXES, axes.T[::-1], strict=True))


def _count_sections(volume: _VolumeRuns) -> NDArray[np.int64]:
    """Count the slices in which each nucleus appears."""
    runs = volume.runs
    is_first = np.zeros(runs.owner.size, np.int64)
    is_first[runs.order] = find_changes(runs.owner[runs.order], volume.z[runs.order])
    return runs.reduce_by_nucleus(np.add, is_first)


def _touches_faces(
    volume: _VolumeRuns, shape: tuple[int, ...], frame: VolumeFrame
) -> NDArray[np.bool_]:
    """Return which nuclei touch a face of the whole stack; of one slice, only its edge counts."""
    low, high = volume.boxes
    ends = np.array(shape)[:, None]
    if frame.shape is not None:
        ends = np.array(frame.shape)[:, None]
        low, high = np.array([low, high]) + np.array(frame.offset)[:, None]
    touches = (low == 0) | (high == ends - 1)
    return np.asarray(touches[1 if ends[0] == 1 else 0 :].any(axis=0))


def _convert_to_micrometers(
    centroids: dict[str, NDArray[np.float64]],
    shapes: dict[str, NDArray[Any]] | None,
    size: tuple[float, float, float] | None,
) -> dict[str, NDArray[np.float64]]:
    """Return the columns in micrometers; none if the size of a voxel is unknown."""
    if shapes is None or size is None:
        return {}
    at = {f"{name}_um": value * size[n] for n, (name, value) in enumerate(centroids.items())}
    lengths = {f"{name}_um": shapes[name] for name in VOLUME_LENGTH_COLUMNS}
    whole = {"volume_um3": shapes["volume"], "surface_area_um2": shapes["surface_area"]}
    return {**at, **whole, **lengths}
