"""Measurements of the nuclei of a plane or volume, in the image and in the predicted maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...arrays.boxes import Box, enlarged
from ...arrays.channels import MultichannelView
from ...arrays.quantization import dequantize_unit
from ...errors import UserError
from ...labels.regionprops import Frame, bounding_boxes, measure
from ...labels.surroundings import Distances, measure_surroundings
from ...labels.volume_boxes import find_volume_boxes
from ...labels.volume_regionprops import VOLUME_COLUMN
from ...segmentation.normalization import check_type_and_shape
from .array_reference import ArrayReference
from .channel_names import find_channel_names
from .geometry import full_resolution_data, layer_shape, pixel_to_world
from .image_source import ImageSource, guess_layer_channel_axis, plane_axes
from .label_ids import LabelsIndex, index_plane_axes, plane_key

if TYPE_CHECKING:
    import pandas as pd

CENTROID_COLUMNS = ["centroid_y", "centroid_x"]
# First row and column of a nucleus, and those after its last.
BOX_COLUMNS = ["top", "left", "bottom", "right"]
VOLUME_CENTROID_COLUMNS = ["centroid_z", *CENTROID_COLUMNS]
VOLUME_BOX_COLUMNS = ["front", "top", "left", "back", "bottom", "right"]
# Returns the maps of a plane, of shape (n, Y, X), uint16 (65535 is 1), or None once they were
# dropped.
MapsGetter = Callable[[], NDArray[np.uint16] | None]


@dataclass(frozen=True)
class MeasuredChannel:
    """A channel of an image layer that is measured.

    Attributes
    ----------
    image : napari.layers.Image
    number : int
        0 where the image has no channels.
    title : str
        In the names of columns; empty: the only one, of a grey image, has none.
    """

    image: Image
    number: int = 0
    title: str = ""


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """A plane of an image, and which of its channels are measured; it does not keep the array.

    Attributes
    ----------
    pixels : callable
        Returns the array of the image, or None once it is gone.
    plane_index : PlaneIndex
        Of the plane in the image.
    titles : mapping of int to str, or None
        The channels that are measured, with their names in columns; None: all, with their own
        names, and no other image.
    """

    pixels: Callable[[], Any]
    plane_index: PlaneIndex
    titles: Mapping[int, str] | None = None

    @property
    def view(self) -> MultichannelView | None:
        """The plane with all its channels, if it is still there."""
        pixels = self.pixels()
        return None if pixels is None else MultichannelView(pixels, self.plane_index)


@dataclass(frozen=True, eq=False)
class ChannelPixels:
    """Pixels of a box of a plane.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C), or None
        None: there is no image.
    names : tuple of str, length C
    """

    pixels: NDArray[Any] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MeasurementSource:
    """Images and predicted maps from which a plane of labels is measured.

    It keeps neither alive: what is gone is not measured any more.

    Attributes
    ----------
    shape : (int, int)
        Of the plane.
    spacing : (float, float)
        Size of a pixel along its axes, in the units of the layer.
    images : tuple of MeasuredImage
    maps : callable or None
        None: there is no prediction.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    images: tuple[MeasuredImage, ...] = ()
    maps: MapsGetter | None = None

    def with_spacing(self, spacing: tuple[float, ...]) -> MeasurementSource:
        """Return the same with pixels of another size."""
        return replace(self, spacing=(spacing[0], spacing[1]))

    def read(self, box: Box) -> ChannelPixels:
        """Read the channels that are measured, of the images that are still there."""
        planes: list[NDArray[Any]] = []
        names: list[str] = []
        for image in self.images:
            if (view := image.view) is None:
                continue
            pixels = view[box]
            if image.titles is None:
                return ChannelPixels(pixels, view.names)
            planes += [pixels[..., at] if pixels.ndim == 3 else pixels for at in image.titles]
            names += image.titles.values()
        return ChannelPixels(np.stack(planes, axis=-1), tuple(names)) if names else ChannelPixels()

    def probability(self, box: Box) -> NDArray[np.float32] | None:
        """Return the predicted probability of nucleus in a box of the plane, if it is known."""
        maps = None if self.maps is None else self.maps()
        return None if maps is None else dequantize_unit(enlarged(maps[0], self.shape, box))

    def measure(
        self, labels: NDArray[Any], box: Box, distances: Distances | None = None
    ) -> pd.DataFrame:
        """Measure the nuclei of a box of the plane.

        Parameters
        ----------
        labels : ndarray, shape of the box, integer
        box : (slice, slice)
        distances : Distances, optional
            How far around nuclei is measured, where the box is the whole plane.

        Returns
        -------
        pandas.DataFrame
            As from :func:`~napari_nuclei_unet.labels.regionprops.measure`.

        Raises
        ------
        UserError
            If an image cannot be read.
        """
        frame = Frame(self.spacing, (box[0].start, box[1].start), self.shape)
        image = self.read(box)
        rows = measure(labels, image.pixels, self.probability(box), frame, image.names)
        if distances is None:
            return rows
        return measure_surroundings(rows, labels, image.pixels, image.names, distances)


