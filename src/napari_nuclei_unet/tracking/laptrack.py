"""Tracking: nuclei of a time series, of planes or volumes, linked by LapTrack."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import Step, Stop, run
from .corrections import LinkCorrections
from .detections import Detections, FrameNuclei, check_spacing, collect_detections, locate_in_frame
from .divisions import find_divisions
from .given_links import GivenLinks, match_corrections, points_by_frame
from .linker import import_laptrack, link_detections
from .recovery import find_pieces, recover_nuclei

# How often missed nuclei are looked for: each time a track may grow by one at both ends.
SEARCH_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of nuclei over time.

    Attributes
    ----------
    data : ndarray, shape (n, 2 + d), float64
        Track id, frame, (z,) y, x in pixels; sorted by track and frame, as napari's Tracks layer
        takes it. Ids are 1..n in order of first appearance.
    graph : dict
        For each daughter of a division the track of her mother: ``{daughter: [mother]}``.
    ids : list of ndarray, int32
        For each frame a table from its labels to tracks; 0 stays 0, and is what becomes of nuclei
        that were split.
    added : list of ndarray, int32
        For each frame a table from its candidates to tracks; 0 for those that are not needed.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    ids: list[NDArray[np.int32]]
    added: list[NDArray[np.int32]]

    def relabel(
        self,
        frame: int,
        labels: NDArray[np.integer],
        candidates: NDArray[np.integer] | None = None,
    ) -> NDArray[np.int32]:
        """Relabel the nuclei of a frame with the ids of their tracks.

        Parameters
        ----------
        frame : int
        labels : ndarray, shape (Y, X) or (Z, Y, X), integer
            The frame, as it was tracked.
        candidates : ndarray of the same shape, integer, optional
            Its candidates, if there were any.

        Returns
        -------
        ndarray of the same shape, int32
            0 is background, else the id of a track.

        Raises
        ------
        ValueError
            If there are labels that the tracked frame did not have.
        """
        table = self.ids[frame]
        if labels.max(initial=0) >= table.size:
            raise ValueError(f"frame {frame} has labels that were not tracked")
        relabelled = table[labels]
        if candidates is not None:
            relabelled = overlay_candidates(relabelled, self.added[frame], candidates)
        elif ((relabelled == 0) & (labels != 0)).any():
            raise ValueError(f"frame {frame} has labels that were not tracked")
        return relabelled


def overlay_candidates(
    relabelled: NDArray[np.int32],
    added: NDArray[np.int32],
    candidates: NDArray[np.integer],
) -> NDArray[np.int32]:
    """Return ids of tracks with those of candidates that were chosen.

    Parameters
    ----------
    relabelled : ndarray, int32
        Ids of tracks.
    added : ndarray, int32
        Table from candidates to tracks, as in :class:`Tracks`.
    candidates : ndarray of the same shape as ``relabelled``, integer
    """
    return np.where(relabelled > 0, relabelled, added[candidates])


def track_nuclei(
    frames: Iterable[NDArray[np.integer]],
    distance: float | None = None,
    corrections: LinkCorrections | None = None,
    spacing: Sequence[float] | None = None,
    candidates: Iterable[NDArray[np.integer]] | None = None,
) -> Tracks:
    """Link the nuclei of a time series by their centroids.

    LapTrack (Fukai and Kawaguchi 2023, doi:10.1093/bioinformatics/btac799) solves two linear
    assignments (Jaqaman et al. 2008, doi:10.1038/nmeth.1237): nuclei of neighbouring frames are
    linked so that the sum of squared distances is least; then gaps of one frame are closed.
    Then missed nuclei are taken from the candidates where a track ends, begins or has a gap, and
    nuclei are split where two tracks meet in one that has pieces, and all is linked again. A
    track may begin as the daughter of a nucleus of the frame before, if she and her sister are
    smaller than the mother, alike, and on both sides of her. If the stage has jumped, places are
    compared as if it had not.

    Parameters
    ----------
    frames : iterable of ndarray, shape (Y, X) or (Z, Y, X), integer
        0 is background, else the id of a nucleus, preferably 1..n. They are read one by one; only
        positions and sizes of the nuclei are kept.
    distance : float, above 0, optional
        Largest movement of a nucleus between two detections, and from mother to daughter, in
        pixels of the last axis. None: the median diameter of all nuclei, as one that moves further
        cannot be told from its neighbour where nuclei touch.
    corrections : LinkCorrections, optional
        Links that are kept, and others that are not made. Two that are made from one nucleus
        are a division.
    spacing : sequence of float, optional
        Size of a pixel along each axis of a frame, in any unit; the same along all without.
    candidates : iterable of ndarray, of the shapes of the frames, integer, optional
        Of each frame what might be nuclei, too, as of ``segmentation.find_candidates``.

    Returns
    -------
    Tracks
        Without nuclei, ``data`` has no rows. Daughters have ids of their own.

    Raises
    ------
    UserError
        If LapTrack is not installed, the distance or a spacing is not positive, or a label is
        negative.

    Warns
    -----
    UserWarning
        If there are no nuclei at the ends of corrected links.
    """
    corrections = corrections or LinkCorrections()
    points = points_by_frame(corrections)
    others = itertools.repeat(None) if candidates is None else candidates
    located = [
        locate_in_frame(labels, other, points.get(t, ()))
        for t, (labels, other) in enumerate(zip(frames, others, strict=False))
    ]
    return run(link_located_steps(located, distance, corrections, spacing))


def link_located_steps(
    frames: Sequence[FrameNuclei],
    distance: float | None = None,
    corrections: LinkCorrections | None = None,
    spacing: Sequence[float] | None = None,
) -> Generator[Step, Stop, Tracks]:
    """Link nuclei that were located; arguments, result and errors as of :func:`track_nuclei`.

    Yields
    ------
    Step
        Before each time that missed nuclei are looked for.
    """
    if distance is not None and not distance > 0:
        raise UserError("The distance that a nucleus may move must be above 0 pixels.")
    import_laptrack()
    ndim = frames[0].nuclei.centres.shape[1] if frames else 2
    spacing = check_spacing(spacing, ndim)
    if not any(len(frame.nuclei) for frame in frames):
        tables = [np.zeros(1, np.int32) for _ in frames]
        none = [
            np.zeros(int(frame.candidates.ids.max(initial=0)) + 1, np.int32) for frame in frames
        ]
        return Tracks(np.zeros((0, 2 + ndim)), {}, tables, none)
    found = collect_detections(frames, spacing)
    given = match_corrections(corrections or LinkCorrections(), found, frames)
    distance = distance or found.diameter
    active = _first_active(found, given)
    is_fixed = np.isin(np.arange(len(found)), given.rows)
    for number in range(SEARCH_ROUNDS if found.is_candidate.any() else 0):
        yield Step(number, SEARCH_ROUNDS)
        mothers = given.apply(link_detections(found, active, distance, given.single))
        chosen = recover_nuclei(found, active, mothers, is_fixed)
        if (chosen == active).all():
            break
        active = chosen
    mothers = given.apply(link_detections(found, active, distance, given.single))
    mothers = find_divisions(found, active, mothers, distance, given.cut)
    is_used = is_fixed | ~found.is_candidate | (mothers >= 0)
    is_used[mothers[mothers >= 0]] = True
    return _number_tracks(found, active & is_used, mothers)


def _first_active(found: Detections, given: GivenLinks) -> NDArray[np.bool_]:
    """Return the nuclei that were found, and candidates that were corrected."""
    active = ~found.is_candidate
    active[given.rows] = True
    for whole, pieces in find_pieces(found).items():
        if np.isin(pieces, given.rows).any():
            active[whole], active[pieces] = False, True
    return active


def _number_tracks(
    found: Detections, active: NDArray[np.bool_], mothers: NDArray[np.int64]
) -> Tracks:
    """Assign numbers to tracks by frame: an only child continues a track, others begin new ones."""
    rows = np.flatnonzero(active)
    sources = mothers[rows]
    child_counts = np.bincount(sources[sources >= 0], minlength=len(found))
    numbers = np.zeros(len(found), np.int64)
    graph: dict[int, list[int]] = {}
    n = 0
    for row, mother in zip(rows.tolist(), sources.tolist(), strict=True):
        if mother >= 0 and child_counts[mother] == 1:
            numbers[row] = numbers[mother]
            continue
        n += 1
        numbers[row] = n
        if mother >= 0:
            graph[n] = [int(numbers[mother])]
    data = np.column_stack([numbers[rows], found.times[rows], found.centres[rows]])
    ids, added = (_id_tables(found, found.is_candidate == kind, numbers) for kind in (False, True))
    return Tracks(data[np.lexsort((data[:, 1], data[:, 0]))], graph, ids, added)


def _id_tables(
    found: Detections, is_wanted: NDArray[np.bool_], numbers: NDArray[np.int64]
) -> list[NDArray[np.int32]]:
    """Return tables from the labels of each frame to numbers of tracks."""
    wanted = np.flatnonzero(is_wanted)
    bounds = np.searchsorted(found.times[wanted], np.arange(found.frames + 1))
    tables = []
    for first, last in itertools.pairwise(bounds.tolist()):
        rows = wanted[first:last]
        table = np.zeros(int(found.ids[rows].max(initial=0)) + 1, np.int32)
        table[found.ids[rows]] = numbers[rows]
        tables.append(table)
    return tables
