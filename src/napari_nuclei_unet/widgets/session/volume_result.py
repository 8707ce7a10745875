"""The result of a segmented volume: its prediction, and the labels that were written."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import group_slices
from ...arrays.boxes import Box, enlarged
from ...arrays.quantization import UNIT_STEPS, dequantize_unit
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex, index_axes
from ..layers.labels_state import LabelsState, WrittenPart
from ..layers.measure_queue import UnmeasuredPlane
from ..layers.measurements import (
    MapsGetter,
    MeasurementSource,
    axis_step,
    create_measurement_source,
)
from ..layers.volume_measurements import VolumeSource
from .model_registry import ModelStamp

if TYPE_CHECKING:
    from ...segmentation.volume import VolumePrediction, VolumeSegmentation


@dataclass(frozen=True, eq=False)
class RetunedVolume:
    """A segmentation of a volume, and its labels in pixels of the full slices.

    Attributes
    ----------
    result : VolumeSegmentation
    labels : ndarray, shape (Z, Y, X), int32
    """

    result: VolumeSegmentation
    labels: NDArray[np.int32]

    @classmethod
    def of(cls, result: VolumeSegmentation, source: ImageSource) -> RetunedVolume:
        """Enlarge a segmentation to the full slices."""
        slices = [enlarged(result.read_labels(z), source.shape) for z in range(result.depth)]
        return cls(result, np.stack(slices))


@dataclass(eq=False)
class VolumeResult:
    """A prediction of a volume, and the labels layer that shows its nuclei.

    Attributes
    ----------
    sources : tuple of ImageSource
        Of its slices.
    prediction : VolumePrediction
    model : tuple
        As from :meth:`ModelRegistry.stamp`.
    layer : napari.layers.Labels
    part : WrittenPart
        What was written: its index has three slices.
    step : float
        From slice to slice, in units of the layer, when it was written.
    """

    sources: tuple[ImageSource, ...]
    prediction: VolumePrediction
    model: ModelStamp
    layer: Labels
    part: WrittenPart
    step: float

    @property
    def state(self) -> LabelsState:
        """State of the layer."""
        return LabelsState.of(self.layer)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return int(self.prediction.maps.nucleus.nbytes + self.prediction.maps.light.nbytes)

    def probability(self, z: int) -> NDArray[np.float32]:
        """Return the predicted probability of nucleus in a slice, at the level."""
        return dequantize_unit(self.quantized_map(z))

    def quantized_map(self, z: int) -> NDArray[np.uint16]:
        """Return the same in steps of 1/65535."""
        values = self.prediction.maps.nucleus[z].astype(np.uint16) * (UNIT_STEPS // 255)
        return enlarged(values, self.sources[z].shape_at_level)

    def is_unedited(self) -> bool:
        """Return whether the labels are still those that were written."""
        return self.part.is_unedited(self.state.read_plane(self.part.index))

    def mark_written(self) -> None:
        """Mark the labels as written by this result, and have them measured."""
        state, index = self.state, self.part.index
        state.mark_written(self.part)
        state.forget_edits(index)
        slices = tuple(self._slice_source(z) for z in range(len(self.sources)))
        self.step = axis_step(self.layer, index_axes(index)[0])  # it may have been typed since
        source = VolumeSource(slices, self.step)
        state.features.queue.put(UnmeasuredPlane(index, source, source))

    def _slice_source(self, z: int) -> MeasurementSource:
        return create_measurement_source(self.sources[z], self.maps_getter(z))

    def maps_getter(self, z: int) -> MapsGetter:
        """Return a getter of the maps of a slice, which does not keep this result alive."""
        reference = weakref.ref(self)

        def get_maps() -> NDArray[np.uint16] | None:
            result = reference()
            return None if result is None else result.quantized_map(z)[None]

        return get_maps


@dataclass(frozen=True, eq=False)
class SliceResult:
    """The prediction of a slice of a volume."""

    result: VolumeResult
    z: int

    def probability(self, box: Box) -> NDArray[np.float32]:
        """Return the predicted probability of nucleus in a box of the full slice."""
        source = self.result.sources[self.z]
        return enlarged(self.result.probability(self.z), source.shape, box)

    @property
    def maps(self) -> MapsGetter:
        """Getter of the maps."""
        return self.result.maps_getter(self.z)


class VolumeResults:
    """Results of volumes, the latest of which are kept for the sliders.

    Parameters
    ----------
    max_bytes : int
        Of their maps together; the latest always stays.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._results: list[VolumeResult] = []

    def add(self, result: VolumeResult) -> None:
        """Keep a result, instead of one of the same labels; the oldest have to go."""
        index = result.part.index
        kept = [
            one for one in self._results if one.layer is not result.layer or one.part.index != index
        ]
        self._results = [*kept, result]
        while len(self._results) > 1 and sum(one.size for one in self._results) > self._max_bytes:
            del self._results[0]

    def find(self, source: ImageSource, model: ModelStamp) -> VolumeResult | None:
        """Find the latest result of the volume that a plane is a slice of."""
        for result in reversed(self._results):
            own = any(one.key == source.key for one in result.sources)
            if own and result.model == model and result.sources[0].is_current:
                return result
        return None

    def find_all(self, volume: VolumeResult) -> list[VolumeResult]:
        """Find all results of the labels of a volume that are kept, itself included."""
        return [
            one for one in self._results
            if one.layer is volume.layer and one.model == volume.model
        ]  # fmt: skip

    def find_slice(self, image: Any, index: LabelsIndex) -> SliceResult | None:
        """Find the latest prediction of a slice, given by its index in the labels."""
        for result in reversed(self._results):
            for z, source in enumerate(result.sources):
                own = source.image is image and source.placement.index == index
                if own and source.is_current:
                    return SliceResult(result, z)
        return None

    def remove_layer(self, layer: Any) -> None:
        """Drop the results of an image or labels layer that was removed or has new content."""
        self._results = [
            one for one in self._results if layer not in (one.layer, one.sources[0].image)
        ]

    def clear(self) -> None:
        """Drop all results."""
        self._results.clear()


def volume_index(first: LabelsIndex, axis: int) -> LabelsIndex:
    """Return the index of the volume of a slice along an axis of the labels."""
    return (*first[:axis], slice(None), *first[axis + 1 :])


def group_volumes(sources: Sequence[ImageSource], axis: int) -> list[tuple[int, ...]]:
    """Group planes by their position on all axes but one, along which they are slices.

    Parameters
    ----------
    sources : sequence of ImageSource
    axis : int
        Of the image.

    Returns
    -------
    list of tuple of int
        Their numbers.
    """
    return group_slices([source.plane_index for source in sources], axis)
