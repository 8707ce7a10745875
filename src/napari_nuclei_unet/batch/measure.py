"""Measurements of a plane right after it was segmented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays.axes import PlaneIndex
from ..arrays.channels import MultichannelView
from ..export.channels import channel_names, choose_channels
from ..export.measured_images import title_channel
from ..export.remeasure import MeasuredPixels, measure_plane
from ..labels.regionprops import Frame, measure
from .job import ImageJob

if TYPE_CHECKING:
    import pandas as pd

    from ..segmentation.segment import Segmentation


def measure_segmentation(job: ImageJob, plane: PlaneIndex, result: Segmentation) -> pd.DataFrame:
    """Measure the nuclei of a plane, in what was segmented, or in the channels of the settings.

    Parameters
    ----------
    job : ImageJob
    plane : PlaneIndex
        In the image.
    result : Segmentation
        At full resolution.
    """
    options, micrometers = job.settings.measure, job.grid.micrometers
    if options is None:
        pixels = np.asarray(result.plane.pixels)
        return measure(result.labels, pixels, result.maps[0], Frame(micrometers=micrometers))
    names = channel_names(job.full, plane)
    numbers = choose_channels(names, options.channels)
    values = MultichannelView(job.full.pixels, plane)[:, :]
    measured = MeasuredPixels(
        np.atleast_3d(values)[..., numbers],
        [title_channel(names, number) for number in numbers],
        micrometers,
        result.maps[0],
    )
    return measure_plane(result.labels, measured, options)
