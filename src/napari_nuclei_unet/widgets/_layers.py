"""How a layer becomes an array, and labels a layer that lies exactly on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_nuclei_unet.errors import UserError

if TYPE_CHECKING:
    from napari.components import ViewerModel

METADATA = "napari_nuclei_unet"
GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

Index = tuple[slice | int, ...]


def pixels_of(image: Image) -> Any:
    """Full resolution of an image layer, as it is stored: never copied, never computed here."""
    return image.data[0] if image.multiscale else image.data


def shape_of(image: Image) -> tuple[int, ...]:
    """Shape of an image layer without its colour axis."""
    return tuple(pixels_of(image).shape[: image.ndim])


def plane_on_view(viewer: ViewerModel, image: Image) -> Index:
    """Index of the plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        Of two or more dimensions; of a 3-D view the plane of the last two axes is taken.

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
    shown = [axis - offset for axis in viewer.dims.displayed if axis >= offset]
    if len(shown) != 2:
        shown = [image.ndim - 2, image.ndim - 1]
    index: list[slice | int] = [slice(None)] * image.ndim
    hidden = [axis for axis in range(image.ndim) if axis not in shown]
    for axis, position in zip(hidden, _positions(viewer, image, hidden), strict=True):
        if not 0 <= position < shape[axis]:
            raise UserError(
                f"The view shows nothing of '{image.name}': move the sliders to one of its planes."
            )
        index[axis] = position
    return tuple(index)


def _positions(viewer: ViewerModel, image: Image, axes: list[int]) -> list[int]:
    """Where the sliders of some axes stand, in pixels of a layer.

    As napari slices: these axes are inverted by themselves, so that in a rotated or sheared
    layer the place in the other ones plays no part.
    """
    if not axes:
        return []
    origin = np.asarray(image.data_to_world([0] * image.ndim))
    columns = [image.data_to_world(unit) - origin for unit in np.eye(image.ndim)]
    inverse = np.linalg.inv(np.array(columns).T)
    point = np.asarray(viewer.dims.point[-image.ndim :])
    place = inverse[np.ix_(axes, axes)] @ point[axes] - (inverse @ origin)[axes]
    return np.round(place).astype(int).tolist()


def labels_of(viewer: ViewerModel, image: Image) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer; a copy of it does not."""
    for layer in viewer.layers:
        record = layer.metadata.get(METADATA, {})
        ours = (record.get("image"), record.get("layer"))
        if isinstance(layer, Labels) and ours == (str(image.unique_id), str(layer.unique_id)):
            return layer
    return None


def show_labels(
    viewer: ViewerModel,
    image: Image,
    index: Index,
    labels: NDArray[np.integer],
    record: dict[str, Any],
) -> Labels:
    """Put the labels of one plane into the labels layer of an image.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        What was segmented.
    index : tuple
        Which plane of it, as from :func:`plane_on_view`.
    labels : ndarray, shape of the plane, integer
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
    layer = labels_of(viewer, image)
    try:
        data = _room(shape_of(image), layer)
    except MemoryError as error:
        raise UserError(
            f"There is not enough memory for labels of the shape of '{image.name}': "
            "open fewer of its planes."
        ) from error
    data[index] = labels
    geometry = {name: getattr(image, name) for name in GEOMETRY}
    if layer is None:
        layer = viewer.add_labels(data, name=f"{image.name} nuclei", **geometry)
    else:
        layer.data = data  # also forgets the undo steps, which belong to the old labels
        for name, value in geometry.items():
            setattr(layer, name, value)
    places = {"image": str(image.unique_id), "layer": str(layer.unique_id)}
    plane = [None if isinstance(part, slice) else part for part in index]
    layer.metadata = {**layer.metadata, METADATA: record | places | {"plane": plane}}
    return layer


def _room(shape: tuple[int, ...], layer: Labels | None) -> NDArray[np.int32]:
    """Labels to write into: those of a layer, made wide enough, or new ones."""
    if layer is None or layer.data.shape != shape:
        return np.zeros(shape, np.int32)
    data = layer.data
    ready = isinstance(data, np.ndarray) and data.dtype == np.int32 and data.flags.writeable
    return data if ready else np.array(data, np.int32)
