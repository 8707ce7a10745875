"""Missed and merged nuclei of a film, looked for again where a track needs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .detections import Detections

# Chosen by benchmarks/films.py, see docs/decisions/0016-films.md.
# How far from its expected place a nucleus is looked for, in diameters.
SEARCH_RADIUS = 0.6
# Ratio of the diameters of a nucleus and of what is taken for it.
MIN_DIAMETER_RATIO = 0.6
# A distance that no link has.
FAR = 1e9


@dataclass(frozen=True, eq=False)
class Expected:
    """Places where a nucleus is expected, and none was found; one row each.

    Attributes
    ----------
    times : ndarray, shape (m,), int64
    places : ndarray, shape (m, d), float64
    rows : ndarray, shape (m,), int64
        The nucleus that is looked for, as it was in another frame.
    is_ahead : ndarray, shape (m,), bool
        Whether it was found in an earlier frame.
    """

    times: NDArray[np.int64]
    places: NDArray[np.float64]
    rows: NDArray[np.int64]
    is_ahead: NDArray[np.bool_]


def recover_nuclei(
    found: Detections,
    active: NDArray[np.bool_],
    mothers: NDArray[np.int64],
    is_fixed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Choose candidates that tracks need.

    Parameters
    ----------
    found : Detections
    active : ndarray, shape (n,), bool
        Nuclei and candidates that are linked.
    mothers : ndarray, shape (n,), int64
        Their links, as of ``linker.link_detections``.
    is_fixed : ndarray, shape (n,), bool
        Nuclei that are not split.

    Returns
    -------
    ndarray, shape (n,), bool
        With the candidates that fit, and without nuclei that were split.
    """
    expected = _expect(found, active, mothers)
    chosen = active.copy()
    is_served = _take_missed(found, chosen, expected)
    children = np.full(len(found), -1)
    linked = np.flatnonzero(active & (mothers >= 0))
    children[mothers[linked]] = linked
    for whole, pieces in find_pieces(found).items():
        near = np.flatnonzero(~is_served & (expected.times == found.times[whole]))
        links = np.array([mothers[whole], children[whole]])
        may_split = chosen[whole] and not is_fixed[whole] and len(near)
        if may_split and _is_merged(found, links, expected, near, np.array(pieces)):
            chosen[whole], chosen[pieces] = False, True
    return chosen


def find_pieces(found: Detections) -> dict[int, list[int]]:
    """Return the rows of nuclei that may be split, and of each those of its pieces."""
    pieces: dict[int, list[int]] = {}
    for row in np.flatnonzero(found.wholes >= 0).tolist():
        pieces.setdefault(int(found.wholes[row]), []).append(row)
    return pieces


def _expect(found: Detections, active: NDArray[np.bool_], mothers: NDArray[np.int64]) -> Expected:
    """Find the frames before, after and between those of each track where it has no nucleus."""
    rows = np.flatnonzero(active)
    linked = rows[mothers[rows] >= 0]
    has_child = np.zeros(len(found), bool)
    has_child[mothers[linked]] = True
    ends = rows[~has_child[rows] & (found.times[rows] + 1 < found.frames)]
    starts = rows[(mothers[rows] < 0) & (found.times[rows] > 0)]
    late = linked[found.times[linked] - found.times[mothers[linked]] > 1]
    before = mothers[late]
    lag = (found.times[late] - found.times[before])[:, None]
    way = (found.places[late] - found.places[before]) / lag
    wanted = np.concatenate([ends, before, starts, late])
    shift = np.concatenate([np.zeros_like(found.places[ends]), way,
                            np.zeros_like(found.places[starts]), -way])  # fmt: skip
    is_ahead = np.arange(len(wanted)) < len(ends) + len(before)
    times = found.times[wanted] + np.where(is_ahead, 1, -1)
    return Expected(times, found.places[wanted] + shift, wanted, is_ahead)


def _take_missed(
    found: Detections, chosen: NDArray[np.bool_], expected: Expected
) -> NDArray[np.bool_]:
    """Choose missed nuclei, nearest first; return which of the expected ones have found theirs."""
    is_free = found.is_candidate & (found.wholes < 0) & ~chosen
    pairs = []
    for t in np.unique(expected.times).tolist():
        candidates = np.flatnonzero(is_free & (found.times == t))
        wanted = np.flatnonzero(expected.times == t)
        far = _compare(found, expected, wanted, candidates)
        pairs += [(far[i, j], wanted[i], candidates[j]) for i, j in np.argwhere(np.isfinite(far))]
    is_served = np.zeros(len(expected.times), bool)
    taken: set[tuple[int, bool]] = set()
    for _, want, candidate in sorted(pairs):
        key = int(candidate), bool(expected.is_ahead[want])
        if not is_served[want] and key not in taken:  # one from before, and one from after
            is_served[want], chosen[candidate] = True, True
            taken.add(key)
    return is_served


def _compare(
    found: Detections, expected: Expected, wanted: NDArray[np.intp], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return distances from expected places; infinite where they are too far, or sizes differ."""
    way = expected.places[wanted][:, None] - found.places[rows]
    far = np.linalg.norm(way, axis=2)
    sizes = found.diameters[expected.rows[wanted]][:, None], found.diameters[rows][None]
    ratio = np.minimum(*sizes) / np.maximum(*sizes)
    fits = (far < SEARCH_RADIUS * np.maximum(sizes[0], found.diameter)) & (
        ratio >= MIN_DIAMETER_RATIO
    )
    return np.where(fits, far, np.inf)


def _is_merged(
    found: Detections,
    links: NDArray[np.int64],
    expected: Expected,
    near: NDArray[np.intp],
    pieces: NDArray[np.int64],
) -> bool:
    """Return whether each piece of a nucleus is where one is expected, seen from before or after.

    Parameters
    ----------
    found, expected
        As in :func:`_take_missed`.
    links : ndarray, shape (2,), int64
        The row from which the nucleus comes, and that which it becomes, or -1.
    near : ndarray, integer
        Those that are expected in its frame, and not found.
    pieces : ndarray, int64
        Rows.
    """
    # takes longer to load than a small image to segment
    from scipy.optimize import linear_sum_assignment

    for is_ahead, own in zip((True, False), links.tolist(), strict=True):
        wanted = near[expected.is_ahead[near] == is_ahead]
        if len(wanted) + (own >= 0) < len(pieces):
            continue
        far = _compare(found, expected, wanted, pieces)
        if own >= 0:
            one = np.array([own])
            its = Expected(found.times[one], found.places[one], one, np.ones(1, bool))
            far = np.vstack([far, _compare(found, its, np.array([0]), pieces)])
        far = np.where(np.isfinite(far), far, FAR)
        rows, columns = linear_sum_assignment(far)
        if (far[rows, columns] < FAR).all():
            return True
    return False
