"""Nuclei of many planes joined along an axis or tracked over time; planes are read one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import Step, Stop
from .corrections import LinkCorrections
from .laptrack import Tracks, track_nuclei
from .stitching import SliceJoiner

NO_CORRECTIONS = LinkCorrections()
# Returns the labels of a plane, 1..n, given its number.
ReadPlane = Callable[[int], NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class LinkedLabels:
    """Ids of nuclei across many planes.

    Attributes
    ----------
    ids : list of ndarray, int32
        For every plane a table from its labels, 1..n, to ids; 0 stays 0.
    count : int
        Number of nuclei.
    tracks : pandas.DataFrame or None
        One row per nucleus and time: ``track``, the other axes, ``t``, ``y``, ``x`` in pixels, and
        ``parent``, the track of the mother or 0. None unless nuclei were tracked.
    """

    ids: list[NDArray[np.int32]]
    count: int
    tracks: pd.DataFrame | None = None


def number_unlinked(counts: Sequence[int]) -> LinkedLabels:
    """Return unique ids for planes with these numbers of nuclei."""
    ids, total = [], 0
    for count in counts:
        ids.append(np.append(0, np.arange(total + 1, total + count + 1)).astype(np.int32))
        total += count
    return LinkedLabels(ids, total)


def number_volumes(counts: Sequence[int], volumes: Sequence[tuple[int, ...]]) -> LinkedLabels:
    """Return unique ids for volumes.

    Parameters
    ----------
    counts : sequence of int
        For each plane the number of nuclei in its volume.
    volumes : sequence of tuple of int
        Numbers of the slices of each volume.
    """
    unlinked = number_unlinked([counts[numbers[0]] for numbers in volumes])
    ids = {
        number: table
        for numbers, table in zip(volumes, unlinked.ids, strict=True)
        for number in numbers
    }
    return LinkedLabels([ids[number] for number in range(len(ids))], unlinked.count)


def join_steps(
    read: ReadPlane, lengths: Sequence[int], axis: int
) -> Generator[Step, Stop, LinkedLabels]:
    """Join nuclei along an axis, for every position on the others.

    Parameters
    ----------
    read : callable
    lengths : sequence of int
        Of the axes before those of the plane; the number of a plane counts the last fastest.
    axis : int
        One of them.

    Yields
    ------
    Step
        After each plane, or series of planes.

    Returns
    -------
    LinkedLabels
    """
    ids: dict[int, NDArray[np.int32]] = {}
    total = 0
    for series in _iter_series(lengths, axis):
        joiner = SliceJoiner()
        for number in series:
            labels = read(number)
            table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
            joined = joiner.join(labels)
            table[labels] = np.where(joined > 0, joined + total, 0)
            ids[number] = table
            yield Step(len(ids), math.prod(lengths))
        total += joiner.count
    return LinkedLabels([ids[number] for number in range(len(ids))], total)


def track_steps(
    read: ReadPlane,
    columns: Sequence[dict[str, int]],
    lengths: Sequence[int],
    axis: int,
    corrections: LinkCorrections = NO_CORRECTIONS,
) -> Generator[Step, Stop, LinkedLabels]:
    """Track nuclei over time, for every position on the other axes; else as :func:`join_steps`.

    Parameters
    ----------
    read, lengths, axis
        The axis is time.
    columns : sequence of dict of str to int
        Position of every plane in the image.
    corrections : LinkCorrections, optional
        Of the user, with frames as along the axis.

    Raises
    ------
    UserError
        If LapTrack is not installed.
    """
    ids: dict[int, NDArray[np.int32]] = {}
    tables = []
    total = 0
    for series in _iter_series(lengths, axis):
        tracks = track_nuclei(
            (read(number) for number in series),
            **({} if corrections == NO_CORRECTIONS else {"corrections": corrections}),  # type: ignore[arg-type]
        )
        for frame, number in enumerate(series):
            table = tracks.ids[frame]
            ids[number] = np.where(table > 0, table + total, 0).astype(np.int32)
        tables.append(_tracks_table(tracks, [columns[number] for number in series], total))
        total += int(tracks.data[:, 0].max(initial=0))
        yield Step(len(ids), math.prod(lengths))
    return LinkedLabels([ids[number] for number in range(len(ids))], total, pd.concat(tables))


def _tracks_table(tracks: Tracks, columns: Sequence[dict[str, int]], total: int) -> pd.DataFrame:
    """Return the table of the tracks of one series."""
    track_ids, frames = tracks.data[:, :2].T.astype(np.int64)
    parents = [tracks.graph.get(int(track), [-total])[0] + total for track in track_ids]
    return pd.DataFrame(
        {
            "track": track_ids + total,
            **{name: at for name, at in columns[0].items() if name != "t"},
            "t": np.array([position["t"] for position in columns])[frames],
            "y": tracks.data[:, 2],
            "x": tracks.data[:, 3],
            "parent": np.array(parents, np.int64),
        }
    )


def _iter_series(lengths: Sequence[int], axis: int) -> Iterator[list[int]]:
    """Yield the numbers of the planes along an axis, for every position on the others."""
    numbers = np.arange(int(np.prod(lengths))).reshape(lengths)
    for series in np.moveaxis(numbers, axis, -1).reshape(-1, lengths[axis]):
        yield series.tolist()


def check_linking(lead: str, join: str | None, follow: bool) -> None:
    """Check early that nuclei can be linked.

    Parameters
    ----------
    lead : str
        Letters of the axes before those of the plane.
    join : str or None
        Letter of the axis along which nuclei are joined.
    follow : bool
        Whether they are tracked over time.

    Raises
    ------
    UserError
    """
    if join is not None and follow:
        raise UserError(
            "Joining and tracking at once is not possible: leave out one of `join` and `track`."
        )
    if join is not None and join.upper() not in list(lead):
        have = f"axes {', '.join(lead)}" if lead else "no other axis, as they are one plane"
        raise UserError(
            f"Nuclei cannot be joined along {join.upper()}: beside Y and X these planes have "
            f"{have}; give one of them to `join`, or name the axes with `axes`."
        )
    if follow and "T" not in lead:
        raise UserError(
            "Nuclei can only be tracked over time, and these planes have no axis T: name the axes "
            "with `axes`, or leave `track` out."
        )
    if follow and "Z" in lead:
        raise UserError(
            "Nuclei are tracked in planes, and here are slices, too: choose one position on axis Z "
            "with `planes`."
        )


def to_napari_tracks(
    table: pd.DataFrame,
) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Convert a table of tracks to napari's array of vertices and graph ``{daughter: [mother]}``.

    Parameters
    ----------
    table : pandas.DataFrame
        As in :class:`LinkedLabels`.
    """
    axes = [name for name in table if name not in ("track", "parent", "t", "y", "x")]
    vertices = table[["track", "t", *axes, "y", "x"]].to_numpy(np.float64)
    born = table.loc[table["parent"] > 0, ["track", "parent"]]
    return vertices, {child: [mother] for child, mother in born.to_numpy().tolist()}
