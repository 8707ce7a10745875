"""Shapes of the window as polygons in pixels of a plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer, Shapes
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from .geometry import (
    is_flat,
    pixel_to_world,
    shape_outline,
    viewer_unit_lengths,
    world_to_positions,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Shapes that enclose an area.
AREA_KINDS = {"rectangle", "polygon", "ellipse"}


@dataclass(frozen=True, eq=False)
class ShapeOutline:
    """A shape on a plane.

    Attributes
    ----------
    number : int
        Of the shape in its layer, from 0.
    kind : str
        As napari calls it, such as "rectangle".
    vertices : ndarray, shape (n, 2)
        In pixels of the plane; whole numbers are centres of pixels.
    """

    number: int
    kind: str
    vertices: NDArray[np.float64]


def outlines_on_plane(
    viewer: ViewerModel,
    shapes: Shapes,
    layer: Layer,
    plane_index: PlaneIndex,
    axes: tuple[int, int],
) -> Iterator[ShapeOutline]:
    """Yield the outlines of the shapes that lie on a plane of a layer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    shapes : napari.layers.Shapes
    layer : napari.layers.Layer
    plane_index : PlaneIndex
    axes : (int, int)
        Of the plane.

    Raises
    ------
    UserError
        If the layer is turned so that the plane has no area.
    """
    outlines = zip(shapes.shape_type, world_outlines(viewer, shapes, layer), strict=True)
    for number, (kind, points) in enumerate(outlines):
        if _lies_on_plane(layer, plane_index, shapes.ndim, points[0]):
            yield ShapeOutline(number, str(kind), world_to_plane(layer, list(axes), points))


def world_outlines(
    viewer: ViewerModel, shapes: Shapes, layer: Layer
) -> Iterator[NDArray[np.float64]]:
    """Yield the vertices of each shape in the world, with the axes and units of a layer."""
    for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
        world = np.array([shapes.data_to_world(point) for point in shape_outline(corners, kind)])
        points = np.tile(np.asarray(viewer.dims.point, float), (len(world), 1))
        points[:, -shapes.ndim :] = world / viewer_unit_lengths(viewer, shapes)
        yield points[:, -layer.ndim :] * viewer_unit_lengths(viewer, layer)


def _lies_on_plane(
    layer: Layer, plane_index: PlaneIndex, ndim: int, point: NDArray[np.floating]
) -> bool:
    """Return whether a point of a shape lies on the plane, on the axes that the shape has."""
    hidden = [
        axis
        for axis, at in enumerate(plane_index.index)
        if at is not None and axis != plane_index.channel_axis and axis - layer.ndim + ndim >= 0
    ]
    return world_to_positions(layer, hidden, point) == [plane_index.index[axis] for axis in hidden]


def world_to_plane(
    layer: Layer, axes: list[int], world: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Convert world coordinates, in the layer's units, to pixels along two axes.

    Other axes are ignored, as when napari draws a plane of a layer.

    Raises
    ------
    UserError
        If the layer is turned so that the plane has no area.
    """
    origin, linear = pixel_to_world(layer)
    if is_flat(linear, axes):
        raise UserError(
            f"'{layer.name}' is turned so that the view shows no area of its planes: turn it "
            "back, or choose the whole image."
        )
    forward = linear[np.ix_(axes, axes)]
    offsets = (world - origin)[:, axes]
    return np.asarray(np.linalg.solve(forward, offsets.T).T, np.float64)
