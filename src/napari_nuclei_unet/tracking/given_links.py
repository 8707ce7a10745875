"""Corrections of a user, found again among the detections of a film."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .corrections import Link, LinkCorrections, TrackPoint
from .detections import Detections, FrameNuclei


@dataclass(frozen=True, eq=False)
class GivenLinks:
    """Links that a user has made and cut, as rows of detections.

    Attributes
    ----------
    made : ndarray, shape (m, 2), int64
        From earlier to later; a row is the target of one.
    cut : frozenset of (int, int)
    """

    made: NDArray[np.int64]
    cut: frozenset[tuple[int, int]]

    @property
    def rows(self) -> NDArray[np.int64]:
        """All rows of which a link was made or cut."""
        return np.concatenate([self.made.ravel(), np.array(list(self.cut), np.int64).ravel()])

    @property
    def single(self) -> NDArray[np.int64]:
        """The links made from nuclei that have one; the first of those that have more."""
        return self.made[np.unique(self.made[:, 0], return_index=True)[1]]

    def apply(self, mothers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return links without what was cut, and with what was made."""
        if not len(self.rows):
            return mothers
        given = mothers.copy()
        for source, target in self.cut:
            if given[target] == source:
                given[target] = -1
        given[np.isin(given, self.made[:, 0])] = -1
        given[self.made[:, 1]] = self.made[:, 0]
        return given


def match_corrections(
    corrections: LinkCorrections, found: Detections, frames: Sequence[FrameNuclei]
) -> GivenLinks:
    """Find the nuclei of corrections: that contain them, or the nearest, at most a diameter away.

    Parameters
    ----------
    corrections : LinkCorrections
    found : Detections
    frames : sequence of FrameNuclei
        Those of which the detections are, with the labels at the points of the corrections.

    Warns
    -----
    UserWarning
        If a link is dropped, as there is no nucleus at one of its ends, or its end is not later.
    """
    made, dropped = _match_links(corrections.made, found, frames)
    cut, others = _match_links(corrections.cut, found, frames)
    if dropped + others:
        warnings.warn(
            f"{dropped + others} of the corrected links were left out: at one of their ends there "
            "is no nucleus any more, or they do not lead to a later frame.",
            stacklevel=3,
        )
    last = {target: source for source, target in made}  # what was made last counts
    rows = np.array([(source, target) for target, source in last.items()], np.int64)
    return GivenLinks(rows.reshape(-1, 2), frozenset(cut) - set(made))


def points_by_frame(corrections: LinkCorrections) -> dict[int, list[tuple[float, ...]]]:
    """Return the places of corrections in each frame."""
    points: dict[int, list[tuple[float, ...]]] = {}
    for link in (*corrections.made, *corrections.cut):
        for point in (link.source, link.target):
            points.setdefault(point.time, []).append(point.place)
    return points


def _match_links(
    links: tuple[Link, ...], found: Detections, frames: Sequence[FrameNuclei]
) -> tuple[list[tuple[int, int]], int]:
    """Return the rows of links, and how many were left out."""
    good = []
    for link in links:
        source, target = (_find_row(end, found, frames) for end in (link.source, link.target))
        if source is not None and target is not None and found.times[source] < found.times[target]:
            good.append((source, target))
    return good, len(links) - len(good)


def _find_row(point: TrackPoint, found: Detections, frames: Sequence[FrameNuclei]) -> int | None:
    """Find the nucleus at a point: of one that may be split, or its pieces, the nearest."""
    rows = np.flatnonzero(found.times == point.time)
    if not len(rows) or len(point.place) != found.centres.shape[1]:
        return None
    label = frames[point.time].labels_at.get(point.place, 0)
    if label:
        is_whole = ~found.is_candidate[rows] & (found.ids[rows] == label)
        whole = int(rows[is_whole][0])
        rows = rows[is_whole | (found.wholes[rows] == whole)]
    far = np.linalg.norm((found.centres[rows] - np.array(point.place)) * found.scale, axis=1)
    best = int(rows[np.argmin(far)])
    near = label or far.min() <= max(found.diameters[best], found.diameter)
    return best if near else None
