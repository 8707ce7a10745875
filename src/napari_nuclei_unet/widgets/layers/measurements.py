"""Measurements of the nuclei of a plane, in the image and in the predicted maps."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...arrays.boxes import Box, enlarged
from ...arrays.channels import MultichannelView
from ...errors import UserError
from ...labels.regionprops import Frame, bounding_boxes, measure
from ...segmentation.normalization import check_type_and_shape
from .geometry import full_resolution_data, layer_shape, pixel_to_world
from .image_source import ImageSource, guess_layer_channel_axis, plane_axes
from .label_ids import LabelsIndex, index_plane_axes, plane_key

if TYPE_CHECKING:
    import pandas as pd

CENTROID_COLUMNS = ["centroid_y", "centroid_x"]
# First row and column of a nucleus, and those after its last.
BOX_COLUMNS = ["top", "left", "bottom", "right"]
# Returns the maps of a plane, of shape (n, Y, X), or None once they were dropped.
MapsGetter = Callable[[], NDArray[np.float32] | None]


@dataclass(frozen=True, eq=False)
class MeasurementSource:
    """Image and predicted maps from which a plane of labels is measured.

    It keeps neither alive: what is gone is not measured any more.

    Attributes
    ----------
    shape : (int, int)
        Of the plane.
    spacing : (float, float)
        Size of a pixel along its axes, in the units of the layer.
    pixels : callable or None
        Returns the array of the image, or None.
    plane_index : PlaneIndex or None
        Of the plane in the image.
    maps : callable or None
        None: there is no prediction.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    pixels: Callable[[], Any] | None = None
    plane_index: PlaneIndex | None = None
    maps: MapsGetter | None = None

    @property
    def image(self) -> MultichannelView | None:
        """The plane of the image with all its channels, if it is still there."""
        pixels = None if self.pixels is None else self.pixels()
        if pixels is None or self.plane_index is None:
            return None
        return MultichannelView(pixels, self.plane_index)

    def probability(self, box: Box) -> NDArray[np.float32] | None:
        """Return the predicted probability of nucleus in a box of the plane, if it is known."""
        maps = None if self.maps is None else self.maps()
        return None if maps is None else enlarged(maps[0], self.shape, box)

    def measure(self, labels: NDArray[Any], box: Box) -> pd.DataFrame:
        """Measure the nuclei of a box of the plane.

        Parameters
        ----------
        labels : ndarray, shape of the box, integer
        box : (slice, slice)

        Returns
        -------
        pandas.DataFrame
            As from :func:`~napari_nuclei_unet.labels.regionprops.measure`.

        Raises
        ------
        UserError
            If the image cannot be read.
        """
        frame = Frame(self.spacing, (box[0].start, box[1].start), self.shape)
        image = self.image
        pixels = None if image is None else image[box]
        names = () if image is None else image.names
        return measure(labels, pixels, self.probability(box), frame, names)


def measure_box(
    measurement_source: MeasurementSource, labels: NDArray[Any], box: Box
) -> pd.DataFrame:
    """Measure the nuclei of a box of a plane; may run in a thread.

    Returns
    -------
    pandas.DataFrame
        As from :meth:`MeasurementSource.measure`, and ``BOX_COLUMNS`` in pixels of the plane.
    """
    rows = measurement_source.measure(labels, box)
    rows[BOX_COLUMNS] = bounding_boxes(labels)[1] + np.tile([box[0].start, box[1].start], 2)
    return rows


def whole_plane_box(shape: tuple[int, int]) -> Box:
    """Return the box of a whole plane."""
    return slice(0, shape[0]), slice(0, shape[1])


def pixel_spacing(layer: Layer, axes: tuple[int, int]) -> tuple[float, float]:
    """Return the pixel size along two axes of a layer, in its units, without rotation or shear."""
    _, linear = pixel_to_world(layer)
    rows, columns = (float(np.linalg.norm(linear[:, axis])) for axis in axes)
    return rows, columns


def create_measurement_source(source: ImageSource, maps: MapsGetter) -> MeasurementSource:
    """Create the measurement source of a plane that was segmented."""
    spacing = pixel_spacing(source.image, plane_axes(source.plane_index))
    plane_index = source.plane_index
    if plane_index.channel_axis == source.image.ndim:  # all colours are measured
        plane_index = PlaneIndex(plane_index.index[: source.image.ndim])
    return MeasurementSource(
        source.shape, spacing, _weak_reference(source.full_resolution), plane_index, maps
    )


def _weak_reference(pixels: Any) -> Callable[[], Any]:
    """Return a weak reference to an array, or a strong one where that is impossible."""
    try:
        return weakref.ref(getattr(pixels, "__wrapped__", pixels))
    except TypeError:
        return lambda: pixels


def create_labels_measurement_source(
    labels: Labels, index: LabelsIndex, image: Image | None, maps: MapsGetter | None
) -> MeasurementSource:
    """Create the measurement source of a plane of any labels.

    Parameters
    ----------
    labels : napari.layers.Labels
    index : tuple of int and slice
        Of the plane in the labels.
    image : napari.layers.Image or None
    maps : callable or None

    Raises
    ------
    UserError
        If the image does not have the shape of the labels.
    """
    axes = index_plane_axes(index)
    shape = full_resolution_data(labels).shape
    plane_shape = shape[axes[0]], shape[axes[1]]
    spacing = pixel_spacing(labels, axes)
    if image is None:
        return MeasurementSource(plane_shape, spacing, maps=maps)
    plane_index = _image_plane_index(shape, index, image)
    pixels = full_resolution_data(image)
    check_type_and_shape(MultichannelView(pixels, plane_index))
    return MeasurementSource(plane_shape, spacing, _weak_reference(pixels), plane_index, maps)


def _image_plane_index(shape: tuple[int, ...], index: LabelsIndex, image: Image) -> PlaneIndex:
    """Find the plane of an image under a plane of labels, which may lack the channel axis."""
    own = layer_shape(image)
    positions = list(plane_key(index))
    channel = None
    if len(own) == len(shape) + 1:
        channel = guess_layer_channel_axis(image) or 0
        positions.insert(channel, 0)
        shape = (*shape[:channel], own[channel], *shape[channel:])
    elif len(own) == len(shape):
        differing = [axis for axis in range(len(own)) if shape[axis] == 1 < own[axis]]
        channel = differing[0] if len(differing) == 1 else None
        shape = tuple(own[axis] if axis == channel else n for axis, n in enumerate(shape))
    if own != shape:
        raise UserError(
            f"The image '{image.name}' has the shape {own} and the labels {shape}: choose the "
            "image that they belong to."
        )
    return PlaneIndex(tuple(positions), channel)
