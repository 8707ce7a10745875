"""The result of a segmented plane: its prediction, and the labels that were written."""

from __future__ import annotations

import dataclasses
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex, PlaneView
from ...arrays.boxes import Box, enlarged
from ...arrays.quantization import dequantize_unit
from ...params import SegmentParams
from ...provenance.record import Provenance
from ..layers.checksum import array_crc32
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex
from ..layers.labels_layer import record_planes, write_plane_labels
from ..layers.labels_state import LabelsState, WrittenPart, checksum_labels
from ..layers.measure_queue import MEASURE_DELAY_MS, UnmeasuredPlane
from ..layers.measurements import MapsGetter, MeasuredImage, create_measurement_source
from ..layers.placement import LayerPlacement

if TYPE_CHECKING:
    import pandas as pd

    from ...segmentation.left_out import LeftOutNuclei
    from ...segmentation.segment import Prediction, Segmentation


@dataclass(frozen=True, eq=False)
class RetunedPlane:
    """A segmentation, and its labels in pixels of the full plane.

    Attributes
    ----------
    result : Segmentation
        In pixels of the level that was segmented.
    labels : ndarray, shape (Y, X), int32
    inside : ndarray, shape (Y, X), bool, or None
        Where they are written; None: everywhere.
    areas : ndarray, shape (n,), integer
        Of the nuclei, in pixels.
    checksum : int
        Of the labels, as from :func:`checksum_labels`.
    pixels : ndarray or None
        The plane of the image, if it was read and can be measured.
    measurements : pandas.DataFrame or None
        As from :func:`measure_box`; None: not measured yet.
    """

    result: Segmentation
    labels: NDArray[np.int32]
    inside: NDArray[np.bool_] | None
    areas: NDArray[np.integer]
    checksum: int
    pixels: NDArray[Any] | None = None
    measurements: pd.DataFrame | None = None

    @classmethod
    def of(
        cls, result: Segmentation, source: ImageSource, plane: NDArray[Any] | None = None
    ) -> RetunedPlane:
        """Enlarge a segmentation to the full plane.

        ``plane`` holds the pixels that were read, so that they are not read again.
        """
        inside = None if result.inside is None else enlarged(result.inside, source.shape)
        labels = enlarged(result.labels, source.shape)
        # of other sources the table has all channels, or the full resolution
        is_measured = source.plane_index.channel_axis is None and source.level == 0
        areas = np.bincount(labels.ravel())[1:]
        return cls(
            result, labels, inside, areas, checksum_labels(labels), plane if is_measured else None
        )

    def measured(self, source: ImageSource) -> RetunedPlane:
        """Measure the nuclei of the plane of a source."""
        plane = _unmeasured(
            source, lambda: self.result.quantized_maps, self, source.plane_index.slices
        )
        return dataclasses.replace(self, measurements=plane.measure(self.labels), pixels=None)


def _unmeasured(
    source: ImageSource, maps: MapsGetter, retuned: RetunedPlane, index: LabelsIndex
) -> UnmeasuredPlane:
    """Describe how a plane is measured: with the pixels that were read, if there are any."""
    later = now = create_measurement_source(source, maps)
    if (pixels := retuned.pixels) is not None:
        image = MeasuredImage(lambda: pixels, PlaneIndex((None, None)))
        now = dataclasses.replace(later, images=(image,))
    return UnmeasuredPlane(index, later, now, retuned.inside is None)


