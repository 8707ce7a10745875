"""How well predicted nuclei agree with annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_nuclei_unet.arrays.relabel import relabel_sequential

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@dataclass(frozen=True)
class MatchCounts:
    """What one image, or several summed up, adds to the scores.

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
        """Sum over two images."""
        return MatchCounts(*(a + b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def scores(self) -> dict[str, float]:
        """Scores of these counts; an image without nuclei, found empty, scores 1.

        Returns
        -------
        dict
            ``AP@0.5`` to ``AP@0.95`` (TP / (TP + FP + FN)), ``mean AP``, ``F1`` and ``PQ`` at
            IoU 0.5 (Kirillov et al. 2019, arXiv:1801.00868), ``AJI`` (Kumar et al. 2017,
            doi:10.1109/TMI.2017.2677499), ``Dice`` and ``IoU`` of the foreground; 0 to 1.
        """
        found = self.n_true + self.n_predicted
        precision = [_ratio(tp, found - tp) for tp in self.matched]
        table = {f"AP@{t:g}": ap for t, ap in zip(IOU_THRESHOLDS, precision, strict=True)}
        areas = self.true_area + self.predicted_area
        return table | {
            "mean AP": float(np.mean(precision)),
            "F1": _ratio(2 * self.matched[0], found),
            "PQ": _ratio(2 * self.matched_iou, found),
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
    Counts

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if true.shape != predicted.shape:
        raise ValueError(f"shapes differ: {true.shape} and {predicted.shape}")
    (t, _), (p, _) = relabel_sequential(true.ravel()), relabel_sequential(predicted.ravel())
    return count_overlaps(find_overlaps(t, p))


def count_overlaps(pairs: Overlaps) -> MatchCounts:
    """Give the counts of two label images whose overlaps are known."""
    matches = [match_pairs(pairs, threshold) for threshold in IOU_THRESHOLDS]
    intersection, union = _aji(pairs)
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
    """Compare two label images where the truth is known.

    Nuclei of either that lie at least half in what is not known count neither for nor against.

    Parameters
    ----------
    true, predicted : ndarray, integer
        As in :func:`count_matches`.
    annotated : ndarray, same shape, bool

    Returns
    -------
    Counts
    """
    if annotated.all():
        return count_matches(true, predicted)
    return count_matches(_mostly_in(true, annotated), _mostly_in(predicted, annotated))


def _mostly_in(labels: NDArray[np.integer], annotated: NDArray[np.bool_]) -> NDArray[np.integer]:
    area = np.bincount(labels.ravel())
    inside = np.bincount(labels.ravel(), annotated.ravel(), minlength=area.size)
    return np.where((2 * inside > area)[labels], labels, 0)


def pool_scores(counts: Sequence[MatchCounts]) -> dict[str, float]:
    """Scores of the sums over all images: every nucleus weighs the same."""
    total = counts[0]
    for one in counts[1:]:
        total = total + one
    return total.scores()


def average_scores(counts: Sequence[MatchCounts]) -> dict[str, float]:
    """Mean over images of each score: every image weighs the same."""
    table = [one.scores() for one in counts]
    return {name: float(np.mean([row[name] for row in table])) for name in table[0]}


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of nuclei that share pixels.

    Attributes
    ----------
    true, predicted : ndarray, shape (n,), int
        Of each pair, positions in the two lists of areas.
    overlap : ndarray, shape (n,), int
        What the pair shares, in pixels.
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
        """What either of the pair covers, in pixels."""
        return self.true_area[self.true] + self.predicted_area[self.predicted] - self.overlap

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, 0 to 1."""
        return self.overlap / self.union


def find_overlaps(t: NDArray[np.integer], p: NDArray[np.integer]) -> Overlaps:
    """Find the pairs of nuclei that share pixels.

    Parameters
    ----------
    t, p : ndarray, shape (n,), integer
        Number of every pixel in truth and prediction, as from ``relabel_sequential``.

    Returns
    -------
    Overlaps
    """
    true_area, predicted_area = np.bincount(t, minlength=1)[1:], np.bincount(p, minlength=1)[1:]
    both, columns = (t > 0) & (p > 0), max(predicted_area.size, 1)
    pixels = (t[both].astype(np.int64) - 1) * columns + p[both]
    # neighbours are mostly of the same pair: runs of them are fewer to sort
    starts = np.flatnonzero(np.diff(pixels, prepend=0))
    pairs, place = np.unique(pixels[starts], return_inverse=True)
    overlap = np.bincount(place, np.diff(starts, append=pixels.size)).astype(np.int64)
    i, j = np.divmod(pairs - 1, columns)
    return Overlaps(i, j, overlap, true_area, predicted_area)


def match_pairs(pairs: Overlaps, threshold: float) -> NDArray[np.intp]:
    """Match nuclei one to one, as in :func:`count_matches`, and return positions of the pairs."""
    iou = pairs.iou
    good = np.flatnonzero(iou >= threshold)
    true, predicted = pairs.true[good], pairs.predicted[good]
    free = (np.bincount(true, minlength=1)[true] == 1) & (
        np.bincount(predicted, minlength=1)[predicted] == 1
    )
    if free.all():  # as above 0.5
        return good
    rows, i = np.unique(true[~free], return_inverse=True)
    columns, j = np.unique(predicted[~free], return_inverse=True)
    gain = np.zeros((rows.size, columns.size))
    gain[i, j] = 1 + iou[good[~free]] / (rows.size + columns.size + 1)
    table = np.full(gain.shape, -1)
    table[i, j] = good[~free]
    chosen = table[linear_sum_assignment(gain, maximize=True)]
    return np.concatenate([good[free], chosen[chosen >= 0]])


def _aji(pairs: Overlaps) -> tuple[int, int]:
    """Each true nucleus takes the prediction of highest IoU; unmatched areas join the union."""
    order = np.lexsort((-pairs.iou, pairs.true))
    _, first = np.unique(pairs.true[order], return_index=True)
    best = order[first]
    lost = np.delete(pairs.true_area, pairs.true[best]).sum()
    unused = np.delete(pairs.predicted_area, np.unique(pairs.predicted[best])).sum()
    union = pairs.union[best].sum() + lost + unused
    return int(pairs.overlap[best].sum()), int(union)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
