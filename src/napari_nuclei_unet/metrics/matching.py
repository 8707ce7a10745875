"""Matching of predicted with annotated nuclei, and scores."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.relabel import relabel_sequential

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@dataclass(frozen=True)
class MatchCounts:
    """Counts from which scores are computed, of one image or summed over several.

    Attributes
    ----------
    n_true, n_predicted : int
        Nuclei annotated and found.
    matched : ndarray, shape (10,), int
        True positives at each of ``IOU_THRESHOLDS``.
    matched_iou : float
        Sum of IoU over the pairs matched at 0.5.
    aji_intersection, aji_union : int
        Numerator and denominator of the AJI, in pixels.
    overlap, true_area, predicted_area : int
        Foreground in both, in the truth, in the prediction, in pixels.
    """

    n_true: int
    n_predicted: int
    matched: NDArray[np.int64]
    matched_iou: float
    aji_intersection: int
    aji_union: int
    overlap: int
    true_area: int
    predicted_area: int

    def __add__(self, other: MatchCounts) -> MatchCounts:
        """Add the counts of another image."""
        return MatchCounts(*(a + b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def scores(self) -> dict[str, float]:
        """Compute the scores; an image without true or predicted nuclei scores 1.

        Returns
        -------
        dict
            ``AP@0.5`` to ``AP@0.95`` (TP / (TP + FP + FN)), ``mean AP``, ``F1`` and ``PQ`` at
            IoU 0.5 (Kirillov et al. 2019, arXiv:1801.00868), ``AJI`` (Kumar et al. 2017,
            doi:10.1109/TMI.2017.2677499), ``Dice`` and ``IoU`` of the foreground; 0 to 1.
        """
        n_nuclei = self.n_true + self.n_predicted
        precision = [_ratio(tp, n_nuclei - tp) for tp in self.matched]
        table = {f"AP@{t:g}": ap for t, ap in zip(IOU_THRESHOLDS, precision, strict=True)}
        areas = self.true_area + self.predicted_area
        return table | {
            "mean AP": float(np.mean(precision)),
            "F1": _ratio(2 * self.matched[0], n_nuclei),
            "PQ": _ratio(2 * self.matched_iou, n_nuclei),
            "AJI": _ratio(self.aji_intersection, self.aji_union),
            "Dice": _ratio(2 * self.overlap, areas),
            "IoU": _ratio(self.overlap, areas - self.overlap),
        }


def count_matches(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> MatchCounts:
    """Compare two label images of one shape.

    A match is a pair of a one-to-one assignment that has as many pairs with an IoU of at
    least the threshold as possible and, among those, the largest sum of IoU.

    Parameters
    ----------
    true, predicted : ndarray, integer
        0 is background, else the nucleus' id.

    Returns
    -------
    MatchCounts

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    (t, _), (p, _) = relabel_sequential(true), relabel_sequential(predicted)
    return count_overlaps(find_overlaps(t, p))


def count_overlaps(pairs: Overlaps) -> MatchCounts:
    """Count matches in two label images whose overlaps are known."""
    matches = [match_pairs(pairs, threshold) for threshold in IOU_THRESHOLDS]
    intersection, union = _compute_aji(pairs)
    return MatchCounts(
        n_true=pairs.true_area.size,
        n_predicted=pairs.predicted_area.size,
        matched=np.array([len(m) for m in matches]),
        matched_iou=float(pairs.iou[matches[0]].sum()),
        aji_intersection=intersection,
        aji_union=union,
        overlap=int(pairs.overlap.sum()),
        true_area=int(pairs.true_area.sum()),
        predicted_area=int(pairs.predicted_area.sum()),
    )


def count_annotated_matches(
    true: NDArray[np.integer], predicted: NDArray[np.integer], annotated: NDArray[np.bool_]
) -> MatchCounts:
    """Compare two label images where they are annotated.

    Nuclei of either that lie at least half outside of the annotated area are ignored.

    Parameters
    ----------
    true, predicted : ndarray, integer
        As in :func:`count_matches`.
    annotated : ndarray, same shape, bool

    Returns
    -------
    MatchCounts
    """
    return count_overlaps(find_annotated_overlaps(true, predicted, annotated))


def find_annotated_overlaps(
    true: NDArray[np.integer], predicted: NDArray[np.integer], annotated: NDArray[np.bool_]
) -> Overlaps:
    """Find the pairs that share pixels of nuclei as in :func:`count_annotated_matches`."""
    if not annotated.all():
        true, predicted = _keep_inside(true, annotated), _keep_inside(predicted, annotated)
    (t, _), (p, _) = relabel_sequential(true), relabel_sequential(predicted)
    return find_overlaps(t, p)