class Measurable(Protocol):
    """What a plane or a volume of labels is measured from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the plane or volume, in pixels."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a pixel along its axes, in the units of the layer."""

    def with_spacing(self, spacing: tuple[float, ...]) -> Measurable:
        """Return the same with pixels of another size."""

    def measure(
        self, labels: NDArray[Any], box: Any, distances: Distances | None = None
    ) -> pd.DataFrame:
        """Measure the nuclei of a box."""


def measure_box(
    measurement_source: Measurable,
    labels: NDArray[Any],
    box: tuple[slice, ...],
    distances: Distances | None = None,
) -> pd.DataFrame:
    """Measure the nuclei of a box of a plane or volume; may run in a thread.

    Returns
    -------
    pandas.DataFrame
        As from :meth:`Measurable.measure`, and :func:`box_columns` in pixels of the plane or
        volume.
    """
    rows = measurement_source.measure(labels, box, distances)
    boxes = find_volume_boxes(labels).boxes if len(box) == 3 else bounding_boxes(labels)[1]
    rows[box_columns(len(box))] = boxes + np.tile([part.start for part in box], 2)
    return rows


def box_columns(ndim: int) -> list[str]:
    """Return the names of the columns of boxes of planes, or of volumes."""
    return VOLUME_BOX_COLUMNS if ndim == 3 else BOX_COLUMNS


def centroid_columns(ndim: int) -> list[str]:
    """Return the names of the columns of centroids in planes, or in volumes."""
    return VOLUME_CENTROID_COLUMNS if ndim == 3 else CENTROID_COLUMNS


def size_column(ndim: int) -> str:
    """Return the name of the column that counts the pixels of a nucleus, in units of the layer."""
    return VOLUME_COLUMN if ndim == 3 else "area"


def whole_box(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the box of a whole plane or volume."""
    return tuple(slice(0, length) for length in shape)


def whole_plane_box(shape: tuple[int, int]) -> Box:
    """Return the box of a whole plane."""
    return slice(0, shape[0]), slice(0, shape[1])


def pixel_spacing(layer: Layer, axes: tuple[int, int]) -> tuple[float, float]:
    """Return the pixel size along two axes of a layer, in its units, without rotation or shear."""
    rows, columns = (axis_step(layer, axis) for axis in axes)
    return rows, columns


def axis_step(layer: Layer, axis: int) -> float:
    """Return the pixel size along an axis of a layer, in its units, without rotation or shear."""
    return float(np.linalg.norm(pixel_to_world(layer)[1][:, axis]))


def create_measurement_source(source: ImageSource, maps: MapsGetter) -> MeasurementSource:
    """Create the measurement source of a plane that was segmented."""
    spacing = pixel_spacing(source.image, plane_axes(source.plane_index))
    plane_index = source.plane_index
    if plane_index.channel_axis == source.image.ndim:  # all colours are measured
        plane_index = PlaneIndex(plane_index.index[: source.image.ndim])
    titles = _name_channels(source.image, plane_index)
    image = MeasuredImage(ArrayReference(source.full_resolution).get, plane_index, titles)
    return MeasurementSource(source.shape, spacing, (image,), maps)


def _name_channels(image: Image, plane_index: PlaneIndex) -> dict[int, str] | None:
    """Return the names of all channels, if they are known."""
    return dict(enumerate(find_channel_names(image, plane_index.channel_axis))) or None


def create_labels_measurement_source(
    labels: Labels,
    index: LabelsIndex,
    channels: Sequence[MeasuredChannel] = (),
    maps: MapsGetter | None = None,
) -> MeasurementSource:
    """Create the measurement source of a plane of any labels.

    Parameters
    ----------
    labels : napari.layers.Labels
    index : tuple of int and slice
        Of the plane in the labels.
    channels : sequence of MeasuredChannel
    maps : callable or None

    Raises
    ------
    UserError
        If an image does not have the shape of the labels.
    """
    axes = index_plane_axes(index)
    shape = full_resolution_data(labels).shape
    images = []
    for layer in dict.fromkeys(channel.image for channel in channels):
        titles = {one.number: one.title for one in channels if one.image is layer}
        pixels = full_resolution_data(layer)
        plane_index = find_image_plane(shape, index, layer)
        check_type_and_shape(MultichannelView(pixels, plane_index))
        known = _name_channels(layer, plane_index) if list(titles.values()) == [""] else titles
        images.append(MeasuredImage(ArrayReference(pixels).get, plane_index, known))
    plane_shape = shape[axes[0]], shape[axes[1]]
    return MeasurementSource(plane_shape, pixel_spacing(labels, axes), tuple(images), maps)


def find_image_plane(shape: tuple[int, ...], index: LabelsIndex, image: Image) -> PlaneIndex:
    """Find the plane of an image under a plane of labels, which may lack the channel axis.

    Raises
    ------
    UserError
        If the image does not have the shape of the labels, apart from channels.
    """
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
