"""What the view shows of a record: its plane, and its region as a shapes layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Shapes

from ...provenance.record import SourceImage
from ..layers.geometry import layer_shape, viewer_unit_lengths
from ..layers.image_source import ImageSource, create_shapes_layer
from ..layers.metadata_keys import REGION_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel


def show_recorded_plane(viewer: ViewerModel, image: Image, source: SourceImage) -> None:
    """Move the dimension sliders to the plane of a record."""
    known = image.multiscale and source.level < len(image.level_shapes)
    level = np.asarray(image.level_shapes[source.level] if known else layer_shape(image))
    full = np.asarray(layer_shape(image))
    shown = source.index[: image.ndim]  # without a colour of RGB
    index = np.array([0 if at is None else at for at in shown], float)
    if known:
        index = index * full // level[: image.ndim]
    world = np.asarray(image.data_to_world(index)) / viewer_unit_lengths(viewer, image)
    offset = viewer.dims.ndim - image.ndim
    for axis, at in enumerate(shown):
        if at is not None:
            viewer.dims.set_point(axis + offset, world[axis])


def draw_recorded_region(
    viewer: ViewerModel, source: ImageSource, polygons: Sequence[Any]
) -> Shapes:
    """Draw the region of a record on its image, replacing one drawn before."""
    key = str(source.image.unique_id)
    active = viewer.layers.selection.active
    for layer in list(viewer.layers):
        if layer.metadata.get(REGION_KEY) == key:
            viewer.layers.remove(layer)
    shapes = create_shapes_layer(source, polygons, f"{source.image.name} region")
    shapes.metadata = {REGION_KEY: key}
    viewer.add_layer(shapes)
    viewer.layers.selection.active = active
    return shapes
