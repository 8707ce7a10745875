"""Which of what a watershed separates are nuclei, and what is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..arrays.relabel import consecutive_ids
from ..provenance.left_out_counts import LeftOutCounts
from .watershed_strips import BasinSums

# Pixels of a nucleus count in how sure it is where the nucleus map is above.
MIN_COUNTED_PROBABILITY = 0.6
# A fragment has a smaller share of the area of a typical nucleus: a third of its diameter.
FRAGMENT_SHARE = 0.1
# In an enlarged plane all below this share, or at least so many pixels, is noise.
SPECK_SHARE, MAX_SPECK_AREA = 0.2, 20


class Reason(IntEnum):
    """Why something is left out; the first that is true."""

    NONE = 0
    SMALL = 1
    UNCERTAIN = 2
    FRAGMENT = 3


@dataclass(frozen=True)
class KeepRule:
    """What a nucleus has to be.

    Attributes
    ----------
    minimum_area : int
        In pixels.
    confidence : float, 0 to 1
        Least mean of the nucleus map over the pixels of a nucleus where it is above 0.6, so that a
        lower threshold, which lets nuclei grow, does not make them doubtful.
    fragment_area : int
        Whatever has fewer pixels is a fragment, unless the edge of the plane may have cut it.
    """

    minimum_area: int
    confidence: float
    fragment_area: int = 0

    def find_reasons(self, sums: BasinSums, at_edge: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return by id why it is left out, as :class:`Reason`; of unused ids, that they are small.

        Parameters
        ----------
        sums : BasinSums
            By id.
        at_edge : ndarray, shape (n + 1,), bool
            Which ids touch the edge of the plane.
        """
        is_sure = sums.total >= self.confidence * sums.counted
        is_sure &= (sums.counted > 0) | (self.confidence == 0)
        reasons = np.full(sums.area.size, Reason.NONE, np.uint8)
        reasons[(sums.area < self.fragment_area) & ~at_edge] = Reason.FRAGMENT
        reasons[~is_sure] = Reason.UNCERTAIN
        reasons[sums.area < max(self.minimum_area, 1)] = Reason.SMALL
        reasons[0] = Reason.SMALL  # the background
        return reasons