@dataclass(eq=False)
class PlaneResult:
    """A prediction, and the labels layer that shows its nuclei.

    Attributes
    ----------
    source : ImageSource
    prediction : Prediction
    checksum : int
        Of the plane's pixels.
    model : tuple
        As from :meth:`ModelRegistry.stamp`.
    layer : napari.layers.Labels
    state : LabelsState
        Of the layer.
    placement : LayerPlacement
        Of the plane in the layer.
    part : WrittenPart
        What was written there.
    provenance : Provenance or None
        Of the labels that were written last.
    left_out : LeftOutNuclei or None
        What was separated with them, at the level that was segmented.
    recovered : list of ndarray, int
        Of each nucleus that linking has added to them its pixels, counted through the plane.
    """

    source: ImageSource
    prediction: Prediction
    checksum: int
    model: tuple[str, int]
    layer: Labels
    state: LabelsState
    placement: LayerPlacement
    part: WrittenPart
    provenance: Provenance | None = None
    left_out: LeftOutNuclei | None = None
    recovered: list[NDArray[np.intp]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of memory; maps in a file take none."""
        maps = self.prediction.quantized_maps
        return 0 if isinstance(maps, np.memmap) else int(maps.nbytes)

    def probability(self, box: Box) -> NDArray[np.float32]:
        """Return the predicted probability of nucleus in a box of the full plane."""
        maps = self.prediction.quantized_maps
        return dequantize_unit(enlarged(maps[0], self.source.shape, box))

    def read_labels(self) -> NDArray[np.integer]:
        """Return the plane of the layer, not a copy; empty if the layer no longer has it."""
        return self.state.read_plane(self.placement.index)

    def is_unedited(self) -> bool:
        """Return whether the labels are still those that were written."""
        return self.part.is_unedited(self.read_labels())

    def update(self, retuned: RetunedPlane, refresh: bool = True) -> None:
        """Replace the labels that were written.

        Parameters
        ----------
        retuned : RetunedPlane
        refresh : bool
            Whether the plane is on view, and has to be redrawn; else the layer's record stays, too.
        """
        with self.state.writing(self.placement.index, self.part):
            write_plane_labels(self.layer, self.placement, retuned.labels, retuned.inside, refresh)
        self.provenance = retuned.result.provenance
        self.mark_written(retuned)
        if refresh:
            self.write_record()

    def write_record(self) -> None:
        """Write the provenance of the labels into the metadata of their layer."""
        if self.provenance is not None:
            indices = [self.placement.index]
            record_planes(self.layer, self.source.image, indices, self.provenance)

    def mark_written(self, retuned: RetunedPlane, delay: int = MEASURE_DELAY_MS) -> None:
        """Mark the labels as written by this result; they are measured after a delay."""
        self.recovered.clear()
        self.left_out = retuned.result.left_out
        self.state.mark_written(self.part, retuned.checksum)
        if self.left_out is not None:
            self.state.note_left_out(self.part, self.left_out.counts)
        self.state.forget_edits(self.placement.index)
        plane = _unmeasured(self.source, self.maps, retuned, self.placement.index)
        if retuned.measurements is None or retuned.inside is not None:
            self.state.features.queue.put(plane, delay)
        else:
            offset = self.part.id_offset
            self.state.features.set_measurements(
                plane.index, plane.measurement_source, retuned.measurements, offset
            )

    @property
    def maps(self) -> MapsGetter:
        """Getter of the maps, which does not keep this result alive."""
        reference = weakref.ref(self)

        def get_maps() -> NDArray[np.uint16] | None:
            plane_result = reference()
            return None if plane_result is None else plane_result.prediction.quantized_maps

        return get_maps


def detach_pixels(prediction: Prediction, source: ImageSource) -> Prediction:
    """Return a prediction that refers to the pixels of its plane instead of holding them."""
    pixels = PlaneView(source.pixels, source.plane_index_at_level)
    plane = dataclasses.replace(prediction.plane, pixels=pixels)
    return dataclasses.replace(prediction, plane=plane)


def retune_plane(
    plane_result: PlaneResult, params: SegmentParams, relief: NDArray[np.floating] | None = None
) -> RetunedPlane | None:
    """Recompute the nuclei of a plane, in the thread; return None if its pixels have changed."""
    # it loads torch, which takes seconds
    from ...segmentation.segment import retune

    source = plane_result.source
    if isinstance(source.pixels, np.ndarray):  # a lazy array is too slow to read at each move
        plane = source.plane_index_at_level.read(source.pixels)
        if array_crc32(plane) != plane_result.checksum:
            return None
    return RetunedPlane.of(retune(plane_result.prediction, params, relief), source)
