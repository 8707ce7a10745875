"""Navigation of the view to a nucleus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from ...arrays.boxes import Box
from ..common.key_bindings import unwrap_proxy
from .geometry import layer_shape, viewer_unit_lengths, world_to_positions
from .label_ids import LabelsIndex

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Width of a nucleus in screen pixels: outside of the limits the view is zoomed.
MIN_SCREEN_WIDTH, ZOOMED_SCREEN_WIDTH, MAX_SCREEN_WIDTH = 50, 120, 400


def viewer_camera(viewer: ViewerModel) -> Any:
    """Return the camera of a viewer, which belongs to its scene from napari 0.9 on."""
    return getattr(viewer, "scene", viewer).camera


def fit_view(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Zoom to layers, whatever else is open.

    Before napari 0.9 to all of them; so, too, where an axis of the view is none of these layers,
    as of planes beside a stack: napari 0.9 raises an IndexError there.
    """
    viewer = unwrap_proxy(viewer)
    has_all_axes = max((layer.ndim for layer in layers), default=0) == viewer.dims.ndim
    if has_all_axes and hasattr(viewer, "scene"):  # as from 0.9 on
        viewer.fit_to_view(layers=[unwrap_proxy(layer) for layer in layers])
    else:
        viewer.reset_view()


@contextmanager
def keeping_slices(viewer: ViewerModel, image: Image) -> Iterator[None]:
    """Change the scale of an image inside the block; the view shows the same of its slices.

    napari keeps the position in the world, which is then another slice.
    """
    offset = viewer.dims.ndim - image.ndim
    point = np.asarray(viewer.dims.point, float)[offset:] * viewer_unit_lengths(viewer, image)
    position = world_to_positions(image, list(range(image.ndim)), point)
    yield
    world = np.asarray(image.data_to_world(position)) / viewer_unit_lengths(viewer, image)
    for axis, length in enumerate(layer_shape(image)):
        if 0 <= position[axis] < length:  # or the view shows nothing of the image
            viewer.dims.set_point(axis + offset, float(world[axis]))


def navigate_to_box(viewer: ViewerModel, layer: Labels, index: LabelsIndex, box: Box) -> None:
    """Centre a box of a plane, and zoom if it would be tiny or huge.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    index : tuple of int and slice
        Of the plane.
    box : (slice, slice)
        In pixels of the plane.
    """
    edges = iter(box)
    pairs = [
        (part.start, part.stop - 1) if isinstance(at, slice) else (at, at)
        for at in index
        for part in ([next(edges)] if isinstance(at, slice) else [slice(0, 0)])
    ]
    units = viewer_unit_lengths(viewer, layer)
    low, high = (
        np.asarray(layer.data_to_world(corner)) / units for corner in zip(*pairs, strict=True)
    )
    centre, offset = (low + high) / 2, viewer.dims.ndim - layer.ndim
    displayed = [axis - offset for axis in viewer.dims.displayed if axis >= offset]
    for axis in range(layer.ndim):
        if axis not in displayed:
            viewer.dims.set_point(axis + offset, centre[axis])
    if not displayed:  # the view is along other axes
        return
    camera = viewer_camera(viewer)
    camera.center = (*camera.center[: -len(displayed)], *centre[displayed])
    width = float(np.abs(high - low)[displayed].max()) or 1.0
    if not MIN_SCREEN_WIDTH <= width * camera.zoom <= MAX_SCREEN_WIDTH:
        camera.zoom = ZOOMED_SCREEN_WIDTH / width
