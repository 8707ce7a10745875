"""How a layer becomes an array, and labels a layer that lies exactly on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

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
    """
    offset = viewer.dims.ndim - image.ndim
    shown = [axis - offset for axis in viewer.dims.displayed if axis >= offset]
    if len(shown) != 2:
        shown = [image.ndim - 2, image.ndim - 1]
    point = np.round(image.world_to_data(viewer.dims.point)).astype(int)
    last = np.array(shape_of(image)) - 1
    point = np.clip(point, 0, last)
    return tuple(slice(None) if axis in shown else int(point[axis]) for axis in range(image.ndim))


def labels_of(viewer: ViewerModel, image: Image) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer."""
    wanted = str(image.unique_id)
    for layer in viewer.layers:
        if isinstance(layer, Labels) and layer.metadata.get(METADATA, {}).get("image") == wanted:
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
    """
    shape = shape_of(image)
    metadata = {METADATA: record | {"image": str(image.unique_id)}}
    geometry = {name: getattr(image, name) for name in GEOMETRY}
    layer = labels_of(viewer, image)
    if layer is not None and layer.data.shape == shape:
        data = layer.data
        data[index] = labels
        layer.data = data  # also forgets the undo steps, which belong to the old labels
        layer.metadata = {**layer.metadata, **metadata}
        for name, value in geometry.items():
            setattr(layer, name, value)
        return layer
    if layer is not None:
        viewer.layers.remove(layer)
    data = np.zeros(shape, np.int32)
    data[index] = labels
    return viewer.add_labels(data, name=f"{image.name} nuclei", metadata=metadata, **geometry)
