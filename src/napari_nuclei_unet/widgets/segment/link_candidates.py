"""Nuclei that tracks may have missed, from what the network said of labels in the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.boxes import enlarged
from ...arrays.relabel import relabel_sequential
from ...params import SegmentParams
from ..layers.label_ids import LabelsIndex, plane_key
from ..layers.labels_state import LabelsState
from ..layers.plane_features import ACCEPTED, STATE_COLUMN
from ..session.plane_result import PlaneResult


@dataclass(frozen=True, eq=False)
class KnownFrame:
    """A plane of labels of which the maps of the network are known.

    Attributes
    ----------
    result : PlaneResult
    params : SegmentParams
        By which its labels were found.
    accepted : ndarray, shape (n,), int64
        Ids of nuclei that the user has accepted.
    """

    result: PlaneResult
    params: SegmentParams
    accepted: NDArray[np.int64]


def find_known_frames(
    results: Sequence[PlaneResult], layer: Labels, frames: Sequence[LabelsIndex]
) -> dict[int, KnownFrame]:
    """Find the results by which frames of labels were written, by the numbers of the frames.

    Parameters
    ----------
    results : sequence of PlaneResult
        Of a plane the one that was used last is at the end.
    layer : napari.layers.Labels
    frames : sequence of tuple of int and slice
        Index of every plane. Volumes have no results of planes.
    """
    numbers = {plane_key(index): number for number, index in enumerate(frames)}
    known = {}
    for result in results:
        number = numbers.get(plane_key(result.part.index))
        if result.layer is not layer or number is None or not result.source.is_current:
            continue
        if result.provenance is not None:
            accepted = _find_accepted(layer, result.part.index)
            known[number] = KnownFrame(result, result.provenance.params, accepted)
    return known


def _find_accepted(layer: Labels, index: LabelsIndex) -> NDArray[np.int64]:
    plane = LabelsState.of(layer).features.planes.get(plane_key(index))
    if plane is None:
        return np.zeros(0, np.int64)
    return plane.rows.loc[plane.rows[STATE_COLUMN] == ACCEPTED, "label"].to_numpy(np.int64)


def find_frame_candidates(
    known: KnownFrame, labels: NDArray[np.integer]
) -> NDArray[np.int32] | None:
    """Find what might be nuclei of a frame beside its labels; runs in the thread.

    There are none where the user has changed labels or has accepted a nucleus, nor where linking
    has added one before: if it is gone, the user has deleted it. In a frame with changes no
    nucleus is split, as somebody has looked at it.

    Parameters
    ----------
    known : KnownFrame
    labels : ndarray, shape (Y, X), integer
        As they are now.

    Returns
    -------
    ndarray of the same shape, int32, or None
        As from ``segmentation.find_candidates``; None: the labels have another shape now.
    """
    # they load torch, which takes seconds
    from ...segmentation.candidates import find_candidates
    from ...segmentation.segment import retune

    result, shape = known.result, known.result.source.shape
    if labels.shape != shape:
        return None
    made = retune(result.prediction, known.params)
    written = enlarged(made.labels, shape)
    candidates = enlarged(find_candidates(result.prediction, made, known.params), shape)
    barred = _find_changes(labels, written) | np.isin(labels, known.accepted)
    for pixels in result.recovered:
        barred.reshape(-1)[pixels] = True
    if not result.is_unedited():
        barred |= written > 0  # where pieces of nuclei are
    dropped = np.zeros(int(candidates.max(initial=0)) + 1, bool)
    dropped[candidates[barred]] = True
    return np.where(dropped[candidates], 0, candidates)


def _find_changes(labels: NDArray[np.integer], written: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels of nuclei that are not the same in both, whatever their ids; and a rim."""
    # loads scipy, which would delay the start of napari
    from scipy import ndimage

    from ...metrics.matching import find_overlaps

    now, before = relabel_sequential(labels)[0], relabel_sequential(written)[0]
    pairs = find_overlaps(now, before)
    is_same = pairs.overlap == pairs.union
    is_new = np.append(False, np.ones(pairs.true_area.size, bool))
    is_gone = np.append(False, np.ones(pairs.predicted_area.size, bool))
    is_new[pairs.true[is_same] + 1] = is_gone[pairs.predicted[is_same] + 1] = False
    # what touches a nucleus that was deleted is its rim
    return np.asarray(ndimage.binary_dilation(is_new[now] | is_gone[before]))
