"""How a layer becomes an array, and labels a layer that lies exactly on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_nuclei_unet.core.axes import Cut
from napari_nuclei_unet.core.regions import paste
from napari_nuclei_unet.errors import UserError

if TYPE_CHECKING:
    from napari.components import ViewerModel

METADATA = "napari_nuclei_unet"
# Marks the layer that shows the probability map of an image.
PROBABILITY = "napari_nuclei_unet_probability_of"
GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

Index = tuple[slice | int, ...]


def pixels_of(image: Image) -> Any:
    """Full resolution of an image layer, as it is stored: never copied, never computed here."""
    return image.data[0] if image.multiscale else image.data


def shape_of(image: Image) -> tuple[int, ...]:
    """Shape of an image layer without its colour axis."""
    return tuple(pixels_of(image).shape[: image.ndim])


def plane_on_view(viewer: ViewerModel, image: Image, channel_axis: int | None = None) -> Index:
    """Index of the plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        Of two or more dimensions; of a 3-D view the plane of the last two axes is taken.
    channel_axis : int, optional
        Is no axis of the plane, even if it is shown as one.

    Returns
    -------
    tuple of slice and int, one for each axis of the layer
        Two slices, whole axes, and for the others the position of the sliders.

    Raises
    ------
    UserError
        If the layer is empty, or the sliders stand beyond it.
    """
    shape = shape_of(image)
    if 0 in shape:
        raise UserError(f"The image '{image.name}' is empty: its shape is {shape}.")
    offset = viewer.dims.ndim - image.ndim
    able = [axis for axis in range(image.ndim) if axis != channel_axis]
    shown = [axis - offset for axis in viewer.dims.displayed if axis - offset in able]
    if len(shown) != 2:
        shown = able[-2:]
    index: list[slice | int] = [slice(None)] * image.ndim
    hidden = [axis for axis in range(image.ndim) if axis not in shown]
    point = np.asarray(viewer.dims.point, float)[-image.ndim :] * units_of(viewer, image)
    for axis, position in zip(hidden, positions(image, hidden, point), strict=True):
        if axis == channel_axis and axis + offset in viewer.dims.displayed:
            position = 0
        if not 0 <= position < shape[axis]:
            raise UserError(
                f"The view shows nothing of '{image.name}': move the sliders to one of its planes."
            )
        index[axis] = position
    return tuple(index)


def units_of(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Length of the viewer's unit along each axis of a layer, in the units of the layer.

    The sliders and the camera of napari count in units that all layers share; what a layer says of
    itself, such as ``data_to_world``, is in its own.
    """
    shared = getattr(viewer.layers, "units", None)
    if shared is None or len(shared) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(shared[-layer.ndim :], layer.units, strict=True)
    return np.array([1.0 if a == b else (1 * a).to(b).magnitude for a, b in pairs])


def positions(image: Image, axes: list[int], point: NDArray[np.floating]) -> list[int]:
    """Where a point of the world, in the layer's units, lies along some axes, in its pixels.

    As napari slices: these axes are inverted by themselves, so that in a rotated or sheared
    layer the place in the other ones plays no part.
    """
    if not axes:
        return []
    origin, linear = world_of(image)
    inverse = np.linalg.inv(linear)
    place = inverse[np.ix_(axes, axes)] @ point[axes] - (inverse @ origin)[axes]
    return np.round(place).astype(int).tolist()


