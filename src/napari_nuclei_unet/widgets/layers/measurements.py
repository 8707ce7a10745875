"""What lies behind a plane of labels: pixels of the image, and what the network said of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import Cut
from napari_nuclei_unet.arrays.boxes import Box, enlarged
from napari_nuclei_unet.arrays.channels import AllChannels
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.regionprops import Frame, boxes, measure
from napari_nuclei_unet.segmentation.normalization import check_type_and_shape
from napari_nuclei_unet.widgets.layers.feature_rows import Rows
from napari_nuclei_unet.widgets.layers.geometry import pixels_of, shape_of, world_of
from napari_nuclei_unet.widgets.layers.image_source import Source, likely_channel_axis, plane_axes
from napari_nuclei_unet.widgets.layers.label_ids import Index, axes_of

# Gives the maps of a plane, shape (n, Y, X), as long as they are kept.
Maps = Callable[[], NDArray[np.float32] | None]


@dataclass(frozen=True, eq=False)
class Behind:
    """Where measurements of a plane of labels come from.

    It keeps nothing alive: what is gone is not measured any more.

    Attributes
    ----------
    shape : (int, int)
        Of the plane.
    spacing : (float, float)
        Size of a pixel along its axes, in the units of the layer.
    pixels : callable or None
        Gives the array of the image, or None.
    cut : Cut or None
        The plane in it.
    maps : callable or None
        None: nothing was predicted.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    pixels: Callable[[], Any] | None = None
    cut: Cut | None = None
    maps: Maps | None = None

    @property
    def image(self) -> AllChannels | None:
        """The plane of the image with all its channels, if it is still there."""
        pixels = None if self.pixels is None else self.pixels()
        return None if pixels is None or self.cut is None else AllChannels(pixels, self.cut)

    def probability(self, box: Box) -> NDArray[np.float32] | None:
        """Predicted probability of nucleus, in a box of the plane; None where it is not known."""
        maps = None if self.maps is None else self.maps()
        return None if maps is None else enlarged(maps[0], self.shape, box)

    def measure(self, labels: NDArray[Any], box: Box) -> dict[str, NDArray[Any]]:
        """Measure the nuclei of a box of the plane.

        Parameters
        ----------
        labels : ndarray, shape of the box, integer
        box : (slice, slice)

        Returns
        -------
        dict of str to ndarray, shape (n,)
            As from ``core.measure.measure``.

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


# Rows as columns of arrays, and the box of each nucleus.
Found = tuple[Rows, NDArray[np.int64]]


def measured(behind: Behind, labels: NDArray[Any], box: Box) -> Found:
    """Measure the nuclei of a box of a plane; may run in a thread.

    Returns
    -------
    rows : dict of str to ndarray, shape (n,)
    boxes : ndarray, shape (n, 4), int
        In pixels of the plane.
    """
    rows = behind.measure(labels, box)
    _, found = boxes(labels)
    return rows, found + np.tile([box[0].start, box[1].start], 2)


def whole(shape: tuple[int, int]) -> Box:
    """Box of all of a plane."""
    return slice(0, shape[0]), slice(0, shape[1])


def spacing_of(layer: Layer, axes: tuple[int, int]) -> tuple[float, float]:
    """Size of a pixel along two axes of a layer, in its units; rotation and shear play no part."""
    _, linear = world_of(layer)
    rows, columns = (float(np.linalg.norm(linear[:, axis])) for axis in axes)
    return rows, columns


def behind_source(source: Source, maps: Maps) -> Behind:
    """Say what lies behind the labels of a plane that was segmented."""
    spacing = spacing_of(source.image, plane_axes(source.cut))
    return Behind(source.shape, spacing, _weak(source.full), source.cut, maps)


def _weak(pixels: Any) -> Callable[[], Any]:
    """Refer to an array without keeping it alive, if it can be."""
    try:
        return weakref.ref(getattr(pixels, "__wrapped__", pixels))
    except TypeError:
        return lambda: pixels


def behind_image(labels: Labels, index: Index, image: Image | None, maps: Maps | None) -> Behind:
    """Say what lies behind a plane of any labels.

    Parameters
    ----------
    labels : napari.layers.Labels
    index : tuple of int and slice
        Of the plane in it.
    image : napari.layers.Image or None
    maps : callable or None

    Raises
    ------
    UserError
        If the image is not of the shape of the labels.
    """
    axes = axes_of(index)
    shape = pixels_of(labels).shape
    plane = shape[axes[0]], shape[axes[1]]
    spacing = spacing_of(labels, axes)
    if image is None:
        return Behind(plane, spacing, maps=maps)
    cut = _cut_behind(shape, index, image)
    pixels = pixels_of(image)
    check_type_and_shape(AllChannels(pixels, cut))
    return Behind(plane, spacing, _weak(pixels), cut, maps)


def _cut_behind(shape: tuple[int, ...], index: Index, image: Image) -> Cut:
    """Plane of an image that lies under a plane of labels, which may lack its axis of channels."""
    own = shape_of(image)
    at: list[int | None] = [None if isinstance(one, slice) else one for one in index]
    channel = None
    if len(own) == len(shape) + 1:
        channel = likely_channel_axis(image) or 0
        at.insert(channel, 0)
        shape = (*shape[:channel], own[channel], *shape[channel:])
    elif len(own) == len(shape):
        odd = [axis for axis in range(len(own)) if shape[axis] == 1 < own[axis]]
        channel = odd[0] if len(odd) == 1 else None
        shape = tuple(own[axis] if axis == channel else n for axis, n in enumerate(shape))
    if own != shape:
        raise UserError(
            f"The image '{image.name}' has the shape {own} and the labels {shape}: choose the "
            "image that they belong to."
        )
    return Cut(tuple(at), channel)
