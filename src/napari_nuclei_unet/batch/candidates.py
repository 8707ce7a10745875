"""Candidates of the planes of a film, from which tracks take the nuclei that were missed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.boxes import enlarged
from ..arrays.packed_labels import PackedLabels
from ..arrays.relabel import relabel_sequential
from ..labels.border import clear_border
from ..segmentation.candidates import find_candidates
from ..segmentation.segment import Segmentation
from ..segmentation.stack import SegmentedPlaneStep
from ..tracking.laptrack import overlay_candidates
from ..tracking.linking import LinkedLabels
from .job import ImageJob
from .measure import measure_segmentation


class CandidateStore:
    """Keeps candidates, compressed, and their measurements; nothing unless nuclei are tracked.

    Parameters
    ----------
    job : ImageJob
    """

    def __init__(self, job: ImageJob) -> None:
        self._job = job
        self._labels = PackedLabels(job.full_size)
        self._tables: dict[int, pd.DataFrame] = {}

    def collect(self, number: int, step: SegmentedPlaneStep, result: Segmentation) -> None:
        """Find the candidates of a plane.

        Parameters
        ----------
        number : int
            Of the plane.
        step : SegmentedPlaneStep
        result : Segmentation
            Its result, at full resolution.
        """
        job = self._job
        if not job.settings.track:
            return
        labels = find_candidates(step.prediction, step.result, job.settings.params)
        if labels.shape != result.labels.shape:
            labels = enlarged(labels, result.labels.shape)
        kept = clear_border(labels) if job.settings.exclude_border else labels
        labels = relabel_sequential(kept)[0].astype(np.int32, copy=False)
        self._labels.put(number, labels)
        measured = dataclasses.replace(result, labels=labels)
        self._tables[number] = measure_segmentation(job, step.plane_index, measured)

    def read(self, number: int) -> NDArray[np.int32]:
        """Return the candidates of a plane; background for one that failed."""
        return self._labels.read(number)

    def overlay(
        self, number: int, relabelled: NDArray[np.int32], linked: LinkedLabels
    ) -> NDArray[np.int32]:
        """Return the final labels of a plane with the candidates that tracks have taken."""
        if linked.added is None:
            return relabelled
        return overlay_candidates(relabelled, linked.added[number], self.read(number))

    def final_table(self, number: int, table: pd.DataFrame, linked: LinkedLabels) -> pd.DataFrame:
        """Return the table of a plane with final ids, and the rows of candidates that were taken.

        Parameters
        ----------
        number : int
        table : pandas.DataFrame
            Of the nuclei that were found.
        linked : LinkedLabels
        """
        renamed = table.assign(label=linked.ids[number][table["label"]])
        if linked.added is None or number not in self._tables:
            return renamed.sort_values("label", ignore_index=True)
        extra = self._tables[number]
        extra = extra.assign(label=linked.added[number][extra["label"]])
        parts = [part[part["label"] > 0] for part in (renamed, extra)]
        parts = [part for part in parts if len(part)] or [renamed.iloc[:0]]
        return pd.concat(parts).sort_values("label", ignore_index=True)
