"""Two label images side by side: which nuclei are missed, false, split or merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.relabel import relabel_sequential
from napari_nuclei_unet.metrics.matching import (
    IOU_THRESHOLDS,
    MatchCounts,
    Overlaps,
    count_overlaps,
    find_overlaps,
    match_pairs,
)

# Value of each kind in the image of errors: its place here, counted from 1.
ERROR_KINDS = ("missed", "false", "split", "merged")
MISSED_PIXEL, FALSE_PIXEL, SPLIT_PIXEL, MERGED_PIXEL = range(1, 5)
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two label images have in common, and what not; see :func:`compare`.

    Attributes
    ----------
    counts : Counts
        Give the scores.
    missed : ndarray, shape (n,), integer
        Ids of true nuclei.
    false : ndarray, shape (n,), integer
        Ids of predicted nuclei.
    split : dict of int to list of int
        Id of each true nucleus that is split, and those of the predicted ones that are its parts.
    merged : dict of int to list of int
        Id of each predicted nucleus that is merged, and those of the true ones in it.
    errors : ndarray, shape of the label images, uint8
        0 none, 1 missed, 2 false, 3 split, 4 merged: all pixels of all nuclei concerned, true and
        predicted. Where two of different kinds overlap, the smaller nucleus is seen.
    """

    counts: MatchCounts
    missed: NDArray[np.integer]
    false: NDArray[np.integer]
    split: dict[int, list[int]]
    merged: dict[int, list[int]]
    errors: NDArray[np.uint8]

    @property
    def numbers(self) -> dict[str, int]:
        """How many nuclei there are of each of ``ERROR_KINDS``."""
        return {kind: len(getattr(self, kind)) for kind in ERROR_KINDS}


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Flags of true nuclei, of predicted ones, and of the pairs that make up split and merged."""

    missed: BoolArray
    false: BoolArray
    split: BoolArray
    merged: BoolArray


def compare(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> Comparison:
    """Compare two label images of one shape, nucleus by nucleus.

    Nuclei that are matched at an IoU of at least 0.5, as :func:`scores.count` does, are *right*.
    A nucleus *lies mostly in* another where they share more than half of its own pixels. Then

    - a true nucleus is *split* if two or more predicted ones are its parts: they lie mostly in it,
      or are matched with it, and cover together at least half of it;
    - a predicted nucleus is *merged* if two or more true ones lie mostly in it, or are matched
      with it, and cover together at least half of it;
    - a true nucleus is *missed* if it is neither right, nor split, nor in a merged one;
    - a predicted nucleus is *false* if it is neither right, nor merged, nor part of a split one.

    So a nucleus that is right can be split or merged besides, when another piece lies in it. Every
    nucleus that is not right is of exactly one kind: one that could be part of a split nucleus and
    merged itself counts as part of the split one only. Exactly half of a nucleus is not mostly,
    but is enough to cover it, as an IoU of exactly 0.5 is enough for a match.

    That missed, false, split and merged nuclei are told apart follows Caicedo et al. 2019
    (doi:10.1002/cyto.a.23863), who count as split or merged what overlaps two or more nuclei of
    the other side with an IoU above 0.1, whether or not it is missed as well; the definitions here
    are our own, so that no nucleus is counted twice.

    Parameters
    ----------
    true, predicted : ndarray, integer
        Planes (Y, X), or stacks; what shares an id is one nucleus. 0 is background, and no id is
        negative.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if true.shape != predicted.shape:
        raise ValueError(f"shapes differ: {true.shape} and {predicted.shape}")
    t, true_ids = relabel_sequential(true.ravel())
    p, predicted_ids = relabel_sequential(predicted.ravel())
    pairs = find_overlaps(t, p)
    kinds = _kinds_of(pairs)
    of, by = true_ids[1:][pairs.true], predicted_ids[1:][pairs.predicted]
    return Comparison(
        counts=count_overlaps(pairs),
        missed=true_ids[1:][kinds.missed],
        false=predicted_ids[1:][kinds.false],
        split=_grouped(of[kinds.split], by[kinds.split]),
        merged=_grouped(by[kinds.merged], of[kinds.merged]),
        errors=_painted(t, p, pairs, kinds).reshape(true.shape),
    )


def _kinds_of(pairs: Overlaps) -> _Kinds:
    right = np.zeros(pairs.overlap.size, bool)
    right[match_pairs(pairs, IOU_THRESHOLDS[0])] = True
    wrong_true = ~_any(pairs.true[right], pairs.true_area.size)
    wrong_predicted = ~_any(pairs.predicted[right], pairs.predicted_area.size)
    part = right | (2 * pairs.overlap > pairs.predicted_area[pairs.predicted])
    split = _made_up(pairs.true, pairs.true_area, pairs.overlap, part)
    parts = wrong_predicted & _any(pairs.predicted[split], wrong_predicted.size)
    inside = right | (2 * pairs.overlap > pairs.true_area[pairs.true])
    inside &= ~parts[pairs.predicted]
    merged = _made_up(pairs.predicted, pairs.predicted_area, pairs.overlap, inside)
    either = split | merged
    return _Kinds(
        missed=wrong_true & ~_any(pairs.true[either], wrong_true.size),
        false=wrong_predicted & ~_any(pairs.predicted[either], wrong_predicted.size),
        split=split,
        merged=merged,
    )


def _made_up(
    whole: NDArray[np.intp], area: NDArray[np.int64], overlap: NDArray[np.int64], part: BoolArray
) -> BoolArray:
    """Say which pairs with a part belong to a whole that two or more of them cover by half."""
    number = np.bincount(whole[part], minlength=area.size)
    covered = np.bincount(whole[part], overlap[part], minlength=area.size)
    return np.asarray(part & ((number > 1) & (2 * covered >= area))[whole])


def _any(places: NDArray[np.intp], size: int) -> BoolArray:
    flags = np.zeros(size, bool)
    flags[places] = True
    return flags


def _grouped(wholes: NDArray[np.integer], parts: NDArray[np.integer]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for whole, part in zip(wholes.tolist(), parts.tolist(), strict=True):
        groups.setdefault(whole, []).append(part)
    return groups


def _painted(
    t: NDArray[np.integer], p: NDArray[np.integer], pairs: Overlaps, kinds: _Kinds
) -> NDArray[np.uint8]:
    """Kind of every pixel; what is both of a split and of a merged nucleus shows its own lot."""
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
    seen = np.where(smaller, errors[both], others[both])
    np.maximum(errors, others, out=errors)
    errors[both] = seen
    return errors
