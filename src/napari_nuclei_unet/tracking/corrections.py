"""Links of a film that the user has made or cut, which linking keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackPoint:
    """A nucleus by its place, so that it is found again when it gets another id.

    Attributes
    ----------
    time : int
        Frame, from 0.
    place : tuple of float
        Centroid in pixels: (y, x), or (z, y, x) of volumes.
    """

    time: int
    place: tuple[float, ...]


@dataclass(frozen=True)
class Link:
    """A link from a nucleus to the one that it becomes, or to a daughter.

    Attributes
    ----------
    source, target : TrackPoint
        The target is later.
    """

    source: TrackPoint
    target: TrackPoint


@dataclass(frozen=True)
class LinkCorrections:
    """What a user has corrected in the links of a film.

    Attributes
    ----------
    made : tuple of Link
        Are kept, whatever they cost.
    cut : tuple of Link
        Are not made again.
    """

    made: tuple[Link, ...] = ()
    cut: tuple[Link, ...] = ()
