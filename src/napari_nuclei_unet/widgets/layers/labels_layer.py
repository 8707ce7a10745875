"""How a layer becomes an array, and labels a layer that lies exactly on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.geometry import layer_shape, pixel_to_world
from napari_nuclei_unet.widgets.layers.keys import METADATA_KEY
from napari_nuclei_unet.widgets.layers.label_ids import (
    LabelIds,
    LabelsIndex,
    get_label_ids,
    set_label_ids,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

GEOMETRY_ATTRIBUTES = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


@dataclass(frozen=True, eq=False)
class LayerPlacement:
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
    index: LabelsIndex
    geometry: dict[str, Any]


def get_layer_placement(image: Image, plane_index: PlaneIndex) -> LayerPlacement:
    """Say where the results of a plane belong.

    An axis of channels is left out if it is the first. Elsewhere that would move other axes
    beside those of the image, so it stays, one pixel long and as wide as all channels.

    Parameters
    ----------
    image : napari.layers.Image
    plane_index : Cut
    """
    geometry = {name: getattr(image, name) for name in GEOMETRY_ATTRIBUTES}
    shape, index = layer_shape(image), plane_index.slices
    axis = plane_index.channel_axis
    if axis is None:
        return LayerPlacement(shape, index, geometry)
    _, linear = pixel_to_world(image)
    off_axis = linear[0, 1:].any() or linear[1:, 0].any()
    if axis == 0 and not off_axis:
        return LayerPlacement(shape[1:], index[1:], _drop_first_axis(geometry))
    width = np.ones(image.ndim)
    width[axis] = shape[axis]
    # the middle of all channels becomes the middle of the one pixel
    physical = image.affine.inverse(image.data_to_world((width - 1) / 2))
    start = image.affine.inverse(image.data_to_world(np.zeros(image.ndim)))
    geometry["scale"] = np.asarray(image.scale) * width
    geometry["translate"] = np.asarray(image.translate) + np.subtract(physical, start)
    shape = tuple(1 if one == axis else length for one, length in enumerate(shape))
    return LayerPlacement(shape, (*index[:axis], 0, *index[axis + 1 :]), geometry)


def _drop_first_axis(geometry: dict[str, Any]) -> dict[str, Any]:
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


def find_labels_layer(viewer: ViewerModel, image: Image, ndim: int) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer; a copy of it does not."""
    for layer in viewer.layers:
        record = layer.metadata.get(METADATA_KEY, {})
        ours = (record.get("image"), record.get("layer"))
        same = ours == (str(image.unique_id), str(layer.unique_id))
        if isinstance(layer, Labels) and same and layer.ndim == ndim:
            return layer
    return None


def find_result_layer(viewer: ViewerModel, image: Image | None) -> Labels | None:
    """Find a labels layer with a record: the selected one, or that of an image layer."""
    active = viewer.layers.selection.active
    if isinstance(active, Labels) and METADATA_KEY in active.metadata:
        return active
    for ndim in () if image is None else (image.ndim, image.ndim - 1):
        if (layer := find_labels_layer(viewer, image, ndim)) is not None:
            return layer
    return None


def detach_labels(labels: Labels) -> None:
    """Leave a labels layer to the user: the next result gets a layer of its own."""
    record = labels.metadata[METADATA_KEY] | {"layer": None}
    labels.metadata = {**labels.metadata, METADATA_KEY: record}


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


def clear_undo_history(labels: Labels) -> None:
    """Drop what napari could undo, as it belongs to other labels; locking a layer does that."""
    labels.editable = False
    labels.editable = True


def show_labels(
    viewer: ViewerModel,
    image: Image,
    plane_index: PlaneIndex,
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
    plane_index : Cut
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
    place = get_layer_placement(image, plane_index)
    layer = find_labels_layer(viewer, image, len(place.shape))
    data, ids = _allocate_labels(image, place.shape, layer)
    ids.write(data, place.index, labels, inside)
    if layer is None:
        layer = viewer.add_labels(data, name=f"{image.name} nuclei", **place.geometry)
    else:
        layer.data = data  # also forgets the undo steps, which belong to the old labels
        set_geometry(layer, place)
    set_label_ids(layer, ids)
    write_record(layer, image, place, record)
    return layer


def write_plane_labels(
    layer: Labels,
    placement: LayerPlacement,
    labels: NDArray[np.int32],
    inside: NDArray[np.bool_] | None,
    refresh: bool,
) -> None:
    """Put the labels of another plane into a layer; as cheap as it can be.

    Parameters
    ----------
    layer : napari.layers.Labels
    placement : Place
    labels, inside
        As in :func:`show_labels`.
    refresh : bool
        Whether the plane is on view, and to be drawn.
    """
    data = layer.data
    if not isinstance(data, np.ndarray) or not data.flags.writeable:  # such as a map of a file
        layer.data = data = np.array(data)
    get_label_ids(layer).write(data, placement.index, labels, inside)
    if refresh:
        layer.refresh(extent=False)


def set_geometry(layer: Layer, placement: LayerPlacement) -> None:
    """Put a layer where it belongs, if it is not there already: that draws everything again."""
    for name, value in placement.geometry.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)


def write_record(
    layer: Labels,
    image: Image,
    placement: LayerPlacement,
    record: dict[str, Any],
    others: Sequence[LayerPlacement] = (),
) -> None:
    """Keep with a labels layer what made it; napari draws its window again for that.

    Parameters
    ----------
    layer : napari.layers.Labels
    image : napari.layers.Image
    placement : Place
        That was written last.
    record : dict
        Of it.
    others : sequence of Place
        Written before, and not recorded yet.
    """
    planes = [
        [None if isinstance(part, slice) else part for part in one.index]
        for one in (*others, placement)
    ]
    ours = {"image": str(image.unique_id), "layer": str(layer.unique_id), "plane": planes[-1]}
    made = record | ours
    if len(planes[-1]) > 2:
        before = layer.metadata.get(METADATA_KEY, {}).get("planes_written", [])
        made["planes_written"] = before + [plane for plane in planes if plane not in before]
    layer.metadata = {**layer.metadata, METADATA_KEY: made}


def check_labels_memory(image: Image, placement: LayerPlacement, layer: Labels | None) -> None:
    """Refuse what needs labels that memory has no room for.

    Raises
    ------
    UserError
        Says what to do.
    """
    _allocate_labels(image, placement.shape, layer)


def _allocate_labels(
    image: Image, shape: tuple[int, ...], layer: Labels | None
) -> tuple[NDArray[np.int32], LabelIds]:
    """Labels to write into: those of a layer, made wide enough, or new ones; and their ids."""
    try:
        if layer is None or layer.data.shape != shape:
            data = np.zeros(shape, np.int32)
            return data, LabelIds(data, 0)
        data = layer.data
        ready = isinstance(data, np.ndarray) and data.dtype == np.int32 and data.flags.writeable
        if ready:
            return data, get_label_ids(layer)
        data = np.array(data, np.int32)
        return data, LabelIds(data)
    except (MemoryError, ValueError) as error:  # ValueError: no array can be as large
        raise UserError(
            f"There is not enough memory for labels of the shape of '{image.name}': "
            "open fewer of its planes."
        ) from error
