"""Divisions in a film: tracks that begin as the daughter of a nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .detections import Detections

# Chosen by benchmarks/films.py, see docs/decisions/0016-films.md.
MAX_DAUGHTER_AREA_RATIO = 0.85  # of the mother
MIN_SYMMETRY = 0.55  # area of the smaller daughter by that of the larger
MAX_OFFSET = 0.5  # of the middle between the daughters from the mother, in her diameters
MAX_GROWTH = 1.35  # of the mother; one that has grown suddenly is two that have merged
MAX_APART = 1.6  # from daughter to daughter, in diameters of the mother
MIN_LIFE = 2  # frames in which each daughter is there, unless the film ends before
HISTORY = 4  # frames of which the median is the mother's size


@dataclass(frozen=True, eq=False)
class Births:
    """Pairs of nuclei that might be daughters, one row each.

    Attributes
    ----------
    mother, first, second : ndarray, shape (m,), int64
        Rows of the detections; the first daughter may be linked to the mother already.
    size : ndarray, shape (m,), float64
        Of the larger daughter by that of the mother.
    symmetry : ndarray, shape (m,), float64
        Size of the smaller daughter by that of the larger.
    offset, apart : ndarray, shape (m,), float64
        From the mother to the middle of the daughters, and from one daughter to the other, in
        diameters of the mother.
    life : ndarray, shape (m,), int64
        Frames in which the daughter that vanishes first is there; many if the film ends before.
    growth : ndarray, shape (m,), float64
        Size of the mother by what it was in the frames before.
    """

    mother: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    size: NDArray[np.float64]
    symmetry: NDArray[np.float64]
    offset: NDArray[np.float64]
    apart: NDArray[np.float64]
    life: NDArray[np.int64]
    growth: NDArray[np.float64]


def find_divisions(
    found: Detections,
    active: NDArray[np.bool_],
    mothers: NDArray[np.int64],
    distance: float,
    cut: frozenset[tuple[int, int]] = frozenset(),
) -> NDArray[np.int64]:
    """Link tracks that begin beside another to its last nucleus, if they look like daughters.

    Parameters
    ----------
    found, active, mothers
        As of ``linker.link_detections``.
    distance : float
        From mother to daughter at most, in the unit of ``found.places``.
    cut : set of (int, int)
        Rows of links that are not made.

    Returns
    -------
    ndarray, shape (n,), int64
        As ``mothers``, with divisions: two rows that come from the same.
    """
    made = mothers.copy()
    births = measure_births(found, active, mothers, distance)
    likely = (
        (births.size <= MAX_DAUGHTER_AREA_RATIO)
        & (births.symmetry >= MIN_SYMMETRY)
        & (births.offset <= MAX_OFFSET)
        & (births.apart <= MAX_APART)
        & (births.life >= MIN_LIFE)
        & (births.growth <= MAX_GROWTH)
    )
    taken: set[int] = set()
    for at in np.argsort(births.offset + births.size, kind="stable"):
        trio = {int(births.mother[at]), int(births.first[at]), int(births.second[at])}
        links = {(int(births.mother[at]), int(row[at])) for row in (births.first, births.second)}
        if likely[at] and not trio & taken and not links & cut:
            made[births.first[at]] = made[births.second[at]] = births.mother[at]
            taken |= trio
    return made


def measure_births(
    found: Detections, active: NDArray[np.bool_], mothers: NDArray[np.int64], distance: float
) -> Births:
    """Measure all pairs of which one begins a track, and the other one does, or goes on."""
    rows = np.flatnonzero(active)
    children = np.full(len(found), -1)
    linked = rows[mothers[rows] >= 0]
    children[mothers[linked]] = linked
    trios = _find_trios(found, rows, (mothers, children), distance)
    mother, first, second = np.array(trios, np.int64).reshape(-1, 3).T
    life = _count_frames(found, children)
    former = _former_sizes(found, mothers, mother)
    sizes = found.sizes.astype(float)
    large = np.maximum(sizes[first], sizes[second])
    places, diameter = found.places, found.diameters[mother]
    return Births(
        mother, first, second,
        large / np.maximum(former, sizes[mother]),
        np.minimum(sizes[first], sizes[second]) / np.maximum(large, 1),
        np.linalg.norm((places[first] + places[second]) / 2 - places[mother], axis=1) / diameter,
        np.linalg.norm(places[first] - places[second], axis=1) / diameter,
        np.minimum(life[first], life[second]),
        sizes[mother] / former,
    )  # fmt: skip


def _find_trios(
    found: Detections,
    rows: NDArray[np.intp],
    links: tuple[NDArray[np.int64], NDArray[np.int64]],
    distance: float,
) -> list[tuple[int, int, int]]:
    """Find mothers, and pairs of nuclei that may be their daughters."""
    # takes longer to load than a small image to segment
    from scipy.spatial import KDTree

    mothers, children = links
    child_counts = np.bincount(mothers[rows][mothers[rows] >= 0], minlength=len(found))
    trios = []
    bounds = np.searchsorted(found.times[rows], np.arange(found.frames + 1))
    for t in range(1, found.frames):
        now, before = rows[bounds[t] : bounds[t + 1]], rows[bounds[t - 1] : bounds[t]]
        starts, ends = now[mothers[now] < 0], before[children[before] < 0]
        if not len(starts):
            continue
        tree = KDTree(found.places[now])
        for start in starts.tolist():
            for at in tree.query_ball_point(found.places[start], 2 * distance):
                other = int(now[at])
                if other == start:
                    continue
                for mother in [mothers[other]] if mothers[other] >= 0 else ends.tolist():
                    far = found.places[[start, other]] - found.places[mother]
                    is_near = (np.linalg.norm(far, axis=1) <= distance).all()
                    if is_near and child_counts[mother] < 2:
                        trios.append((int(mother), other, start))
    return trios


def _count_frames(found: Detections, children: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the nuclei of a track from each one on; those that reach the end live on."""
    life = np.ones(len(found), np.int64)
    for row in range(len(found) - 1, -1, -1):
        if children[row] >= 0:
            life[row] += life[children[row]]
        elif found.times[row] == found.frames - 1:
            life[row] += MIN_LIFE
    return life


def _former_sizes(
    found: Detections, mothers: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the median size of nuclei in the frames before; their own where there are none."""
    sizes = []
    for row in rows.tolist():
        past: list[float] = []
        at = int(mothers[row])
        while at >= 0 and len(past) < HISTORY:
            past.append(float(found.sizes[at]))
            at = int(mothers[at])
        sizes.append(float(np.median(past)) if past else float(found.sizes[row]))
    return np.array(sizes)
