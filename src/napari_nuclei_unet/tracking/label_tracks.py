"""Tracks read again from labels whose ids are tracks, after these were edited by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..io.tables import TIME_COLUMN, with_time_column
from .lineage import drop_track_measurements


def read_label_tracks(frames: Iterable[NDArray[np.integer]], tracks: pd.DataFrame) -> pd.DataFrame:
    """Read the tracks of labels in which a nucleus has the id of its track.

    Parameters
    ----------
    frames : iterable of ndarray, shape (..., Y, X), integer
        From the first one on.
    tracks : pandas.DataFrame
        As they were, with times counted from the first frame: mothers are taken from here.

    Returns
    -------
    pandas.DataFrame
        With the same columns. A mother that is gone, or ends after her daughter begins, is 0.
    """
    tracks = drop_track_measurements(with_time_column(tracks))
    axes = [name for name in tracks if name not in ("track", "parent", TIME_COLUMN, "y", "x")]
    rows = [
        (label, moment, *centre)
        for moment, labels in enumerate(frames)
        for label, centre in _locate(labels).items()
    ]
    table = pd.DataFrame(rows, columns=["track", TIME_COLUMN, *axes, "y", "x"])
    kinds = {name: tracks[name].dtype for name in table}
    table = table.astype(kinds).sort_values(["track", TIME_COLUMN], ignore_index=True)
    mothers = tracks.drop_duplicates("track").set_index("track")["parent"]
    parents = table["track"].map(mothers).fillna(0).astype(np.int64)
    starts = table.groupby("track")[TIME_COLUMN].transform("min")
    ends = parents.map(table.groupby("track")[TIME_COLUMN].max())
    return table.assign(parent=parents.where(ends < starts, 0))[list(tracks)]


def _locate(labels: NDArray[np.integer]) -> dict[int, tuple[float, ...]]:
    """Return the centroids of a frame of any number of axes by id."""
    indices = np.nonzero(labels)
    ids, rows, counts = np.unique(labels[indices], return_inverse=True, return_counts=True)
    sums = [np.bincount(rows, axis, len(ids)) for axis in indices]
    centres = np.stack(sums, axis=1) / counts[:, None]
    return dict(zip(ids.tolist(), map(tuple, centres.tolist()), strict=True))
