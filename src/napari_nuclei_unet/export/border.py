"""Results without the nuclei at the edge of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..labels.border import clear_border, clear_ids, find_border_ids
from .result import Result


def exclude_border(result: Result) -> Result:
    """Return a result without the nuclei at the edge of the image, in each plane by itself.

    Of volumes, without those that touch a face: the first and the last slice, too, may cut nuclei.

    Parameters
    ----------
    result : Result

    Returns
    -------
    Result
        All others keep their ids, and their rows of the table and of tracks. Labels that are not
        in memory are still read plane by plane.
    """
    at_border = _find_rows(result)
    volumes = _group_ids(result, at_border) if result.is_volume else None
    cleared: Any = ClearedPlanes(result.labels, volumes)
    if isinstance(result.labels, np.ndarray):
        cleared = np.stack(list(cleared)).reshape(cleared.shape)
    return replace(
        result,
        labels=cleared,
        table=_drop_rows(result.table, at_border, "label"),
        tracks=None if result.tracks is None else _drop_rows(result.tracks, at_border, "track"),
    )


@dataclass(frozen=True, eq=False)
class VolumeIds:
    """Ids of nuclei of each volume.

    Attributes
    ----------
    axis : int
        Of slices.
    ids : mapping of tuple of int to ndarray
        By the index of the volume on the other axes before Y and X.
    """

    axis: int
    ids: Mapping[tuple[int, ...], NDArray[np.integer]]

    def of_plane(self, index: tuple[int, ...]) -> NDArray[np.integer]:
        """Return the ids of the volume that a plane is in."""
        at = (*index[: self.axis], *index[self.axis + 1 :])
        return self.ids.get(at, np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class ClearedPlanes:
    """Labels of planes, of which nuclei at the edges are cleared when a plane is read.

    Attributes
    ----------
    labels : array-like, shape (..., Y, X), integer
        Only sliced.
    volumes : VolumeIds or None
        Nuclei that are cleared on all planes of a volume; None: those at the edge of each plane.
    """

    labels: Any
    volumes: VolumeIds | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return tuple(self.labels.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the labels."""
        return np.dtype(self.labels.dtype)

    def __getitem__(self, index: Any) -> NDArray[np.integer]:
        """Read a plane, by its position on the axes before Y and X."""
        plane = np.asarray(self.labels[index])
        if self.volumes is None:
            return clear_border(plane)
        return clear_ids(plane, self.volumes.of_plane(index))

    def __iter__(self) -> Any:
        for index in np.ndindex(*self.shape[:-2]):
            yield self[index if index else ...]


def _find_rows(result: Result) -> pd.DataFrame:
    """Return position and label of the nuclei at the edges, as rows of the table have them."""
    slices = result.labels.shape[result.lead.index("z")] if result.is_volume else 1
    first = result.volume_frame.offset[0]
    rows = set()
    for position, plane in result.planes():
        is_end = slices > 1 and position["z"] - first in (0, slices - 1)
        ids = np.unique(plane[plane > 0]) if is_end else find_border_ids(plane)
        at = tuple(position[name] for name in result.row_axes)
        rows |= {(*at, nucleus) for nucleus in ids.tolist()}
    return pd.DataFrame(sorted(rows), columns=[*result.row_axes, "label"])


def _group_ids(result: Result, rows: pd.DataFrame) -> VolumeIds:
    """Group the labels of rows by their volumes."""
    starts = dict(zip(result.lead, result.starts, strict=False))
    groups: dict[tuple[int, ...], list[int]] = {}
    for *at, label in rows.itertuples(index=False, name=None):
        index = tuple(
            place - starts.get(name, 0) for name, place in zip(result.row_axes, at, strict=True)
        )
        groups.setdefault(index, []).append(label)
    ids = {index: np.array(labels, np.int64) for index, labels in groups.items()}
    return VolumeIds(result.lead.index("z"), ids)


def _drop_rows(table: pd.DataFrame, at_border: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of a table that are not among others, by position and label."""
    keys = [name for name in at_border if name in table or name == "label"]
    if label not in table or at_border.empty:
        return table
    given = pd.MultiIndex.from_frame(table[[label if key == "label" else key for key in keys]])
    return table[~given.isin(pd.MultiIndex.from_frame(at_border[keys]))].reset_index(drop=True)
