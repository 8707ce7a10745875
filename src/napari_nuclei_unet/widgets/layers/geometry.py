"""The position of an image layer in the world, and its plane on view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from .array_reference import unwrap_array
from .label_ids import LabelsIndex, plane_key

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Approximate sine of the angle below which steps count as parallel: above the rounding error in
# single precision, or beside a large translation; below the shear of any microscope.
FLAT = 1e-6
# Vertices of the polygon that approximates an ellipse.
ELLIPSE_VERTICES = 64


def full_resolution_data(image: Image) -> Any:
    """Return the array of an image layer at full resolution, neither copied nor computed."""
    return image.data[0] if image.multiscale else image.data


def is_same_array(first: Any, second: Any) -> bool:
    """Return whether two arrays are the same object, apart from the proxies a plugin gets."""
    return unwrap_array(first) is unwrap_array(second)


def layer_shape(image: Image) -> tuple[int, ...]:
    """Return the shape of an image layer without its colour axis."""
    return tuple(full_resolution_data(image).shape[: image.ndim])


def plane_on_view(
    viewer: ViewerModel, image: Image, channel_axis: int | None = None
) -> LabelsIndex:
    """Return the index of the plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        With two or more dimensions; in a 3-D view the plane of the last two axes is taken.
    channel_axis : int, optional
        Never an axis of the plane, even if the view shows it as one.

    Returns
    -------
    tuple of slice and int, one for each axis of the layer
        Two slices, whole axes, and for the others the position of the sliders.

    Raises
    ------
    UserError
        If the layer is empty or flattened, or the sliders stand beyond it.
    """
    check_invertible(image)
    shape = layer_shape(image)
    if 0 in shape:
        raise UserError(f"The image '{image.name}' is empty: its shape is {shape}.")
    offset = viewer.dims.ndim - image.ndim
    index: list[slice | int] = [slice(None)] * image.ndim
    hidden = hidden_axes(viewer, image, channel_axis)
    point = np.asarray(viewer.dims.point, float)[-image.ndim :] * viewer_unit_lengths(viewer, image)
    for axis, position in zip(hidden, world_to_positions(image, hidden, point), strict=True):
        if axis == channel_axis and axis + offset in viewer.dims.displayed:
            position = 0
        if not 0 <= position < shape[axis]:
            raise UserError(
                f"The view shows nothing of '{image.name}': move the sliders to one of its planes."
            )
        index[axis] = position
    return tuple(index)


def hidden_axes(viewer: ViewerModel, image: Image, channel_axis: int | None = None) -> list[int]:
    """Return the axes outside the plane of :func:`plane_on_view`, that of channels included."""
    offset = viewer.dims.ndim - image.ndim
    spatial = [axis for axis in range(image.ndim) if axis != channel_axis]
    displayed = [axis - offset for axis in viewer.dims.displayed if axis - offset in spatial]
    if len(displayed) != 2:
        displayed = spatial[-2:]
    return [axis for axis in range(image.ndim) if axis not in displayed]


def is_on_view(viewer: ViewerModel, image: Image, plane_index: PlaneIndex) -> bool:
    """Return whether the view shows a plane or crosses it; a volume is too slow to redraw often."""
    if viewer.dims.ndisplay != 2:
        return False
    try:
        view = plane_on_view(viewer, image, plane_index.channel_axis)
    except UserError:  # the view shows nothing of this image
        return False
    channel = plane_index.channel_axis
    own = [at for axis, at in enumerate(plane_index.index) if axis != channel]
    viewed = [at for axis, at in enumerate(plane_key(view)) if axis != channel]
    crossed = [at is None for at in own] != [at is None for at in viewed]
    return crossed or own == viewed


def viewer_unit_lengths(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Return the length of the viewer's unit along each axis of a layer, in units of the layer.

    The sliders and the camera of napari use units that all layers share; a layer itself, such as
    in ``data_to_world``, uses its own.
    """
    shared = getattr(viewer.layers, "units", None)
    if shared is None or len(shared) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(shared[-layer.ndim :], layer.units, strict=True)
    return np.array([1.0 if a == b else (1 * a).to(b).magnitude for a, b in pairs])


def world_to_positions(image: Image, axes: list[int], point: NDArray[np.floating]) -> list[int]:
    """Convert a point of the world, in the layer's units, to pixel positions along some axes.

    As napari slices: these axes are inverted by themselves, so that in a rotated or sheared
    layer the position on the others is ignored.
    """
    if not axes:
        return []
    origin, linear = pixel_to_world(image)
    inverse = np.linalg.inv(linear)
    position = inverse[np.ix_(axes, axes)] @ point[axes] - (inverse @ origin)[axes]
    return np.round(position).astype(int).tolist()


def pixel_to_world(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the position of pixel 0 in the world, and the matrix of one-pixel steps as columns."""
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)), float)
    steps = [np.asarray(image.data_to_world(unit), float) - origin for unit in np.eye(image.ndim)]
    return origin, np.array(steps).T


def check_invertible(image: Image) -> None:
    """Refuse a layer that is flattened.

    Raises
    ------
    UserError
        If several pixels share a position in the world.
    """
    origin, linear = pixel_to_world(image)
    if not np.isfinite(origin).all() or is_flat(linear):
        raise UserError(
            f"The layer '{image.name}' is flattened by its scale or affine, so that its pixels "
            "have no place of their own: give it one that can be inverted."
        )


def is_flat(linear: NDArray[np.floating], axes: list[int] | None = None) -> bool:
    """Return whether the columns, steps of one pixel, are zero or almost parallel on some axes.

    `inv` cannot decide this: it raises on a processor that rounds to zero, and divides by the
    rounding error on another. Hence a limit far above rounding.
    """
    if not np.isfinite(linear).all() or not (length := np.linalg.norm(linear, axis=0)).all():
        return True
    steps = linear / length
    steps = steps if axes is None else steps[np.ix_(axes, axes)]
    return bool(np.linalg.svd(steps, compute_uv=False)[-1] < FLAT)


def shape_outline(corners: Any, kind: str) -> NDArray[np.float64]:
    """Return the vertices of a shape; an ellipse, in its box, becomes a polygon of many."""
    if kind != "ellipse":
        return np.asarray(corners, float)
    centre = np.mean(corners, axis=0)
    width, height = (np.asarray(corners[i]) - np.asarray(corners[0]) for i in (1, 3))
    angles = np.linspace(0, 2 * math.pi, ELLIPSE_VERTICES, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angles) * width / 2 + np.sin(angles) * height / 2)
