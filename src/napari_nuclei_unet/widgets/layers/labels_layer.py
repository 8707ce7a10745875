"""Labels layers that are aligned exactly with the image they were segmented from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ...provenance.record import Provenance
from .geometry import layer_shape, pixel_to_world
from .label_ids import LabelIds, LabelsIndex, get_label_ids, set_label_ids
from .labels_record import get_record_entries, set_record_entries, write_record
from .metadata_keys import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

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
    if axis is None:
        return LayerPlacement(shape, index, geometry)
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


def find_labels_layer(viewer: ViewerModel, image: Image, ndim: int) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer; a copy of it does not."""
    for layer in viewer.layers:
        record = get_record_entries(layer)
        recorded = (record.get("image"), record.get("layer"))
        is_own = recorded == (str(image.unique_id), str(layer.unique_id))
        if isinstance(layer, Labels) and is_own and layer.ndim == ndim:
            return layer
    return None


def find_result_layer(viewer: ViewerModel, image: Image | None) -> Labels | None:
    """Find a labels layer with a record: the selected one, or the one of an image layer."""
    active = viewer.layers.selection.active
    if isinstance(active, Labels) and METADATA_KEY in active.metadata:
        return active
    for ndim in () if image is None else (image.ndim, image.ndim - 1):
        if (layer := find_labels_layer(viewer, image, ndim)) is not None:
            return layer
    return None


def detach_labels(labels: Labels) -> None:
    """Detach a labels layer from its image: the next result gets a layer of its own."""
    set_record_entries(labels, layer=None)


def check_unlocked(labels: Labels | None) -> None:
    """Raise an error if labels are locked, by the user or by a read-only array.

    Raises
    ------
    UserError
        With the ways to unlock them.
    """
    if labels is not None and not labels.editable:
        raise UserError(
            f"The labels '{labels.name}' are locked: unlock them, or remove or duplicate the layer."
        )


def clear_undo_history(labels: Labels) -> None:
    """Clear the undo history, which belongs to other labels; locking a layer does that."""
    labels.editable = False
    labels.editable = True


def show_labels(
    viewer: ViewerModel,
    image: Image,
    plane_index: PlaneIndex,
    labels: NDArray[np.int32],
    inside: NDArray[np.bool_] | None,
    provenance: Provenance,
) -> Labels:
    """Put the labels of one plane into the labels layer of an image.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        The segmented image.
    plane_index : PlaneIndex
        The segmented plane.
    labels : ndarray, shape of the plane, int32
    inside : ndarray, shape of the plane, bool, or None
        Where they are written; None: everywhere.
    provenance : Provenance
        Of the labels; stored under ``metadata["napari_nuclei_unet"]``.

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
    placement = get_layer_placement(image, plane_index)
    layer = find_labels_layer(viewer, image, len(placement.shape))
    data, ids = _allocate_labels(image, placement.shape, layer)
    ids.write(data, placement.index, labels, inside)
    if layer is None:
        layer = viewer.add_labels(data, name=f"{image.name} nuclei", **placement.geometry)
    else:
        layer.data = data  # also clears the undo history, which belongs to the old labels
        set_geometry(layer, placement)
    set_label_ids(layer, ids)
    write_record(layer, image, placement.index, provenance)
    return layer


def write_plane_labels(
    layer: Labels,
    placement: LayerPlacement,
    labels: NDArray[np.int32],
    inside: NDArray[np.bool_] | None,
    refresh: bool,
) -> None:
    """Write the labels of another plane into a layer, as cheaply as possible.

    Parameters
    ----------
    layer : napari.layers.Labels
    placement : LayerPlacement
    labels, inside
        As in :func:`show_labels`.
    refresh : bool
        Whether the plane is on view, and has to be redrawn.
    """
    data = layer.data
    if not isinstance(data, np.ndarray) or not data.flags.writeable:  # such as a memory-mapped file
        layer.data = data = np.array(data)
    get_label_ids(layer).write(data, placement.index, labels, inside)
    if refresh:
        layer.refresh(extent=False)


def set_geometry(layer: Layer, placement: LayerPlacement) -> None:
    """Set the geometry of a layer, where it differs: setting it redraws everything."""
    for name, value in placement.geometry.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)


def check_labels_memory(image: Image, placement: LayerPlacement, layer: Labels | None) -> None:
    """Raise an error if there is not enough memory for the labels of an image.

    Raises
    ------
    UserError
        With what to do.
    """
    _allocate_labels(image, placement.shape, layer)


def _allocate_labels(
    image: Image, shape: tuple[int, ...], layer: Labels | None
) -> tuple[NDArray[np.int32], LabelIds]:
    """Return an int32 array to write into, that of a layer if it fits, and its ids."""
    try:
        if layer is None or layer.data.shape != shape:
            data = np.zeros(shape, np.int32)
            return data, LabelIds(data, 0)
        data = layer.data
        if isinstance(data, np.ndarray) and data.dtype == np.int32 and data.flags.writeable:
            return data, get_label_ids(layer)
        data = np.array(data, np.int32)
        return data, LabelIds(data)
    except (MemoryError, ValueError) as error:  # ValueError: larger than any array
        raise UserError(
            f"There is not enough memory for labels of the shape of '{image.name}': "
            "open fewer of its planes."
        ) from error
