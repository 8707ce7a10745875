"""The nuclei of a volume that are kept: measured, and numbered from 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex
from ..arrays.relabel import consecutive_ids
from ..labels.regionprops import BORDER_COLUMN
from ..segmentation.volume import VolumeSegmentation
from .job import ImageJob
from .measure import measure_segmented_volume


@dataclass(frozen=True, eq=False)
class VolumeNuclei:
    """Nuclei of a volume that are kept.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each; ``label`` is 1..n.
    numbers : ndarray, int32
        For each label of the segmentation its number; 0 for those that are left out.
    """

    table: pd.DataFrame
    numbers: NDArray[np.int32]


def keep_nuclei(
    job: ImageJob, planes: Sequence[PlaneIndex], result: VolumeSegmentation
) -> VolumeNuclei:
    """Measure the nuclei of a volume, and leave out those at its edge if the job says so.

    Arguments as of ``measure.measure_segmented_volume``.
    """
    table = measure_segmented_volume(job, planes, result)
    if job.settings.exclude_border:
        table = table[~table[BORDER_COLUMN]]
    kept = np.zeros(result.count + 1, bool)
    kept[table["label"]] = True
    numbers = consecutive_ids(kept)
    return VolumeNuclei(table.assign(label=numbers[table["label"]]), numbers)
