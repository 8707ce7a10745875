"""Whether a trained model is better than the one it began with, or whether that may be chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..metrics.matching import find_annotated_overlaps, match_pairs
from .example import Example
from .threshold_tuning import PredictedExample

# A model is judged by at least so many nuclei, in two areas or in a whole image.
MIN_JUDGED_NUCLEI, MIN_JUDGED_AREAS = 10, 2
# A difference that chance gives more often than this shows nothing.
SIGNIFICANCE = 0.05
# IoU of a nucleus that counts as found, as of AP@0.5.
FOUND_IOU = 0.5


class Evidence(Enum):
    """What validation shows of a model, compared with the one it began with."""

    BETTER = "clearly better"
    WORSE = "clearly worse"
    CHANCE = "within what chance gives"
    TOO_FEW = "too few to judge"
    NONE = "nothing to compare with"


@dataclass(frozen=True)
class AreaMatches:
    """The same as :class:`ValidationMatches`, of one area."""

    found: str
    false: int


def match_example(predicted: PredictedExample, thresholds: dict[str, Any]) -> AreaMatches:
    """Match what a model finds in a validation area, with the thresholds of its card."""
    example = predicted.example
    pairs = find_annotated_overlaps(example.ids, predicted.find(thresholds), example.is_known)
    matched = match_pairs(pairs, FOUND_IOU)
    is_found = np.isin(np.arange(pairs.true_area.size), pairs.true[matched])
    covered = np.bincount(pairs.predicted, pairs.overlap, minlength=pairs.predicted_area.size)
    is_false = 2 * covered < pairs.predicted_area
    is_false[pairs.predicted[matched]] = False
    return AreaMatches("".join("1" if one else "0" for one in is_found), int(is_false.sum()))


@dataclass(frozen=True)
class ValidationMatches:
    """Which of the validation nuclei a model finds, and what it finds beside them.

    Attributes
    ----------
    found : tuple of str
        Of each area, "1" or "0" of each annotated nucleus, in order: found with an IoU of at
        least 0.5 or not.
    false : tuple of int
        Of each area, nuclei found where none is annotated: a nucleus whose outline is wrong is
        missed, and not false, too.
    """

    found: tuple[str, ...] = ()
    false: tuple[int, ...] = ()

    @classmethod
    def of(cls, areas: Sequence[AreaMatches]) -> ValidationMatches:
        """Collect the matches of areas."""
        return cls(tuple(area.found for area in areas), tuple(area.false for area in areas))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> ValidationMatches | None:
        """Convert from a model card; None: it has none, or damaged ones."""
        try:
            given = stored or {}
            return cls(tuple(map(str, given["found"])), tuple(map(int, given["false"])))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def nuclei(self) -> int:
        """Number of annotated nuclei."""
        return sum(map(len, self.found))

    @property
    def n_found(self) -> int:
        """Number of those that are found."""
        return sum(area.count("1") for area in self.found)


@dataclass(frozen=True)
class Judgement:
    """What the validation nuclei show of a new model.

    Attributes
    ----------
    evidence : Evidence
    p : float
        How often chance alone gives such a difference, or a larger one; NaN: it was not computed.
    """

    evidence: Evidence
    p: float = math.nan


NO_JUDGEMENT = Judgement(Evidence.NONE)


def judge(
    before: ValidationMatches | None, after: ValidationMatches | None, is_enough: bool
) -> Judgement:
    """Judge a new model by the validation nuclei on which it differs from the one before.

    An exact sign test (McNemar's) on what only one of the two models has right: nuclei that only
    one finds, and, of each area, the false nuclei that one has more than the other. If the models
    were equally good, each of these would be for the new one as often as against it, as the toss
    of a coin; ``p`` is how often so many tosses, or more, fall on one side (two-sided). What both
    have right, or both have wrong, says nothing. Nuclei of an area are not quite independent,
    which is one reason why there must be two areas.

    Parameters
    ----------
    before, after : ValidationMatches or None
        Of the same areas; None: nothing is known.
    is_enough : bool
        Whether there are enough nuclei to judge by, as from :func:`is_enough_to_judge`.

    Returns
    -------
    Judgement
        With the evidence BETTER or WORSE where ``p`` is less than 0.05.
    """
    if before is None or after is None or _shape(before) != _shape(after):
        return NO_JUDGEMENT
    if not is_enough:
        return Judgement(Evidence.TOO_FEW)
    flags = list(zip("".join(before.found), "".join(after.found), strict=True))
    false = list(zip(before.false, after.false, strict=True))
    gained = flags.count(("0", "1")) + sum(max(0, was - now) for was, now in false)
    lost = flags.count(("1", "0")) + sum(max(0, now - was) for was, now in false)
    p = sign_test(gained, lost)
    if p >= SIGNIFICANCE:
        return Judgement(Evidence.CHANCE, p)
    return Judgement(Evidence.BETTER if gained > lost else Evidence.WORSE, p)


def _shape(matches: ValidationMatches) -> list[int]:
    return [len(matches.false), *map(len, matches.found)]


def sign_test(first: int, second: int) -> float:
    """Compute how often tosses of a coin fall on two sides as unevenly as this, or more so.

    Parameters
    ----------
    first, second : int
        How often each side came up.

    Returns
    -------
    float
        Two-sided, exact; 1 without any toss.
    """
    tosses = first + second
    tail = sum(math.comb(tosses, k) for k in range(min(first, second) + 1))
    return min(1.0, 2 * tail / 2**tosses)


def is_enough_to_judge(validation: Sequence[Example], training: Sequence[Example]) -> bool:
    """Return whether a model can be judged: by ten nuclei, in two areas or in a whole image.

    Parameters
    ----------
    validation, training : sequence of Example
        Crops; of a whole image there is none among those of the training.
    """
    if sum(len(example.centres) for example in validation) < MIN_JUDGED_NUCLEI:
        return False
    whole = {_plane_name(example) for example in validation} - set(map(_plane_name, training))
    return len(validation) >= MIN_JUDGED_AREAS or bool(whole)


def _plane_name(crop: Example) -> str:
    """Return the name of the plane that a crop is of; its place stands behind it."""
    return crop.name.rpartition(" ")[0]