def world_of(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place of pixel 0 in the world, and the matrix whose columns are steps of one pixel."""
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)), float)
    steps = [np.asarray(image.data_to_world(unit), float) - origin for unit in np.eye(image.ndim)]
    return origin, np.array(steps).T


def check_invertible(image: Image) -> None:
    """Refuse a layer that is flattened.

    Raises
    ------
    UserError
        If pixels have no place of their own in the world.
    """
    origin, linear = world_of(image)
    known = np.isfinite(origin).all() and np.isfinite(linear).all()
    if not known or np.linalg.matrix_rank(linear) < image.ndim:
        raise UserError(
            f"The image '{image.name}' is flattened by its scale or affine, so that its pixels "
            "have no place of their own: give it one that can be inverted."
        )


@dataclass(frozen=True, eq=False)
class Place:
    """Where results of one plane of an image belong: in an array, and that in the world.

    Attributes
    ----------
    shape : tuple of int
        Of the array: that of the image, without channels.
    index : tuple
        Of the plane in it.
    geometry : dict
        Scale, translate, rotate, shear, affine, units and axis labels of its layer.
    """

    shape: tuple[int, ...]
    index: Index
    geometry: dict[str, Any]


def place_of(image: Image, cut: Cut) -> Place:
    """Say where the results of a plane belong.

    An axis of channels is left out if it is the first. Elsewhere that would move other axes
    beside those of the image, so it stays, one pixel long and as wide as all channels.

    Parameters
    ----------
    image : napari.layers.Image
    cut : Cut
    """
    geometry = {name: getattr(image, name) for name in GEOMETRY}
    shape, index = shape_of(image), cut.slices
    axis = cut.channel_axis
    if axis is None:
        return Place(shape, index, geometry)
    _, linear = world_of(image)
    off_axis = linear[0, 1:].any() or linear[1:, 0].any()
    if axis == 0 and not off_axis:
        return Place(shape[1:], index[1:], _without_first(geometry))
    width = np.ones(image.ndim)
    width[axis] = shape[axis]
    # the middle of all channels becomes the middle of the one pixel
    physical = image.affine.inverse(image.data_to_world((width - 1) / 2))
    start = image.affine.inverse(image.data_to_world(np.zeros(image.ndim)))
    geometry["scale"] = np.asarray(image.scale) * width
    geometry["translate"] = np.asarray(image.translate) + np.subtract(physical, start)
    shape = tuple(1 if one == axis else length for one, length in enumerate(shape))
    return Place(shape, (*index[:axis], 0, *index[axis + 1 :]), geometry)


def _without_first(geometry: dict[str, Any]) -> dict[str, Any]:
    """Geometry of a layer without its first axis, which must not be mixed with the others."""
    left = {name: geometry[name][1:] for name in ("scale", "translate", "units", "axis_labels")}
    shear = np.asarray(geometry["shear"])
    if shear.ndim == 1:  # the upper triangle, row by row
        ndim = len(geometry["scale"])
        rows, _ = np.triu_indices(ndim, 1)
        shear = shear[rows > 0]
    else:
        shear = shear[1:, 1:]
    affine = np.asarray(geometry["affine"])
    return left | {
        "rotate": geometry["rotate"][1:, 1:],
        "shear": shear,
        "affine": affine[1:, 1:],
    }


def labels_of(viewer: ViewerModel, image: Image, ndim: int) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer; a copy of it does not."""
    for layer in viewer.layers:
        record = layer.metadata.get(METADATA, {})
        ours = (record.get("image"), record.get("layer"))
        same = ours == (str(image.unique_id), str(layer.unique_id))
        if isinstance(layer, Labels) and same and layer.ndim == ndim:
            return layer
    return None


def result_on_view(viewer: ViewerModel, image: Image | None) -> Labels | None:
    """Find a labels layer with a record: the selected one, or that of an image layer."""
    active = viewer.layers.selection.active
    if isinstance(active, Labels) and METADATA in active.metadata:
        return active
    for ndim in () if image is None else (image.ndim, image.ndim - 1):
        if (layer := labels_of(viewer, image, ndim)) is not None:
            return layer
    return None


def release(labels: Labels) -> None:
    """Leave a labels layer to the user: the next result gets a layer of its own."""
    record = labels.metadata[METADATA] | {"layer": None}
    labels.metadata = {**labels.metadata, METADATA: record}


def check_unlocked(labels: Labels | None) -> None:
    """Refuse to write into labels that the user, or their array, has locked.

    Raises
    ------
    UserError
        Says what to do.
    """
    if labels is not None and not labels.editable:
        raise UserError(
            f"The labels '{labels.name}' are locked: unlock them, or remove or duplicate the layer."
        )


def show_labels(
    viewer: ViewerModel,
    image: Image,
    cut: Cut,
    labels: NDArray[np.int32],
    inside: NDArray[np.bool_] | None,
    record: dict[str, Any],
) -> Labels:
    """Put the labels of one plane into the labels layer of an image.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        What was segmented.
    cut : Cut
        Which plane of it.
    labels : ndarray, shape of the plane, int32
    inside : ndarray, shape of the plane, bool, or None
        Where they are written; None: everywhere.
    record : dict
        What made them; kept under ``metadata["napari_nuclei_unet"]``.

    Returns
    -------
    napari.layers.Labels
        Named "<image> nuclei", of the image's shape and geometry. An earlier result for the
        same image is updated, and keeps its other planes.

    Raises
    ------
    UserError
        If there is not enough memory for labels of the image's shape.
    """
    place = place_of(image, cut)
    layer = labels_of(viewer, image, len(place.shape))
    try:
        data = _room(place.shape, layer)
    except MemoryError as error:
        raise UserError(
            f"There is not enough memory for labels of the shape of '{image.name}': "
            "open fewer of its planes."
        ) from error
    paste(labels, inside, data[place.index])
    if layer is None:
        layer = viewer.add_labels(data, name=f"{image.name} nuclei", **place.geometry)
    else:
        layer.data = data  # also forgets the undo steps, which belong to the old labels
        set_geometry(layer, place)
    write_record(layer, image, place, record)
    return layer


def set_geometry(layer: Layer, place: Place) -> None:
    """Put a layer where it belongs, if it is not there already: that draws everything again."""
    for name, value in place.geometry.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)


def write_record(layer: Labels, image: Image, place: Place, record: dict[str, Any]) -> None:
    """Keep with a labels layer what made it."""
    places = {"image": str(image.unique_id), "layer": str(layer.unique_id)}
    plane = [None if isinstance(part, slice) else part for part in place.index]
    layer.metadata = {**layer.metadata, METADATA: record | places | {"plane": plane}}


def _room(shape: tuple[int, ...], layer: Labels | None) -> NDArray[np.int32]:
    """Labels to write into: those of a layer, made wide enough, or new ones."""
    if layer is None or layer.data.shape != shape:
        return np.zeros(shape, np.int32)
    data = layer.data
    ready = isinstance(data, np.ndarray) and data.dtype == np.int32 and data.flags.writeable
    return data if ready else np.array(data, np.int32)
