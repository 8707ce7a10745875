"""Jumps of the stage in a film: all nuclei move at once by more than a nucleus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# So near, in diameters, a nucleus of the next frame is the same one, if nothing has jumped.
NEAR = 0.4
# A frame has jumped where fewer nuclei than this share have one near in the next ...
MAX_STILL_SHARE = 0.5
# ... and by a jump this share more of them has.
MIN_GAIN = 0.3
# With fewer nuclei, a jump cannot be told from movement.
MIN_NUCLEI = 5
# Pairs of nuclei of two frames of which the jump is looked for; a sample of more would do.
MAX_PAIRS = 2_000_000


def find_jump(
    before: NDArray[np.float64], after: NDArray[np.float64], diameter: float
) -> NDArray[np.float64]:
    """Find by how much all nuclei have moved from a frame to the next, if the stage jumped.

    Every pair of nuclei votes for the movement from one to the other.

    Parameters
    ----------
    before, after : ndarray, shape (n, d) and (m, d), float64
        Positions.
    diameter : float
        Of nuclei.

    Returns
    -------
    ndarray, shape (d,), float64
        0 unless most nuclei have their like there, and only there.
    """
    still = np.zeros(before.shape[1])
    if min(len(before), len(after)) < MIN_NUCLEI:
        return still
    share = _share_near(before, after, still, diameter)
    if share >= MAX_STILL_SHARE:
        return still
    every = max(1, len(before) * len(after) // MAX_PAIRS)
    ways = (after[None] - before[::every, None]).reshape(-1, before.shape[1])
    bins, votes = np.unique(np.floor(ways / (NEAR * diameter)), axis=0, return_counts=True)
    best, best_share = still, share + MIN_GAIN
    for at in np.argsort(-votes, kind="stable")[:20]:
        # a jump may lie at the border of two bins
        around = np.abs(ways - (bins[at] + 0.5) * NEAR * diameter).max(axis=1) < NEAR * diameter
        jump = np.median(ways[around], axis=0)
        if (gained := _share_near(before, after, jump, diameter)) > best_share:
            best, best_share = jump, gained
    return best


def _share_near(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    jump: NDArray[np.float64],
    diameter: float,
) -> float:
    """Return the share of nuclei, of those that stay in view, that have one near after a jump."""
    # takes longer to load than a small image to segment
    from scipy.spatial import KDTree

    moved = before + jump
    low, high = after.min(axis=0) - diameter, after.max(axis=0) + diameter
    moved = moved[((moved >= low) & (moved <= high)).all(axis=1)]
    if len(moved) < max(MIN_NUCLEI, 0.3 * len(before)):
        return 0.0
    far, _ = KDTree(after).query(moved)
    return float((far < NEAR * diameter).mean())
