"""Names of axes of layers: what they mean, and those that napari's own reader leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

from .geometry import layer_shape
from .image_file import get_layer_path

if TYPE_CHECKING:
    from napari.components import ViewerModel

DEPTH_AXIS_NAMES, TIME_AXIS_NAMES = ("z", "depth", "slice"), ("t", "time", "frame")


def set_axis_names(viewer: ViewerModel, path: str, axes: str, shape: tuple[int, ...]) -> None:
    """Set the names of the axes of a file on its layers, unless these have some.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    path : str
        Of the file.
    axes : str
        A letter for each axis, without that of the colours of RGB.
    shape : tuple of int
        Of the image in the file; layers of another shape, as of one channel, are left alone.
    """
    for layer in viewer.layers:
        is_its = isinstance(layer, Image) and get_layer_path(layer) == path
        if is_its and layer_shape(layer) == shape[: len(axes)] and not has_axis_names(layer):
            layer.axis_labels = tuple(axes.lower())


def has_axis_names(image: Image) -> bool:
    """Return whether any axis has a name; napari's default names, such as "-1", are none."""
    return any(name.strip().isalpha() for name in image.axis_labels)
