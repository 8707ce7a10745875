"""The result of a segmented plane: its prediction, and the labels that were written."""

from __future__ import annotations

import dataclasses
import weakref
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex, PlaneView
from ...arrays.boxes import Box, bounding_box, enlarged
from ...errors import UserError
from ...models.model import find_model_path
from ...provenance.record import Provenance
from ..layers.checksum import array_crc32
from ..layers.features import UNREVIEWED, get_features_table
from ..layers.image_source import ImageSource
from ..layers.label_ids import get_label_ids
from ..layers.labels_layer import LayerPlacement, clear_undo_history, write_plane_labels
from ..layers.labels_record import write_record
from ..layers.measurements import (
    MapsGetter,
    create_measurement_source,
    measure_box,
    whole_plane_box,
)

if TYPE_CHECKING:
    import pandas as pd

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
    measurements : pandas.DataFrame
        As from :func:`measure_box`.
    checksum : int
        Of the labels, as from :func:`_checksum_labels`.
    """

    result: Segmentation
    labels: NDArray[np.int32]
    inside: NDArray[np.bool_] | None
    areas: NDArray[np.integer]
    measurements: pd.DataFrame
    checksum: int

    @classmethod
    def of(
        cls, result: Segmentation, source: ImageSource, plane: NDArray[Any] | None = None
    ) -> RetunedPlane:
        """Enlarge a segmentation to the full plane, and measure it.

        ``plane`` holds the pixels that were read, so that they are not read again.
        """
        inside = None if result.inside is None else enlarged(result.inside, source.shape)
        labels = enlarged(result.labels, source.shape)
        measurement_source = create_measurement_source(source, lambda: result.maps)
        if plane is not None and source.plane_index.channel_axis is None and source.level == 0:
            measurement_source = dataclasses.replace(
                measurement_source, pixels=lambda: plane, plane_index=PlaneIndex((None, None))
            )
        measurements = measure_box(measurement_source, labels, whole_plane_box(source.shape))
        areas, checksum = np.bincount(labels.ravel())[1:], _checksum_labels(labels)
        return cls(result, labels, inside, areas, measurements, checksum)


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
        As from :func:`get_model_stamp`.
    layer : napari.layers.Labels
    placement : LayerPlacement
        Of the plane in the layer.
    inside : ndarray, shape of the plane, bool, or None
        Where labels were written.
    provenance : Provenance or None
        Of the labels that were written last.
    written_checksum : int or None
        Of the labels that were written; see :meth:`mark_written`.
    """

    source: ImageSource
    prediction: Prediction
    checksum: int
    model: tuple[str, int]
    layer: Labels
    placement: LayerPlacement
    inside: NDArray[np.bool_] | None
    provenance: Provenance | None = None
    written_checksum: int | None = None
    _offset: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory; maps in a file take none."""
        maps = self.prediction.maps
        return 0 if isinstance(maps, np.memmap) else int(maps.nbytes)

    def probability(self, box: Box) -> NDArray[np.float32]:
        """Return the predicted probability of nucleus in a box of the full plane."""
        return enlarged(self.prediction.maps[0], self.source.shape, box)

    def read_labels(self) -> NDArray[np.int32]:
        """Return the plane of the layer, not a copy; empty if the layer no longer has it."""
        try:
            return np.asarray(self.layer.data[self.placement.index])
        except IndexError:
            return np.zeros((0, 0), np.int32)

    def mark_written(self, written: RetunedPlane | None = None) -> None:
        """Mark the present labels of the layer as those that were written.

        Parameters
        ----------
        written : RetunedPlane, optional
            What was written just now; its checksum was computed in the thread.
        """
        self._offset = get_label_ids(self.layer).id_offset(self.placement.index)
        dtype = self.layer.data.dtype
        if written is not None and written.inside is None and written.labels.dtype == dtype:
            self.written_checksum = written.checksum
        else:
            self.written_checksum = self._checksum(self.read_labels())

    def update(self, retuned: RetunedPlane, refresh: bool = True) -> None:
        """Replace the labels that were written.

        Parameters
        ----------
        retuned : RetunedPlane
        refresh : bool
            Whether the plane is on view, and has to be redrawn; else the layer's record stays, too.
        """
        write_plane_labels(self.layer, self.placement, retuned.labels, retuned.inside, refresh)
        self.provenance = retuned.result.provenance
        if refresh:
            self.write_record()
        self.mark_written(retuned)
        self.update_features(retuned, refresh)

    def write_record(self) -> None:
        """Write the provenance of the labels into the metadata of their layer."""
        if self.provenance is not None:
            write_record(self.layer, self.source.image, self.placement.index, self.provenance)

    def update_features(self, retuned: RetunedPlane, publish: bool = True) -> None:
        """Update the features table of the layer with the measurements of new labels."""
        table, index = get_features_table(self.layer), self.placement.index
        if table.history.intersects_plane(index):
            clear_undo_history(self.layer)
            table.history.clear()
        measurement_source = create_measurement_source(self.source, self.maps)
        if retuned.inside is None:
            table.set_measurements(
                index,
                measurement_source,
                retuned.measurements,
                get_label_ids(self.layer).id_offset(index),
            )
        elif table.plane(index) is not None:
            table.history.update_known_values()
            table.remeasure(index, bounding_box(retuned.inside), state=UNREVIEWED)
        else:  # the labels of before have not been measured
            shape = self.source.shape
            table.set_measurements(
                index,
                measurement_source,
                measure_box(measurement_source, self.read_labels(), whole_plane_box(shape)),
            )
        if publish:
            table.publish()

    @property
    def maps(self) -> MapsGetter:
        """Getter of the maps, which does not keep this result alive."""
        reference = weakref.ref(self)

        def get_maps() -> NDArray[np.float32] | None:
            plane_result = reference()
            return None if plane_result is None else plane_result.prediction.maps

        return get_maps

    def is_unedited(self, labels: NDArray[np.int32] | None = None) -> bool:
        """Return whether the labels are still those that were written.

        Parameters
        ----------
        labels : ndarray, optional
            As from :meth:`read_labels`; to be given in a thread, which knows no layers.
        """
        labels = self.read_labels() if labels is None else labels
        return self.written_checksum is not None and self.written_checksum == self._checksum(labels)

    def _checksum(self, labels: NDArray[np.int32]) -> int:
        if self.inside is not None and labels.shape == self.inside.shape:
            box = bounding_box(self.inside)
            labels = np.where(self.inside[box], labels[box], 0)
        return _checksum_labels(labels, self._offset)


def _checksum_labels(labels: NDArray[np.integer], offset: int = 0) -> int:
    """Compute a checksum of labels, less an offset that was added to them."""
    kind = repr((labels.shape, labels.dtype.str)).encode()
    if offset:
        labels = np.where(labels > 0, labels.astype(np.int64) - offset, 0).astype(labels.dtype)
    return zlib.crc32(kind, array_crc32(labels))


def detach_pixels(prediction: Prediction, source: ImageSource) -> Prediction:
    """Return a prediction that refers to the pixels of its plane instead of holding them."""
    pixels = PlaneView(source.pixels, source.plane_index_at_level)
    plane = dataclasses.replace(prediction.plane, pixels=pixels)
    return dataclasses.replace(prediction, plane=plane)


def get_model_stamp(model: str) -> tuple[str, int]:
    """Return the name of a model, and the time its file was last changed."""
    try:
        return model, find_model_path(model).stat().st_mtime_ns
    except (UserError, OSError):
        return model, 0