@dataclass(frozen=True, eq=False)
class LeftOutNuclei:
    """What was separated in a plane, and left out. Only its pixels are kept: they are few.

    Attributes
    ----------
    shape : (int, int)
        Of the plane.
    positions : ndarray, shape (k,), integer
        Of pixels, counted through the plane.
    ids : ndarray, shape (k,), int32
        1..n, of each pixel.
    reasons : ndarray, shape (n + 1,), uint8
        By id, as :class:`Reason`.
    """

    shape: tuple[int, int]
    positions: NDArray[np.intp]
    ids: NDArray[np.int32]
    reasons: NDArray[np.uint8]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> LeftOutNuclei:
        """Return what there is where nothing is left out."""
        return cls(shape, np.zeros(0, np.intp), np.zeros(0, np.int32), np.zeros(1, np.uint8))

    @classmethod
    def take_from(cls, labels: NDArray[np.int32], reasons: NDArray[np.uint8]) -> LeftOutNuclei:
        """Take what has negative ids out of labels, in place; ``reasons`` by their positive ids."""
        height, width = labels.shape
        if reasons.size == 1:
            return cls.none((height, width))
        positions = np.flatnonzero(labels < 0)
        ids = -labels.reshape(-1)[positions]
        labels.reshape(-1)[positions] = 0
        return cls((height, width), positions, ids, reasons)

    @property
    def counts(self) -> LeftOutCounts:
        """How many there are, by reason."""
        return self.count(np.bincount(self.ids) > 0)

    def count(self, is_counted: NDArray[np.bool_]) -> LeftOutCounts:
        """Count those of some ids."""
        ids = np.flatnonzero(is_counted)
        some = np.bincount(self.reasons[ids], minlength=len(Reason)).tolist()
        return LeftOutCounts(some[Reason.UNCERTAIN], some[Reason.SMALL], some[Reason.FRAGMENT])

    @property
    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of all pixels."""
        rows, columns = np.divmod(self.positions, self.shape[1])
        return rows, columns

    def to_labels(self) -> NDArray[np.int32]:
        """Return them as labels of the plane."""
        labels = np.zeros(self.shape, np.int32)
        labels.reshape(-1)[self.positions] = self.ids
        return labels

    def clip(self, inside: NDArray[np.bool_]) -> LeftOutNuclei:
        """Return the part in a mask of the plane."""
        is_inside = inside.reshape(-1)[self.positions]
        return replace(self, positions=self.positions[is_inside], ids=self.ids[is_inside])

    def place(self, corner: tuple[int, int], shape: tuple[int, int]) -> LeftOutNuclei:
        """Return the same in a larger plane, in which this one begins at a corner."""
        rows, columns = self.pixels
        positions = (rows + corner[0]) * shape[1] + columns + corner[1]
        return replace(self, shape=shape, positions=positions)


@dataclass(frozen=True, eq=False)
class Separation:
    """The nuclei of a plane, and what is left out.

    Attributes
    ----------
    labels : ndarray, shape (Y, X), int32
        0 is background; nuclei are 1..n without gaps, each 4-connected.
    left_out : LeftOutNuclei
    """

    labels: NDArray[np.int32]
    left_out: LeftOutNuclei


def compute_fragment_area(diameter: float | None) -> int:
    """Compute below which area something is a fragment, of the typical diameter of a plane.

    Parameters
    ----------
    diameter : float or None
        In pixels; None: it is not known, and nothing is a fragment.
    """
    return _share_of_area(FRAGMENT_SHARE, diameter)


def compute_speck_area(diameter: float | None) -> int:
    """Compute below which area something is a speck in an enlarged plane; as for fragments."""
    return min(_share_of_area(SPECK_SHARE, diameter), MAX_SPECK_AREA)


def _share_of_area(share: float, diameter: float | None) -> int:
    # as it stands in records, so that what is tuned later is the same
    return 0 if diameter is None else round(share * math.pi / 4 * round(diameter, 1) ** 2)


def number_by_reason(reasons: NDArray[np.uint8], is_used: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return a table of new ids: nuclei are 1..n, what is left out -1..-m, both in their order."""
    is_kept = reasons == Reason.NONE
    return consecutive_ids(is_kept) - consecutive_ids(is_used & ~is_kept)


def find_ids_at_edge(labels: NDArray[np.integer], n_ids: int) -> NDArray[np.bool_]:
    """Return which of so many ids, with 0, touch the edge of a plane."""
    at_edge = np.zeros(n_ids, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]) if labels.size else ():
        at_edge[edge] = True
    return at_edge


def keep_nuclei_of(
    labels: NDArray[np.int32], nucleus: NDArray[np.floating], rule: KeepRule
) -> Separation:
    """Leave out what is no nucleus, and number the rest 1..n in order of their ids.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), int32
    nucleus : ndarray, shape (Y, X), floating, values 0 to 1
        Predicted probability of nucleus.
    rule : KeepRule
    """
    inside = labels > 0
    area = np.bincount(labels[inside], minlength=1)
    counted = inside & (nucleus > MIN_COUNTED_PROBABILITY)
    n = np.bincount(labels[counted], minlength=area.size)
    total = np.bincount(labels[counted], nucleus[counted], minlength=area.size)
    reasons = rule.find_reasons(BasinSums(area, n, total), find_ids_at_edge(labels, area.size))
    is_used = area > 0
    numbered = number_by_reason(reasons, is_used)[labels]
    return Separation(numbered, LeftOutNuclei.take_from(numbered, select_reasons(reasons, is_used)))


def select_reasons(reasons: NDArray[np.uint8], is_used: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the reasons by the numbers of what is left out; that of 0 means nothing."""
    is_left_out = is_used & (reasons != Reason.NONE)
    return np.append(np.uint8(Reason.NONE), reasons[is_left_out])
