"""The size of a pixel that is in a file, or was typed, set on an image and what lies on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels, Layer

from .geometry import layer_shape
from .image_file import get_layer_path
from .labels_record import get_record_entries
from .metadata_keys import OVERLAY_KEYS, is_overlay
from .navigate import keeping_slices, viewer_camera

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...io.file_pixel_size import PixelSize

MICROMETER = "micrometer"


def find_local_file(image: Image | None) -> Path | None:
    """Find the file that an image was opened from; None if it is none of this computer."""
    if image is None or not image.source.path:
        return None
    path = Path(image.source.path)
    return path if path.exists() else None  # an address of the network does not


def set_pixel_size(viewer: ViewerModel, image: Image, size: PixelSize) -> None:
    """Set the scale of an image, and of all layers that lie on it, in micrometers.

    These are others of the same file, labels that were made from it, and what was drawn in napari,
    as far as they have no size either: they stay aligned.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
    size : PixelSize
        Of the slices for an axis named z, or the first of three without a name.
    """
    with keeping_slices(viewer, image):
        for layer in [layer for layer in viewer.layers if _lies_on(layer, image)]:
            sizes = {-2: size.y, -1: size.x}
            depth = _find_depth(layer)
            if size.z is not None and depth is not None:
                sizes[depth] = size.z
            scale, units = list(layer.scale), list(layer.units)
            for axis, length in sizes.items():
                scale[axis], units[axis] = length, MICROMETER
            layer.units = units
            layer.scale = scale
    _keep_view(viewer, size)


def _find_depth(layer: Layer) -> int | None:
    """Find the axis of slices, counted from the end."""
    names = [name.lower() for name in layer.axis_labels]
    if "z" in names[:-2]:
        return names.index("z") - layer.ndim
    # napari's own reader leaves the axes of a file without names
    return -3 if layer.ndim == 3 and not names[0].isalpha() else None


def set_slice_step(viewer: ViewerModel, image: Image, axis: int, step: float) -> None:
    """Set the distance between the slices of an image, and of all layers that lie on it.

    These are other channels, labels that were made from any of them, corrected or not, and what
    was drawn in napari, if their slices are as far apart as those of the image: they stay aligned.
    The view shows the same slice.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
    axis : int
        Of the image.
    step : float
        In units of the layers.
    """
    from_end = axis - image.ndim
    with keeping_slices(viewer, image):
        for layer in _list_aligned(viewer, image, from_end):
            scale = list(layer.scale)
            scale[from_end] = step if scale[from_end] > 0 else -step  # it may be turned over
            layer.scale = scale


def _list_aligned(viewer: ViewerModel, image: Image, axis: int) -> list[Layer]:
    """List an image, and the layers on it whose slices along an axis are as far apart."""
    step, length = image.scale[axis], layer_shape(image)[axis]
    alike = [
        layer for layer in viewer.layers
        if layer.ndim >= -axis and np.isclose(layer.scale[axis], step)
    ]  # fmt: skip
    channels = {str(layer.unique_id) for layer in alike if _is_channel(layer, image)}

    def lies_on(layer: Layer) -> bool:
        shown = (layer.metadata.get(key) for key in OVERLAY_KEYS)
        owner = get_record_entries(layer).get("image") or next(filter(None, shown), None)
        if owner is not None or isinstance(layer, Image):
            return owner in channels or str(layer.unique_id) in channels
        is_drawn = not layer.source.path
        is_labels = isinstance(layer, Labels)
        return is_drawn and (not is_labels or layer_shape(layer)[axis] == length)

    return [layer for layer in alike if lies_on(layer)]


def _is_channel(layer: Layer, image: Image) -> bool:
    """Return whether a layer is an image, or another channel of its file."""
    if not isinstance(layer, Image) or is_overlay(layer):
        return False
    same_shape = layer.ndim == image.ndim and layer_shape(layer) == layer_shape(image)
    same_place = same_shape and np.allclose(layer.scale, image.scale)
    return layer == image or (same_place and get_layer_path(layer) == get_layer_path(image))


def _keep_view(viewer: ViewerModel, size: PixelSize) -> None:
    """Move the camera so that it shows the same part of the image as before."""
    camera = viewer_camera(viewer)
    depth, y, x = camera.center
    camera.center = (depth, y * size.y, x * size.x)
    camera.zoom /= size.x


def is_sizeless(layer: Layer) -> bool:
    """Return whether the last two axes of a layer have no unit, and a pixel is 1 by 1."""
    plain = all(str(unit) == "pixel" for unit in layer.units[-2:])
    return plain and list(layer.scale[-2:]) == [1, 1] and not any(layer.translate[-2:])


def _lies_on(layer: Layer, image: Image) -> bool:
    if layer == image:
        return True
    if not is_sizeless(layer):
        return False
    if layer.source.path:
        return bool(layer.source.path == image.source.path)
    source = get_record_entries(layer).get("image")
    if source is not None:
        return bool(source == str(image.unique_id))
    return not isinstance(layer, Image)
