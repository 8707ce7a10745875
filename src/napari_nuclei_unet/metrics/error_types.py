"""Types of segmentation errors: nuclei that are missed, false, split or merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays.relabel import relabel_sequential
from .matching import (
    IOU_THRESHOLDS,
    MatchCounts,
    Overlaps,
    count_overlaps,
    find_overlaps,
    match_pairs,
)

# The value of each kind in the error image is its position here, counted from 1.
ERROR_KINDS = ("missed", "false", "split", "merged")
MISSED_PIXEL, FALSE_PIXEL, SPLIT_PIXEL, MERGED_PIXEL = range(1, 5)
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Matches and errors of two label images; see :func:`compare`.

    Attributes
    ----------
    counts : MatchCounts
    missed : ndarray, shape (n,), integer
        Ids of true nuclei.
    false : ndarray, shape (n,), integer
        Ids of predicted nuclei.
    split : dict of int to list of int
        Id of each true nucleus that is split, and the ids of its predicted parts.
    merged : dict of int to list of int
        Id of each predicted nucleus that is merged, and the ids of the true ones in it.
    errors : ndarray, shape of the label images, uint8
        0 none, 1 missed, 2 false, 3 split, 4 merged: all pixels of all nuclei concerned, true and
        predicted. Where two of different kinds overlap, the smaller nucleus is shown.
    """

    counts: MatchCounts
    missed: NDArray[np.integer]
    false: NDArray[np.integer]
    split: dict[int, list[int]]
    merged: dict[int, list[int]]
    errors: NDArray[np.uint8]

    @property
    def numbers(self) -> dict[str, int]:
        """Number of nuclei of each of ``ERROR_KINDS``."""
        return {kind: len(getattr(self, kind)) for kind in ERROR_KINDS}


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Flags of true nuclei, of predicted ones, and of the pairs that are split or merged."""

    missed: BoolArray
    false: BoolArray
    split: BoolArray
    merged: BoolArray


def compare(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> Comparison:
    """Compare two label images of one shape, nucleus by nucleus.

    Nuclei matched at an IoU of at least 0.5, as :func:`count_matches` does, are *right*.
    A nucleus *lies mostly in* another where they share more than half of its own pixels. Then

    - a true nucleus is *split* if two or more predicted ones are its parts: they lie mostly in it,
      or are matched with it, and cover together at least half of it;
    - a predicted nucleus is *merged* if two or more true ones lie mostly in it, or are matched
      with it, and cover together at least half of it;
    - a true nucleus is *missed* if it is neither right, nor split, nor in a merged one;
    - a predicted nucleus is *false* if it is neither right, nor merged, nor part of a split one.

    So a right nucleus can also be split or merged, when another piece lies in it. Every nucleus
    that is not right is of exactly one kind: one that could be part of a split nucleus and merged
    itself counts as part of the split one only. Exactly half of a nucleus is not mostly, but is
    enough to cover it, as an IoU of exactly 0.5 is enough for a match.

    The four types are those of Caicedo et al. 2019 (doi:10.1002/cyto.a.23863), who count as split
    or merged what overlaps two or more nuclei of the other side with an IoU above 0.1, whether or
    not it is also missed; the definitions here count no nucleus twice.

    Parameters
    ----------
    true, predicted : ndarray, integer
        Planes (Y, X), or volumes (Z, Y, X), in which a nucleus is compared as one object: pixels of
        one id are one nucleus. Compare each time point of a film by itself, as tracks have one id
        in all of them. 0 is background, and no id is negative.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    t, true_ids = relabel_sequential(true)
    p, predicted_ids = relabel_sequential(predicted)
    pairs = find_overlaps(t, p)
    kinds = _classify(pairs)
    of, by = true_ids[1:][pairs.true], predicted_ids[1:][pairs.predicted]
    return Comparison(
        counts=count_overlaps(pairs),
        missed=true_ids[1:][kinds.missed],
        false=predicted_ids[1:][kinds.false],
        split=_group_parts(of[kinds.split], by[kinds.split]),
        merged=_group_parts(by[kinds.merged], of[kinds.merged]),
        errors=_error_image(t, p, pairs, kinds),
    )


def _classify(pairs: Overlaps) -> _Kinds:
    right = np.zeros(pairs.overlap.size, bool)
    right[match_pairs(pairs, IOU_THRESHOLDS[0])] = True
    wrong_true = ~_flags_at(pairs.true[right], pairs.true_area.size)
    wrong_predicted = ~_flags_at(pairs.predicted[right], pairs.predicted_area.size)
    is_part = right | (2 * pairs.overlap > pairs.predicted_area[pairs.predicted])
    split = _covering_pairs(pairs.true, pairs.true_area, pairs.overlap, is_part)
    parts = wrong_predicted & _flags_at(pairs.predicted[split], wrong_predicted.size)
    is_inside = right | (2 * pairs.overlap > pairs.true_area[pairs.true])
    is_inside &= ~parts[pairs.predicted]
    merged = _covering_pairs(pairs.predicted, pairs.predicted_area, pairs.overlap, is_inside)
    in_pair = split | merged
    return _Kinds(
        missed=wrong_true & ~_flags_at(pairs.true[in_pair], wrong_true.size),
        false=wrong_predicted & ~_flags_at(pairs.predicted[in_pair], wrong_predicted.size),
        split=split,
        merged=merged,
    )


def _covering_pairs(
    whole: NDArray[np.intp], area: NDArray[np.int64], overlap: NDArray[np.int64], is_part: BoolArray
) -> BoolArray:
    """Find the pairs whose whole is covered by half by two or more parts."""
    number = np.bincount(whole[is_part], minlength=area.size)
    covered = np.bincount(whole[is_part], overlap[is_part], minlength=area.size)
    return np.asarray(is_part & ((number > 1) & (2 * covered >= area))[whole])


def _flags_at(positions: NDArray[np.intp], size: int) -> BoolArray:
    flags = np.zeros(size, bool)
    flags[positions] = True
    return flags


def _group_parts(wholes: NDArray[np.integer], parts: NDArray[np.integer]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for whole, part in zip(wholes.tolist(), parts.tolist(), strict=True):
        groups.setdefault(whole, []).append(part)
    return groups


def _error_image(
    t: NDArray[np.integer], p: NDArray[np.integer], pairs: Overlaps, kinds: _Kinds
) -> NDArray[np.uint8]:
    """Compute the error image; the own error of a nucleus goes before that of one it is part of."""
    true_kind = np.zeros(pairs.true_area.size + 1, np.uint8)
    true_kind[1:][kinds.missed] = MISSED_PIXEL
    true_kind[pairs.true[kinds.merged] + 1] = MERGED_PIXEL
    true_kind[pairs.true[kinds.split] + 1] = SPLIT_PIXEL
    predicted_kind = np.zeros(pairs.predicted_area.size + 1, np.uint8)
    predicted_kind[1:][kinds.false] = FALSE_PIXEL
    predicted_kind[pairs.predicted[kinds.split] + 1] = SPLIT_PIXEL
    predicted_kind[pairs.predicted[kinds.merged] + 1] = MERGED_PIXEL
    errors, others = true_kind[t], predicted_kind[p]
    both = (errors > 0) & (others > 0)
    smaller = pairs.true_area[t[both] - 1] <= pairs.predicted_area[p[both] - 1]
    shown_kind = np.where(smaller, errors[both], others[both])
    np.maximum(errors, others, out=errors)
    errors[both] = shown_kind
    return errors
