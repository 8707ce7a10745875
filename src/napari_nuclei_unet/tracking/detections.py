"""Nuclei of all frames of a film, and candidates for those that were missed, in one table."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..labels.centroids import Nuclei, diameters_of_sizes, locate_nuclei
from .stage_jumps import find_jump


@dataclass(frozen=True, eq=False)
class Detections:
    """Nuclei and candidates of a film, one row each, sorted by frame.

    Attributes
    ----------
    times, ids : ndarray, shape (n,), int64
        Frame, from 0, and label in it, or in its candidates.
    centres : ndarray, shape (n, d), float64
        Centroids in pixels, as they are shown.
    places : ndarray, shape (n, d), float64
        The same in units of the size of a pixel along x, without jumps of the stage.
    sizes : ndarray, shape (n,), int64
        Areas or volumes in pixels.
    diameters : ndarray, shape (n,), float64
        Of circles or spheres of that size, in units of the size of a pixel along x.
    is_candidate : ndarray, shape (n,), bool
    wholes : ndarray, shape (n,), int64
        Of a candidate that is a piece of a nucleus the row of that; else -1.
    scale : ndarray, shape (d,), float64
        Size of a pixel along each axis by that along x.
    frames : int
    """

    times: NDArray[np.int64]
    ids: NDArray[np.int64]
    centres: NDArray[np.float64]
    places: NDArray[np.float64]
    sizes: NDArray[np.int64]
    diameters: NDArray[np.float64]
    is_candidate: NDArray[np.bool_]
    wholes: NDArray[np.int64]
    scale: NDArray[np.float64]
    frames: int

    def __len__(self) -> int:
        return len(self.times)

    @property
    def diameter(self) -> float:
        """Median diameter of the nuclei."""
        return float(np.median(self.diameters[~self.is_candidate]))


@dataclass(frozen=True, eq=False)
class FrameNuclei:
    """What is found in one frame.

    Attributes
    ----------
    nuclei, candidates : Nuclei
    whole_labels : ndarray, shape (candidates,), int64
        Of a candidate that is a piece of a nucleus the label of that; else 0.
    labels_at : dict of tuple of float to int
        The labels at points that were asked for; 0 where there is none.
    """

    nuclei: Nuclei
    candidates: Nuclei
    whole_labels: NDArray[np.int64]
    labels_at: dict[tuple[float, ...], int]


def locate_in_frame(
    labels: NDArray[np.integer],
    candidates: NDArray[np.integer] | None = None,
    points: Iterable[tuple[float, ...]] = (),
) -> FrameNuclei:
    """Locate the nuclei of a frame, and its candidates.

    Parameters
    ----------
    labels : ndarray, shape (Y, X) or (Z, Y, X), integer
    candidates : ndarray of the same shape, integer, or None
        0, or the id of a candidate: a nucleus that was not found, or one of the pieces into which
        a nucleus may be split.
    points : iterable of tuple of float
        Places in pixels of which the labels are wanted.
    """
    labels_at = {point: _label_at(labels, point) for point in points}
    nuclei = locate_nuclei(labels)
    if candidates is None:
        nothing = locate_nuclei(np.zeros((1,) * labels.ndim, np.int32))
        return FrameNuclei(nuclei, nothing, np.zeros(0, np.int64), labels_at)
    located = locate_nuclei(candidates)
    whole = np.zeros(int(located.ids.max(initial=0)) + 1, np.int64)
    inside = (candidates > 0) & (labels > 0)
    whole[candidates[inside]] = labels[inside]  # a piece lies in one nucleus only
    return FrameNuclei(nuclei, located, whole[located.ids], labels_at)


def _label_at(labels: NDArray[np.integer], point: tuple[float, ...]) -> int:
    """Return the label at a point; 0 if it is outside."""
    at = np.floor(np.asarray(point) + 0.5)
    if len(at) != labels.ndim or (at < 0).any() or (at >= labels.shape).any():
        return 0
    return int(labels[tuple(at.astype(int))])


def collect_detections(frames: Sequence[FrameNuclei], spacing: Sequence[float]) -> Detections:
    """Collect the nuclei of all frames in one table.

    Parameters
    ----------
    frames : sequence of FrameNuclei
    spacing : sequence of float
        Size of a pixel along each axis, in any unit.
    """
    parts = [part for frame in frames for part in (frame.nuclei, frame.candidates)]
    counts = [len(part) for part in parts]
    owner = np.repeat(np.arange(len(parts)), counts)
    ids, sizes, centres = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "areas", "centres")
    )
    times, is_candidate = owner // 2, owner % 2 == 1
    ratio = np.asarray(spacing, np.float64) / spacing[-1]
    wholes = np.full(len(ids), -1)
    rows = {
        (t, label): row
        for row, (t, label) in enumerate(zip(times.tolist(), ids.tolist(), strict=True))
        if not is_candidate[row]
    }
    named = np.concatenate([frame.whole_labels for frame in frames])
    for row, label in zip(np.flatnonzero(is_candidate).tolist(), named.tolist(), strict=True):
        wholes[row] = rows[int(times[row]), label] if label else -1
    diameters = diameters_of_sizes(sizes * ratio.prod(), centres.shape[1])
    found = Detections(
        times, ids, centres, centres * ratio, sizes, diameters, is_candidate, wholes, ratio,
        len(frames),
    )  # fmt: skip
    return _without_jumps(found)


def _without_jumps(found: Detections) -> Detections:
    """Return detections with places as if the stage had not jumped."""
    rows = np.flatnonzero(~found.is_candidate)
    bounds = np.searchsorted(found.times[rows], np.arange(found.frames + 1))
    seen = [found.places[rows[a:b]] for a, b in itertools.pairwise(bounds.tolist())]
    if not len(rows):
        return found
    jumps = [find_jump(before, after, found.diameter) for before, after in itertools.pairwise(seen)]
    moved = np.cumsum([np.zeros(found.places.shape[1]), *jumps], axis=0)
    return replace(found, places=found.places - moved[found.times])


def check_spacing(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return the size of a pixel along each axis; 1 where it is not given.

    Raises
    ------
    UserError
        If there are too few or too many, or one is not above 0.
    """
    if spacing is None:
        return (1.0,) * ndim
    if len(spacing) != ndim or not all(size > 0 and np.isfinite(size) for size in spacing):
        raise UserError(f"The pixel size needs {ndim} numbers above 0, but is {tuple(spacing)}.")
    return tuple(float(size) for size in spacing)
