"""Results to save: labels, their measurements, and their axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.tables import insert_position
from ..io.units import plane_micrometers, voxel_micrometers
from ..labels.regionprops import Frame, measure
from ..labels.volume_regionprops import VOLUME_COLUMN, VolumeFrame, measure_volume

Position = dict[str, int]


@dataclass(frozen=True, eq=False)
class Result:
    """Nuclei of an image.

    Attributes
    ----------
    labels : ndarray, shape (..., Y, X), integer
        0 is background. May be a dask or zarr array: it is only sliced, plane by plane.
    table : pandas.DataFrame, or dict of columns from which to make one
        A row for each nucleus and plane, identified by ``label`` and, if there are such columns, by
        the names of the axes before Y and X in lower case; of volumes a row for each nucleus, and
        no ``z``. Empty: nothing was measured.
    axes : str
        A letter for each axis, such as "TZYX".
    spacing : tuple of float
        Size of a pixel along each axis; empty if unknown.
    units : tuple of (str or None)
        Of the spacing, by their names in UDUNITS, such as "micrometer"; empty if unknown.
    record : dict
        How the labels were made, as from ``io.labels.read_record``.
    name : str
        Of the image or the layer.
    starts : tuple of int
        Position in the image of the first plane, on each axis before Y and X; empty: 0.
    tracks : pandas.DataFrame or None
        Where nuclei were linked over time, as in ``<name>_tracks.csv``; None: they were not.

    Raises
    ------
    UserError
        If the labels are no integers, or axes, spacing and labels do not match.
    """

    labels: NDArray[np.integer]
    table: pd.DataFrame
    axes: str = "YX"
    spacing: tuple[float, ...] = ()
    units: tuple[str | None, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    name: str = "nuclei"
    starts: tuple[int, ...] = ()
    tracks: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", pd.DataFrame(self.table))
        n = len(self.labels.shape)
        if self.labels.dtype.kind not in "ui":
            raise UserError(
                f"Only labels that are whole numbers can be saved, not {self.labels.dtype}."
            )
        if len(self.axes) != n or len(set(self.axes)) != n or self.axes[-2:] != "YX":
            raise UserError(
                f"Give each of the {n} axes of the labels a letter, ending in YX, not "
                f"'{self.axes}'."
            )
        if any(len(given) not in (0, n) for given in (self.spacing, self.units)):
            raise UserError(
                f"Give the pixel size and its unit for each of the {n} axes, or neither."
            )

    @property
    def lead(self) -> str:
        """Names of the axes before Y and X, as in the table."""
        return self.axes[:-2].lower()

    @property
    def micrometers(self) -> tuple[float, float] | None:
        """Size of a pixel along Y and X, if known."""
        return plane_micrometers(self.axes, self.spacing, self.units)

    @property
    def is_volume(self) -> bool:
        """Whether a nucleus is one object along z, as its record says, or its table."""
        by_nucleus = VOLUME_COLUMN in self.table and "z" not in self.table
        return "z" in self.lead and (by_nucleus or bool(self.record.get("volume")))

    @property
    def row_axes(self) -> str:
        """Names of the axes whose positions rows of the table have: all of ``lead``, or but z."""
        return self.lead.replace("z", "") if self.is_volume else self.lead

    @property
    def volume_frame(self) -> VolumeFrame:
        """Where its slices are in those of the image, and the size of a voxel if it is known."""
        starts = dict(zip(self.lead, self.starts, strict=False))
        size = voxel_micrometers(self.axes, self.spacing, self.units)
        return VolumeFrame(offset=(starts.get("z", 0), 0, 0), micrometers=size)

    def planes(self) -> Iterator[tuple[Position, NDArray[np.integer]]]:
        """Yield one plane after the other.

        Yields
        ------
        position : dict of str to int
            Of the plane in the image, on every axis before Y and X, by its name in lower case.
        labels : ndarray, shape (Y, X), integer

        Raises
        ------
        UserError
            If a label is negative.
        """
        for index in np.ndindex(*self.labels.shape[:-2]):
            yield self._position(index), self._read_plane(index)

    def volumes(self) -> Iterator[tuple[Position, NDArray[np.integer]]]:
        """Yield one stack of slices after the other, such as each time point.

        Yields
        ------
        position : dict of str to int
            As of :meth:`planes`, without z.
        labels : ndarray, shape (Z, Y, X), integer

        Raises
        ------
        UserError
            If there is no axis Z, or a label is negative.
        """
        if "z" not in self.lead:
            raise UserError(
                f"The labels {self.name} of axes {self.axes} have no axis Z, along which nuclei "
                "could be 3-D objects: measure them plane by plane, or name the axes with `axes`."
            )
        axis, slices = self.lead.index("z"), self.labels.shape[self.lead.index("z")]
        others = (*self.labels.shape[:axis], *self.labels.shape[axis + 1 : -2])
        for index in np.ndindex(*others):
            at = [(*index[:axis], z, *index[axis:]) for z in range(slices)]
            position = self._position((*index[:axis], 0, *index[axis:]))
            del position["z"]
            yield position, np.stack([self._read_plane(one) for one in at])

    def parts(self) -> Iterator[tuple[Position, NDArray[np.integer]]]:
        """Yield the parts in which a nucleus has one row each: planes, or volumes."""
        return self.volumes() if self.is_volume else self.planes()

    def _position(self, index: tuple[int, ...]) -> Position:
        at = np.add(index, self.starts or 0).tolist() if index else []
        return dict(zip(self.lead, at, strict=True))

    def _read_plane(self, index: tuple[int, ...]) -> NDArray[np.integer]:
        plane = np.asarray(self.labels[index if index else ...])
        if plane.min(initial=0) < 0:
            raise UserError(
                "Labels must not be negative: 0 is the background, and nuclei are numbered from 1."
            )
        return plane


def with_shapes(result: Result) -> Result:
    """Return a result whose nuclei are measured in pixels, and in micrometers if that is possible.

    Columns that need the image, and those of others, stay; a nucleus without a row gets one.
    """
    if result.is_volume:
        measure_part = partial(measure_volume, image=None, frame=result.volume_frame)
    else:
        measure_part = partial(measure, image=None, frame=Frame(micrometers=result.micrometers))
    tables = [insert_position(measure_part(part), position) for position, part in result.parts()]
    shapes, known = pd.concat(tables).drop(columns="confidence"), result.table
    keys = [name for name in (*result.row_axes, "label") if name in known]
    if "label" in keys:
        others = [name for name in known if name not in shapes]
        shapes = shapes.merge(known[[*keys, *others]], on=keys, how="left")
    return replace(result, table=shapes)
