"""Names of the channels of an image layer, which its file has and napari does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

from .geometry import layer_shape
from .image_file import get_layer_path
from .metadata_keys import CHANNEL_NAMES_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel


def set_channel_names(viewer: ViewerModel, path: str, names: Sequence[str]) -> None:
    """Set the names of the channels of a file on its layers, unless they have some."""
    for layer in viewer.layers:
        if isinstance(layer, Image) and get_layer_path(layer) == path:
            layer.metadata = {CHANNEL_NAMES_KEY: tuple(names), **layer.metadata}


def find_channel_names(image: Image, axis: int | None) -> tuple[str, ...]:
    """Return the names of all channels along an axis; empty where they are not known."""
    names = tuple(map(str, image.metadata.get(CHANNEL_NAMES_KEY, ())))
    if axis is None or axis >= image.ndim or len(names) != layer_shape(image)[axis]:
        return ()
    return names if len(set(names)) == len(names) else ()
