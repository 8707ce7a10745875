"""Results without the nuclei at the edge of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..labels.border import clear_border, find_border_ids
from .result import Result


def exclude_border(result: Result) -> Result:
    """Return a result without the nuclei at the edge of the image, in each plane by itself.

    Parameters
    ----------
    result : Result

    Returns
    -------
    Result
        All others keep their ids, and their rows of the table and of tracks. Labels that are not
        in memory are still read plane by plane.
    """
    cleared: Any = ClearedPlanes(result.labels)
    if isinstance(result.labels, np.ndarray):
        cleared = np.stack(list(cleared)).reshape(cleared.shape)
    at_border = _find_rows(result)
    return replace(
        result,
        labels=cleared,
        table=_drop_rows(result.table, at_border, "label"),
        tracks=None if result.tracks is None else _drop_rows(result.tracks, at_border, "track"),
    )


@dataclass(frozen=True, eq=False)
class ClearedPlanes:
    """Labels of planes, of which those at the edges are cleared when a plane is read.

    Attributes
    ----------
    labels : array-like, shape (..., Y, X), integer
        Only sliced.
    """

    labels: Any

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
        return clear_border(np.asarray(self.labels[index]))

    def __iter__(self) -> Any:
        for index in np.ndindex(*self.shape[:-2]):
            yield self[index if index else ...]


def _find_rows(result: Result) -> pd.DataFrame:
    """Return position and label of the nuclei at the edges."""
    rows = [
        (*position.values(), nucleus)
        for position, plane in result.planes()
        for nucleus in find_border_ids(plane).tolist()
    ]
    return pd.DataFrame(rows, columns=[*result.lead, "label"])


def _drop_rows(table: pd.DataFrame, at_border: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of a table that are not among others, by position and label."""
    keys = [name for name in at_border if name in table or name == "label"]
    if label not in table or at_border.empty:
        return table
    given = pd.MultiIndex.from_frame(table[[label if key == "label" else key for key in keys]])
    return table[~given.isin(pd.MultiIndex.from_frame(at_border[keys]))].reset_index(drop=True)