def _keep_inside(labels: NDArray[np.integer], annotated: NDArray[np.bool_]) -> NDArray[np.integer]:
    area = np.bincount(labels.ravel())
    inside = np.bincount(labels.ravel(), annotated.ravel(), minlength=area.size)
    return np.where((2 * inside > area)[labels], labels, 0)


def pool_scores(counts: Sequence[MatchCounts]) -> dict[str, float]:
    """Compute scores of the summed counts: every nucleus has the same weight."""
    return sum_counts(counts).scores()


def sum_counts(counts: Sequence[MatchCounts]) -> MatchCounts:
    """Sum counts, as of several images, or of the volumes of one."""
    return reduce(operator.add, counts)


def average_scores(counts: Sequence[MatchCounts]) -> dict[str, float]:
    """Average each score over images: every image has the same weight."""
    table = [count.scores() for count in counts]
    return {name: float(np.mean([row[name] for row in table])) for name in table[0]}


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of nuclei that share pixels.

    Attributes
    ----------
    true, predicted : ndarray, shape (n,), int
        Positions of each pair in the two lists of areas.
    overlap : ndarray, shape (n,), int
        Intersection of the pair, in pixels.
    true_area, predicted_area : ndarray, int
        Of all nuclei, in the order of their ids, in pixels.
    """

    true: NDArray[np.intp]
    predicted: NDArray[np.intp]
    overlap: NDArray[np.int64]
    true_area: NDArray[np.int64]
    predicted_area: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Union of each pair, in pixels."""
        return self.true_area[self.true] + self.predicted_area[self.predicted] - self.overlap

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, 0 to 1."""
        return self.overlap / self.union


def find_overlaps(t: NDArray[np.integer], p: NDArray[np.integer]) -> Overlaps:
    """Find the pairs of nuclei that share pixels.

    Parameters
    ----------
    t, p : ndarray of one shape, integer
        Labels of every pixel in truth and prediction, as from ``relabel_sequential``.

    Returns
    -------
    Overlaps

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if t.shape != p.shape:
        raise ValueError(f"shapes differ: {t.shape} and {p.shape}")
    t, p = t.ravel(), p.ravel()
    true_area, predicted_area = np.bincount(t, minlength=1)[1:], np.bincount(p, minlength=1)[1:]
    both, columns = (t > 0) & (p > 0), max(predicted_area.size, 1)
    pixels = (t[both].astype(np.int64) - 1) * columns + p[both]
    # neighbours are mostly of the same pair, so there are fewer runs to sort than pixels
    starts = np.flatnonzero(np.diff(pixels, prepend=0))
    pairs, pair = np.unique(pixels[starts], return_inverse=True)
    overlap = np.bincount(pair, np.diff(starts, append=pixels.size)).astype(np.int64)
    i, j = np.divmod(pairs - 1, columns)
    return Overlaps(i, j, overlap, true_area, predicted_area)


def match_pairs(pairs: Overlaps, threshold: float) -> NDArray[np.intp]:
    """Match nuclei one to one, as in :func:`count_matches`, and return positions of the pairs."""
    iou = pairs.iou
    candidates = np.flatnonzero(iou >= threshold)
    true, predicted = pairs.true[candidates], pairs.predicted[candidates]
    free = (np.bincount(true, minlength=1)[true] == 1) & (
        np.bincount(predicted, minlength=1)[predicted] == 1
    )
    if free.all():  # as above 0.5
        return candidates
    # takes longer to load than a small image to segment
    from scipy.optimize import linear_sum_assignment

    rows, i = np.unique(true[~free], return_inverse=True)
    columns, j = np.unique(predicted[~free], return_inverse=True)
    gain = np.zeros((rows.size, columns.size))
    gain[i, j] = 1 + iou[candidates[~free]] / (rows.size + columns.size + 1)
    table = np.full(gain.shape, -1)
    table[i, j] = candidates[~free]
    chosen = table[linear_sum_assignment(gain, maximize=True)]
    return np.concatenate([candidates[free], chosen[chosen >= 0]])


def _compute_aji(pairs: Overlaps) -> tuple[int, int]:
    """Compute numerator and denominator of the AJI; unmatched areas are added to the union."""
    order = np.lexsort((-pairs.iou, pairs.true))
    _, first = np.unique(pairs.true[order], return_index=True)
    best = order[first]
    lost = np.delete(pairs.true_area, pairs.true[best]).sum()
    unused = np.delete(pairs.predicted_area, np.unique(pairs.predicted[best])).sum()
    union = pairs.union[best].sum() + lost + unused
    return int(pairs.overlap[best].sum()), int(union)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
