"""Nuclei of many planes joined along an axis or tracked over time; planes are read one by one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.tables import TIME_COLUMN, with_time_column
from ..progress import Step, Stop, forward_stop
from .corrections import LinkCorrections
from .detections import locate_in_frame
from .given_links import points_by_frame
from .laptrack import Tracks, link_located_steps
from .stitching import SliceJoiner

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
        One row per nucleus and time: ``track``, the other axes, ``time`` (the frame), of volumes
        ``z``, ``y``, ``x`` in pixels, and ``parent``, the track of the mother or 0. None unless
        nuclei were tracked.
    added : list of ndarray, int32, or None
        For every plane a table from its candidates to ids, 0 for those that were not taken. None:
        there were no candidates.
    recovered : int or None
        How many candidates were taken; None if there were none to take.
    """

    ids: list[NDArray[np.int32]]
    count: int
    tracks: pd.DataFrame | None = None
    added: list[NDArray[np.int32]] | None = None
    recovered: int | None = None

    def spread(self, volumes: Sequence[tuple[int, ...]]) -> LinkedLabels:
        """Return the ids for slices, each with those of its volume.

        Parameters
        ----------
        volumes : sequence of tuple of int
            Numbers of the slices of each volume.
        """
        owner = {z: number for number, slices in enumerate(volumes) for z in slices}
        order = [owner[z] for z in range(len(owner))]
        added = None if self.added is None else [self.added[number] for number in order]
        return replace(self, ids=[self.ids[number] for number in order], added=added)


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """How nuclei are tracked.

    Attributes
    ----------
    distance : float or None
        Largest movement, as in ``laptrack.track_nuclei``.
    corrections : LinkCorrections or None
        Links of the film that were made or cut.
    spacing : tuple of float or None
        Size of a pixel along each axis of what is read, (z,) y and x, in any unit.
    read_candidates : callable or None
        Returns the candidates of a plane, given its number.
    """

    distance: float | None = None
    corrections: LinkCorrections | None = None
    spacing: tuple[float, ...] | None = None
    read_candidates: ReadPlane | None = None


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
    return number_unlinked([counts[numbers[0]] for numbers in volumes]).spread(volumes)


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
    options: TrackOptions | None = None,
) -> Generator[Step, Stop, LinkedLabels]:
    """Track nuclei over time, for every position on the other axes; else as :func:`join_steps`.

    Parameters
    ----------
    read, lengths, axis
        The axis is time. What is read may be volumes, of shape (Z, Y, X); ``lengths`` are then
        those of the axes before Z.
    columns : sequence of dict of str to int
        Position of every plane, or volume, in the image.
    options : TrackOptions, optional

    Raises
    ------
    UserError
        If LapTrack is not installed, or a spacing cannot be used.

    Warns
    -----
    UserWarning
        If corrections cannot be used.
    """
    options = options or TrackOptions()
    ids: dict[int, NDArray[np.int32]] = {}
    added: dict[int, NDArray[np.int32]] = {}
    tables = []
    total, count = 0, math.prod(lengths)
    corrections = _choose_corrections(options, count // max(1, lengths[axis]))
    points = points_by_frame(corrections)
    for series in _iter_series(lengths, axis):
        frames = []
        for t, number in enumerate(series):
            candidates = options.read_candidates and options.read_candidates(number)
            frames.append(locate_in_frame(read(number), candidates, points.get(t, ())))
            yield Step(len(ids) + t, count)
        steps = link_located_steps(frames, options.distance, corrections, options.spacing)
        waiting = Step(len(ids) + len(series) - 1, count)
        tracks = yield from forward_stop(steps, lambda _, waiting=waiting: waiting)  # type: ignore[misc]
        for frame, number in enumerate(series):
            ids[number], added[number] = (
                np.where(table[frame] > 0, table[frame] + total, 0).astype(np.int32)
                for table in (tracks.ids, tracks.added)
            )
        tables.append(_tracks_table(tracks, [columns[number] for number in series], total))
        total += int(tracks.data[:, 0].max(initial=0))
        yield Step(len(ids), count)
    linked = LinkedLabels([ids[number] for number in range(count)], total, pd.concat(tables))
    if options.read_candidates is None:
        return linked
    taken = [added[number] for number in range(count)]
    return replace(
        linked, added=taken, recovered=sum(int(np.count_nonzero(table)) for table in taken)
    )


def _choose_corrections(options: TrackOptions, series: int) -> LinkCorrections:
    """Return the corrections, or none with a warning if there are several films."""
    corrections = options.corrections or LinkCorrections()
    if series > 1 and (corrections.made or corrections.cut):
        warnings.warn(
            "Corrected links are left out, as there are several films: link them one by one.",
            stacklevel=4,
        )
        return LinkCorrections()
    return corrections


def _tracks_table(tracks: Tracks, columns: Sequence[dict[str, int]], total: int) -> pd.DataFrame:
    """Return the table of the tracks of one series."""
    track_ids, frames = tracks.data[:, :2].T.astype(np.int64)
    parents = [tracks.graph.get(int(track), [-total])[0] + total for track in track_ids]
    places = ("z", "y", "x")[5 - tracks.data.shape[1] :]
    return pd.DataFrame(
        {
            "track": track_ids + total,
            **{name: at for name, at in columns[0].items() if name not in ("t", *places)},
            TIME_COLUMN: np.array([position["t"] for position in columns])[frames],
            **dict(zip(places, tracks.data[:, 2:].T, strict=True)),
            "parent": np.array(parents, np.int64),
        }
    )


def _iter_series(lengths: Sequence[int], axis: int) -> Iterator[list[int]]:
    """Yield the numbers of the planes along an axis, for every position on the others."""
    numbers = np.arange(int(np.prod(lengths))).reshape(lengths)
    for series in np.moveaxis(numbers, axis, -1).reshape(-1, lengths[axis]):
        yield series.tolist()


def check_linking(lead: str, join: str | None, follow: bool, volume: bool = False) -> None:
    """Check early that nuclei can be linked.

    Parameters
    ----------
    lead : str
        Letters of the axes before those of the plane.
    join : str or None
        Letter of the axis along which nuclei are joined.
    follow : bool
        Whether they are tracked over time.
    volume : bool
        Whether a nucleus is one object along z, so that slices are tracked together.

    Raises
    ------
    UserError
    """
    if join is not None and follow:
        raise UserError(
            "Joining and tracking cannot be combined: leave out one of `join` and `track`."
        )
    if join is not None and join.upper() not in list(lead):
        have = f"axes {', '.join(lead)}" if lead else "no other axis, as they are one plane"
        raise UserError(
            f"Nuclei cannot be joined along {join.upper()}: apart from Y and X, these planes have "
            f"{have}; give one of them to `join`, or name the axes with `axes`."
        )
    if follow and "T" not in lead:
        raise UserError(
            "Nuclei can only be tracked over time, but these planes have no axis T, or only one "
            "frame: name the axes with `axes`, or leave `track` out."
        )
    if follow and "Z" in lead and not volume:
        raise UserError(
            "Nuclei are tracked in planes, but this image also has slices: choose one position on "
            "axis Z with `planes`, or track volumes."
        )


def to_napari_tracks(
    table: pd.DataFrame,
) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Convert a table of tracks to napari's array of vertices and graph ``{daughter: [mother]}``.

    Parameters
    ----------
    table : pandas.DataFrame
        As in :class:`LinkedLabels`; ``time`` may be called ``t``. Columns beside those of the
        axes are not allowed.
    """
    table = with_time_column(table)
    axes = [name for name in table if name not in ("track", "parent", TIME_COLUMN, "y", "x")]
    vertices = table[["track", TIME_COLUMN, *axes, "y", "x"]].to_numpy(np.float64)
    born = table.loc[table["parent"] > 0, ["track", "parent"]]
    return vertices, {child: [mother] for child, mother in born.to_numpy().tolist()}
