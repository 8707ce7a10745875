"""The size of a pixel that is in the file of an image layer, but not in its scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Layer

from .labels_record import get_record_entries
from .navigate import viewer_camera

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
        Of the slices only for the first of three axes, if its name is z, or it has none.
    """
    for layer in [layer for layer in viewer.layers if _lies_on(layer, image)]:
        sizes = {-2: size.y, -1: size.x}
        name = layer.axis_labels[0].lower()
        if size.z is not None and layer.ndim == 3 and (name == "z" or not name.isalpha()):
            sizes[-3] = size.z  # napari's own reader leaves the axes of a file without names
        scale, units = list(layer.scale), list(layer.units)
        for axis, length in sizes.items():
            scale[axis], units[axis] = length, MICROMETER
        layer.units = units
        layer.scale = scale
    _keep_view(viewer, size)


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
