"""Candidates of a plane: nuclei that were perhaps missed, and pieces of some that merged."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ..params import SegmentParams
from .segment import Prediction, Segmentation, compute_relief, retune

# Chosen by benchmarks/films.py, see docs/decisions/0016-films.md.
CANDIDATE_THRESHOLD = 0.1
CANDIDATE_CONFIDENCE = 0.0
CANDIDATE_SEPARATION = 0.95
# A candidate that overlaps nuclei by a larger share is one of them, with a halo.
MAX_OVERLAP = 0.3
# A piece is at least so large a share of its nucleus.
MIN_PIECE_AREA_RATIO = 0.15


def find_candidates(
    prediction: Prediction, result: Segmentation, params: SegmentParams | None = None
) -> NDArray[np.int32]:
    """Find what might be nuclei beside those that were found, for ``tracking`` to choose from.

    Parameters
    ----------
    prediction : Prediction
        What the network said of the plane.
    result : Segmentation
        The nuclei that were found in it.
    params : SegmentParams, optional
        By which they were found.

    Returns
    -------
    ndarray, shape (Y, X), int32
        Where there is no nucleus, ids of those that a lower threshold and confidence find. In a
        nucleus, ids of the pieces into which more separation splits it, if it does. 0 elsewhere.
    """
    params = params or SegmentParams()
    used = result.provenance.params
    low = dataclasses.replace(
        params,
        threshold=min(CANDIDATE_THRESHOLD, used.threshold or 1),
        confidence=min(CANDIDATE_CONFIDENCE, used.confidence or 1),
    )
    high = dataclasses.replace(params, separation=max(CANDIDATE_SEPARATION, used.separation or 0))
    relief = compute_relief(prediction)
    missed = _find_missed(retune(prediction, low, relief).labels, result.labels)
    pieces = _find_pieces(retune(prediction, high, relief).labels, result.labels)
    return np.where(pieces > 0, pieces + missed.max(initial=0), missed).astype(np.int32)


def _find_missed(low: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what is found at a lower threshold, and is no nucleus already."""
    area = np.bincount(low.ravel())
    covered = np.bincount(low[labels > 0], minlength=area.size)
    is_new = covered <= MAX_OVERLAP * area
    return np.where(is_new[low] & (labels == 0), low, 0)


def _find_pieces(high: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the pieces of nuclei that are split by more separation."""
    both = (high > 0) & (labels > 0)
    wide = int(labels.max(initial=0)) + 1
    keys, index, area = np.unique(
        high[both].astype(np.int64) * wide + labels[both], return_inverse=True, return_counts=True
    )
    whole = keys % wide
    is_piece = area >= MIN_PIECE_AREA_RATIO * np.bincount(labels.ravel(), minlength=wide)[whole]
    count = np.bincount(whole[is_piece], minlength=wide)
    chosen = is_piece & (count[whole] > 1)
    numbers = np.where(chosen, np.cumsum(chosen), 0)
    pieces = np.zeros(labels.shape, np.int32)
    pieces[both] = numbers[index]
    return pieces
