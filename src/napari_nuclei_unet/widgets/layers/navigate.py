"""Navigation of the view to a nucleus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from ...arrays.boxes import Box
from .geometry import viewer_unit_lengths
from .label_ids import LabelsIndex

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Width of a nucleus in screen pixels: outside of the limits the view is zoomed.
MIN_SCREEN_WIDTH, ZOOMED_SCREEN_WIDTH, MAX_SCREEN_WIDTH = 50, 120, 400


def viewer_camera(viewer: ViewerModel) -> Any:
    """Return the camera of a viewer, which belongs to its scene from napari 0.9 on."""
    return getattr(viewer, "scene", viewer).camera


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
    camera = viewer_camera(viewer)
    camera.center = (*camera.center[: -len(displayed)], *centre[displayed])
    width = float(np.abs(high - low)[displayed].max()) or 1.0
    if not MIN_SCREEN_WIDTH <= width * camera.zoom <= MAX_SCREEN_WIDTH:
        camera.zoom = ZOOMED_SCREEN_WIDTH / width
