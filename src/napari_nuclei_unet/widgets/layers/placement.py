"""The placement of results: where a plane lies in an array, and the geometry of its layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from ...arrays.axes import PlaneIndex
from .geometry import layer_shape, pixel_to_world
from .label_ids import LabelsIndex

GEOMETRY_ATTRIBUTES = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


@dataclass(frozen=True, eq=False)
class LayerPlacement:
    """Placement of the results of a plane: index in an array, and geometry of its layer.

    Attributes
    ----------
    shape : tuple of int
        Of the array: the shape of the image, without channels.
    index : tuple
        Of the plane in it.
    geometry : dict
        Scale, translate, rotate, shear, affine, units and axis labels of its layer.
    """

    shape: tuple[int, ...]
    index: LabelsIndex
    geometry: dict[str, Any]


def get_geometry(layer: Layer) -> dict[str, Any]:
    """Return the geometry of a layer, as arguments of a new layer."""
    return {name: getattr(layer, name) for name in GEOMETRY_ATTRIBUTES}


def get_layer_placement(image: Image, plane_index: PlaneIndex) -> LayerPlacement:
    """Return the placement of the results of a plane.

    A channel axis is dropped if it is the first. Elsewhere that would misalign other axes with
    those of the image, so it stays, with one pixel as wide as all channels.

    Parameters
    ----------
    image : napari.layers.Image
    plane_index : PlaneIndex
    """
    geometry, shape, index = get_geometry(image), layer_shape(image), plane_index.slices
    axis = plane_index.channel_axis
    if axis is None or axis == image.ndim:  # layers have no axis of colours
        return LayerPlacement(shape, index[: image.ndim], geometry)
    _, linear = pixel_to_world(image)
    off_axis = linear[0, 1:].any() or linear[1:, 0].any()
    if axis == 0 and not off_axis:
        return LayerPlacement(shape[1:], index[1:], _drop_first_axis(geometry))
    width = np.ones(image.ndim)
    width[axis] = shape[axis]
    # the centre of all channels becomes the centre of the one pixel
    physical = image.affine.inverse(image.data_to_world((width - 1) / 2))
    start = image.affine.inverse(image.data_to_world(np.zeros(image.ndim)))
    geometry["scale"] = np.asarray(image.scale) * width
    geometry["translate"] = np.asarray(image.translate) + np.subtract(physical, start)
    shape = tuple(1 if number == axis else length for number, length in enumerate(shape))
    return LayerPlacement(shape, (*index[:axis], 0, *index[axis + 1 :]), geometry)


def _drop_first_axis(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return the geometry without the first axis, which must not be mixed with the others."""
    vectors = {name: geometry[name][1:] for name in ("scale", "translate", "units", "axis_labels")}
    shear = np.asarray(geometry["shear"])
    if shear.ndim == 1:  # the upper triangle, row by row
        rows, _ = np.triu_indices(len(geometry["scale"]), 1)
        shear = shear[rows > 0]
    else:
        shear = shear[1:, 1:]
    affine = np.asarray(geometry["affine"])[1:, 1:]
    return vectors | {"rotate": geometry["rotate"][1:, 1:], "shear": shear, "affine": affine}


def can_hold(data: Any, shape: tuple[int, ...], dtype: type[np.generic]) -> bool:
    """Return whether results of a shape and type can be written into an array as it is.

    Scripts may give a layer a lazy, read-only or other array at any time.
    """
    in_memory = isinstance(data, np.ndarray) and bool(data.flags.writeable)
    return in_memory and data.shape == shape and data.dtype == dtype


def set_geometry(layer: Layer, placement: LayerPlacement) -> None:
    """Set the geometry of a layer, where it differs: setting it redraws everything."""
    for name, value in placement.geometry.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)
