"""Measurements of nuclei that are objects along z, from what their slices are measured from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.boxes import Box, VolumeBox
from ...errors import UserError
from ...labels.surroundings import Distances
from ...labels.volume_regionprops import VolumeFrame, measure_volume
from .measurements import ChannelPixels, MeasurementSource

if TYPE_CHECKING:
    import pandas as pd

NO_RINGS_IN_VOLUMES = (
    "Rings and neighbours are measured in planes only, and these nuclei are objects along z: set "
    "both to 0."
)


@dataclass(frozen=True, eq=False)
class VolumeSource:
    """Images and predicted maps from which a volume of labels is measured.

    Attributes
    ----------
    slices : tuple of MeasurementSource
        Of all slices, in their order.
    step : float
        From slice to slice, in the units of the layer.
    """

    slices: tuple[MeasurementSource, ...]
    step: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the volume, in voxels."""
        return len(self.slices), *self.slices[0].shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel along its axes, in the units of the layer."""
        return self.step, *self.slices[0].spacing

    def with_spacing(self, spacing: tuple[float, ...]) -> VolumeSource:
        """Return the same with voxels of another size."""
        step, *edges = spacing
        return VolumeSource(tuple(one.with_spacing(tuple(edges)) for one in self.slices), step)

    def measure(
        self, labels: NDArray[Any], box: VolumeBox, distances: Distances | None = None
    ) -> pd.DataFrame:
        """Measure the nuclei of a box of the volume.

        Parameters
        ----------
        labels : ndarray, shape of the box, integer
        box : (slice, slice, slice)
        distances : Distances, optional
            Must ask for neither rings nor neighbours.

        Returns
        -------
        pandas.DataFrame
            As from :func:`~napari_nuclei_unet.labels.volume_regionprops.measure_volume`.

        Raises
        ------
        UserError
            If an image cannot be read, or rings are asked for.
        """
        if distances is not None and (distances.ring or distances.neighbours):
            raise UserError(NO_RINGS_IN_VOLUMES)
        depth, *plane = box
        part: Box = (plane[0], plane[1])
        image = self._read(depth, part)
        offset = depth.start, part[0].start, part[1].start
        frame = VolumeFrame(self.spacing, offset, self.shape)
        nucleus = self._probability(depth, part)
        return measure_volume(labels, image.pixels, nucleus, frame, image.names)

    def _read(self, depth: slice, part: Box) -> ChannelPixels:
        """Read the channels that all slices have."""
        read = [source.read(part) for source in self.slices[depth]]
        pixels = [one.pixels for one in read if one.pixels is not None]
        if len(pixels) < len(read) or len({one.names for one in read}) != 1:
            return ChannelPixels()
        return ChannelPixels(np.stack(pixels), read[0].names)

    def _probability(self, depth: slice, part: Box) -> NDArray[np.float32] | None:
        """Return the predicted probability of nucleus, if it is known in all slices."""
        maps = [source.probability(part) for source in self.slices[depth]]
        known = [one for one in maps if one is not None]
        return np.stack(known) if known and len(known) == len(maps) else None
