"""Labels layers that are aligned exactly with the image they were segmented from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from ...errors import UserError
from ...memory import require_memory
from ...provenance.record import Provenance
from .label_ids import LabelIds, LabelsIndex, plane_key
from .labels_record import find_labels_layer, list_written_planes, write_record
from .labels_state import LabelsState
from .metadata_keys import LABELS_LAYER_ENDING
from .placement import LayerPlacement, can_hold, set_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel


def show_labels(
    viewer: ViewerModel,
    image: Image,
    placement: LayerPlacement,
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
    placement : LayerPlacement
        Of the segmented plane.
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
    layer = find_labels_layer(viewer, image, len(placement.shape))
    data, ids = _allocate_labels(image, placement.shape, layer)
    ids.write(data, placement.index, labels, inside)
    if layer is None:
        layer = Labels(data, name=f"{image.name}{LABELS_LAYER_ENDING}", **placement.geometry)
        # before it is shown: all docks ask at once which image it is of
        write_record(layer, image, placement.index, provenance)
        viewer.add_layer(layer)
    else:
        if layer.data.shape != data.shape:
            LabelsState.of(layer).forget_written()
        layer.data = data  # another array also has no undo history, which belongs to the old one
        set_geometry(layer, placement)
        write_record(layer, image, placement.index, provenance)
    LabelsState.of(layer).ids = ids
    return layer


def record_planes(
    layer: Labels, image: Image, indices: Sequence[LabelsIndex], provenance: Provenance
) -> None:
    """Record planes that were written, with what was left out of all planes of the layer.

    Parameters
    ----------
    layer : napari.layers.Labels
    image : napari.layers.Image
    indices : sequence of tuple of (int or slice)
        Of the planes; the last is the one that was written last.
    provenance : Provenance
        Of that plane.
    """
    *others, last = indices
    if len(last) > 2:
        planes = {plane_key(index) for index in indices} | set(list_written_planes(layer))
        provenance = replace(provenance, left_out=LabelsState.of(layer).count_left_out(planes))
    write_record(layer, image, last, provenance, others)


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
    if not can_hold(data, data.shape, np.int32):  # such as a memory-mapped file
        layer.data = data = np.array(data, np.int32)
    LabelsState.of(layer).ids.write(data, placement.index, labels, inside)
    if refresh:
        layer.refresh(extent=False)


def check_labels_memory(image: Image, placement: LayerPlacement, layer: Labels | None) -> None:
    """Raise an error if there is not enough memory for the labels of an image.

    Raises
    ------
    UserError
        With what to do.
    """
    if layer is None or layer.data.shape != placement.shape:
        require_memory(
            np.dtype(np.int32).itemsize * math.prod(placement.shape),
            f"Labels of the shape of '{image.name}' need",
            "open fewer of its planes.",
        )
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
        if can_hold(data, shape, np.int32):
            return data, LabelsState.of(layer).ids
        data = np.array(data, np.int32)
        return data, LabelIds(data)
    except (MemoryError, ValueError) as error:  # ValueError: larger than any array
        raise UserError(
            f"There is not enough memory for labels of the shape of '{image.name}': "
            "open fewer of its planes."
        ) from error
