"""Links between nuclei that are cut and made by hand, and what follows for all tracks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.tables import TIME_COLUMN, with_time_column
from .corrections import Link, LinkCorrections, TrackPoint
from .lineage import SPACE_COLUMNS


@dataclass(frozen=True)
class TrackNode:
    """A nucleus in a frame.

    Attributes
    ----------
    track, time : int
    """

    track: int
    time: int


@dataclass(frozen=True)
class NewTrackId:
    """A nucleus of a frame that is of another track now.

    Attributes
    ----------
    time, old, new : int
    """

    time: int
    old: int
    new: int


@dataclass(frozen=True, eq=False)
class LinkEdit:
    """Tracks after a link was cut or made.

    Attributes
    ----------
    tracks : pandas.DataFrame
        All of them.
    new_ids : tuple of NewTrackId
        Nuclei whose id is another; never empty, so that labels show each edit.
    corrections : LinkCorrections
        Those of before, and this one.
    """

    tracks: pd.DataFrame
    new_ids: tuple[NewTrackId, ...]
    corrections: LinkCorrections


def cut_link(
    tracks: pd.DataFrame,
    first: TrackNode,
    second: TrackNode,
    corrections: LinkCorrections,
    free_id: int,
) -> LinkEdit:
    """Cut the link that leads to the later of two nuclei.

    Parameters
    ----------
    tracks : pandas.DataFrame
        As in ``linking.LinkedLabels``.
    first, second : TrackNode
        In different frames; the later one comes from the other.
    corrections : LinkCorrections
        That were made before.
    free_id : int
        From it on no label has an id.

    Raises
    ------
    UserError
        If they are not linked.
    """
    graph = _Graph(tracks)
    source, target = graph.find_pair(first, second)
    row = target
    while row >= 0 and row != source:
        row = int(graph.before[row])
    if row < 0:
        raise UserError(
            f"The nuclei {graph.track[source]} and {graph.track[target]} are not linked: click a "
            "nucleus, and then the one that it becomes."
        )
    link = graph.describe_link(int(graph.before[target]), target)
    graph.before[target] = -1
    return graph.finish(
        target, free_id, LinkCorrections(_without(corrections.made, link), (*corrections.cut, link))
    )


def make_link(
    tracks: pd.DataFrame,
    first: TrackNode,
    second: TrackNode,
    corrections: LinkCorrections,
    free_id: int,
) -> LinkEdit:
    """Link the earlier of two nuclei to the later one.

    The later one is cut from what it came from. If the earlier one goes on already, it divides.

    Parameters
    ----------
    tracks, first, second, corrections, free_id
        As of :func:`cut_link`.

    Raises
    ------
    UserError
        If they are already linked.
    """
    graph = _Graph(tracks)
    source, target = graph.find_pair(first, second)
    earlier = int(graph.before[target])
    if earlier == source:
        raise UserError(
            f"The nuclei {graph.track[source]} and {graph.track[target]} are already linked."
        )
    made, cut = corrections.made, corrections.cut
    if earlier >= 0:
        wrong = graph.describe_link(earlier, target)
        made, cut = _without(made, wrong), (*cut, wrong)
    # what the nucleus went on to stays its daughter when frames are linked again
    siblings = np.flatnonzero(graph.before == source).tolist()
    new = [graph.describe_link(source, row) for row in (*siblings, target)]
    for link in new:
        made, cut = (*_without(made, link), link), _without(cut, link)
    graph.before[target] = source
    return graph.finish(target, free_id, LinkCorrections(made, cut))


def _without(links: Iterable[Link], other: Link) -> tuple[Link, ...]:
    return tuple(link for link in links if link != other)


class _Graph:
    """Nuclei with the row of the one that each comes from."""

    def __init__(self, tracks: pd.DataFrame) -> None:
        rows = with_time_column(tracks)
        self.rows = rows.sort_values(["track", TIME_COLUMN], ignore_index=True)
        self.track = self.rows["track"].to_numpy(np.int64)
        self.time = self.rows[TIME_COLUMN].to_numpy(np.int64)
        last_row = dict(zip(self.track.tolist(), range(len(self.track)), strict=True))
        self.before = np.arange(-1, len(self.track) - 1)
        for row in np.flatnonzero(np.append(True, self.track[1:] != self.track[:-1])).tolist():
            self.before[row] = last_row.get(int(self.rows["parent"].iloc[row]), -1)

    def find_pair(self, first: TrackNode, second: TrackNode) -> list[int]:
        """Return the rows of two nuclei, the earlier one first."""
        if first.time == second.time:
            raise UserError(
                "Both nuclei are in the same frame: click the second one in another frame."
            )
        early, late = sorted((first, second), key=lambda node: node.time)
        return [self._find(early), self._find(late)]

    def _find(self, node: TrackNode) -> int:
        found = np.flatnonzero((self.track == node.track) & (self.time == node.time))
        if not found.size:
            raise UserError(f"The nucleus {node.track} has no track: link over time again.")
        return int(found[0])

    def describe_link(self, source: int, target: int) -> Link:
        """Return a link by places."""
        return Link(self._describe(source), self._describe(target))

    def _describe(self, row: int) -> TrackPoint:
        axes = [name for name in SPACE_COLUMNS if name in self.rows]
        place = self.rows.loc[row, axes].to_numpy(float).tolist()
        return TrackPoint(int(self.time[row]), tuple(place))

    def finish(self, target: int, free_id: int, corrections: LinkCorrections) -> LinkEdit:
        """Return the edit, with tracks numbered anew; that of the target is another in any case."""
        numbers, parents = self._number(free_id)
        if (numbers == self.track).all():
            numbers = np.where(numbers == numbers[target], free_id, numbers)
            parents = np.where(parents == self.track[target], free_id, parents)
        changed = np.flatnonzero(numbers != self.track).tolist()
        new_ids = tuple(
            NewTrackId(int(self.time[row]), int(self.track[row]), int(numbers[row]))
            for row in changed
        )
        rows = self.rows.assign(track=numbers, parent=parents)
        rows = rows.sort_values(["track", TIME_COLUMN], ignore_index=True)
        return LinkEdit(rows, new_ids, corrections)

    def _number(self, free_id: int) -> NDArray[np.int64]:
        """Return tracks and parents: an only child continues a track, others have their own.

        A track keeps the id of its first nucleus, unless an earlier one has that.
        """
        children = np.bincount(self.before[self.before >= 0], minlength=len(self.before))
        numbers, parents = np.zeros((2, len(self.before)), np.int64)
        taken: set[int] = set()
        for row in np.argsort(self.time, kind="stable").tolist():
            before = int(self.before[row])
            if before >= 0 and children[before] == 1:
                numbers[row], parents[row] = numbers[before], parents[before]
                continue
            number = int(self.track[row])
            if number in taken:
                number, free_id = free_id, free_id + 1
            taken.add(number)
            numbers[row], parents[row] = number, 0 if before < 0 else numbers[before]
        return np.stack([numbers, parents])


def corrections_to_json(corrections: LinkCorrections) -> dict[str, list[list[list[float]]]]:
    """Convert corrections to lists of links, a link to two lists of time and place."""
    return {
        name: [
            [[point.time, *point.place] for point in (link.source, link.target)] for link in links
        ]
        for name, links in (("made", corrections.made), ("cut", corrections.cut))
    }


def corrections_from_json(entries: object) -> LinkCorrections:
    """Convert corrections back; what is damaged counts as none."""
    corrections = LinkCorrections()
    for name in ("made", "cut") if isinstance(entries, dict) else ():
        try:
            links = tuple(
                Link(*(TrackPoint(int(time), tuple(map(float, place))) for time, *place in link))
                for link in entries.get(name, ())  # type: ignore[attr-defined]
            )
        except (TypeError, ValueError):
            continue
        corrections = replace(corrections, **{name: links})
    return corrections
