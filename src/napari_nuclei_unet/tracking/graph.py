"""Tracks as a graph of nuclei, and back: nodes are nuclei in frames, edges link them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.tables import TIME_COLUMN, with_time_column


@dataclass(frozen=True, eq=False)
class TrackGraph:
    """A graph of n nuclei.

    Attributes
    ----------
    nodes : pandas.DataFrame
        Tracks, as in ``linking.LinkedLabels``; sorted by track and time.
    edges : ndarray, shape (m, 2), int64
        Rows of a nucleus and of the one that it becomes, or of a mother and a daughter.
    lineages : ndarray, shape (n,), int64
        The track of the first ancestor.
    has_whole_tracks : bool
        Whether a track ends only where there is no daughter, or more than one.
    """

    nodes: pd.DataFrame
    edges: NDArray[np.int64]
    lineages: NDArray[np.int64]
    has_whole_tracks: bool


def build_track_graph(tracks: pd.DataFrame) -> TrackGraph:
    """Build the graph of a table of tracks.

    Raises
    ------
    UserError
        If a track is twice in one frame, or a mother is not before her daughter.
    """
    tracks = with_time_column(tracks)
    nodes = tracks.sort_values(["track", TIME_COLUMN], ignore_index=True)
    track = nodes["track"].to_numpy(np.int64)
    is_twice = nodes.duplicated(["track", TIME_COLUMN])
    if is_twice.any():
        twice = int(track[is_twice][0])
        raise UserError(
            f"The track {twice} occurs twice in one frame: correct the table of tracks."
        )
    is_first = np.append(True, track[1:] != track[:-1])[: len(track)]
    firsts = np.flatnonzero(is_first)
    lasts = np.append(firsts[1:], len(track)) - 1 if len(track) else firsts
    last_row = dict(zip(track[firsts].tolist(), lasts.tolist(), strict=True))
    mother_of = {
        int(track[row]): int(mother)
        for row, mother in zip(firsts, nodes["parent"].to_numpy()[firsts], strict=True)
        if int(mother) in last_row
    }
    births = [
        (last_row[mother_of[t]], row) for row in firsts if (t := int(track[row])) in mother_of
    ]
    time = nodes[TIME_COLUMN].to_numpy()
    if late := [row for mother, row in births if time[mother] >= time[row]]:
        raise UserError(
            f"The track {track[late[0]]} begins before its parent ends: correct the table of "
            "tracks."
        )
    within = np.flatnonzero(~is_first)
    edges = np.concatenate(
        [np.stack([within - 1, within], axis=1), np.array(births, np.int64).reshape(-1, 2)]
    )
    root = {t: _find_root(t, mother_of) for t in last_row}
    _, daughters = np.unique(list(mother_of.values()), return_counts=True)
    return TrackGraph(
        nodes,
        edges.astype(np.int64),
        np.array([root[t] for t in track.tolist()], np.int64),
        bool((daughters > 1).all()),
    )


def _find_root(track: int, mother_of: dict[int, int]) -> int:
    while track in mother_of:  # time only goes back
        track = mother_of[track]
    return track


@dataclass(frozen=True, eq=False)
class NumberedTracks:
    """The tracks of the nodes of a graph.

    Attributes
    ----------
    tracks, parents : ndarray, shape (n,), int64
        Of each node its track, and that of the mother, or 0.
    """

    tracks: NDArray[np.int64]
    parents: NDArray[np.int64]


def number_tracks(
    nodes: NDArray[np.integer], edges: NDArray[np.integer], labels: NDArray[np.integer] | None
) -> NumberedTracks:
    """Assign numbers to tracks of a graph: only an only child continues that of its mother.

    Parameters
    ----------
    nodes : ndarray, shape (n,), integer
        Their ids.
    edges : ndarray, shape (m, 2), integer
        Ids of nodes, from earlier to later.
    labels : ndarray, shape (n,), integer, or None
        Of the nodes in labels; the numbers of tracks, if each of them has one of its own.

    Raises
    ------
    UserError
        If tracks merge, or run in a circle.
    """
    row_of = {node: row for row, node in enumerate(nodes.tolist())}
    mothers: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for source, target in edges.tolist():
        mother, child = row_of[source], row_of[target]
        if child in mothers:
            raise UserError("Tracks that merge cannot be read: split them first.")
        mothers[child] = mother
        children.setdefault(mother, []).append(child)
    starts = [row for row in range(len(nodes)) if len(children.get(mothers.get(row, -1), [])) != 1]
    tracks, parents = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    for number, start in enumerate(starts, 1):
        row = start
        while True:
            tracks[row] = number
            if len(following := children.get(row, [])) != 1:
                break
            row = following[0]
    if (tracks == 0).any():
        raise UserError("Tracks that run in a circle cannot be read.")
    names = _label_tracks(tracks, labels)
    numbers = names[tracks]
    for start in starts:
        if start in mothers:
            parents[tracks == tracks[start]] = numbers[mothers[start]]
    return NumberedTracks(numbers, parents)


def _label_tracks(
    tracks: NDArray[np.int64], labels: NDArray[np.integer] | None
) -> NDArray[np.int64]:
    """Return a table from numbers of tracks to their labels, where both are the same."""
    plain = np.arange(int(tracks.max(initial=0)) + 1)
    if labels is None:
        return plain
    named = plain.copy()
    named[tracks] = labels
    is_one = (named[tracks] == labels).all() and len(np.unique(named[1:])) == len(named) - 1
    return named if is_one else plain
