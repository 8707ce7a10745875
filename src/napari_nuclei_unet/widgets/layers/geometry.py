"""Where an image layer lies in the world, and which of its planes is on view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.label_ids import LabelsIndex

if TYPE_CHECKING:
    from napari.components import ViewerModel


# Sine, about, of the angle between steps that are no longer told apart: more than what is left of
# zero in single precision, or beside a large translation; less than any microscope's shear.
FLAT = 1e-6


def full_resolution_data(image: Image) -> Any:
    """Full resolution of an image layer, as it is stored: never copied, never computed here."""
    return image.data[0] if image.multiscale else image.data


def is_same_array(one: Any, other: Any) -> bool:
    """Whether two are one array; in a window a plugin gets proxies, which are new every time."""
    return getattr(one, "__wrapped__", one) is getattr(other, "__wrapped__", other)


def layer_shape(image: Image) -> tuple[int, ...]:
    """Shape of an image layer without its colour axis."""
    return tuple(full_resolution_data(image).shape[: image.ndim])


def plane_on_view(
    viewer: ViewerModel, image: Image, channel_axis: int | None = None
) -> LabelsIndex:
    """Index of the plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
        Of two or more dimensions; of a 3-D view the plane of the last two axes is taken.
    channel_axis : int, optional
        Is no axis of the plane, even if it is shown as one.

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
    """Axes of a layer beside the plane that :func:`plane_on_view` takes; channels are one."""
    offset = viewer.dims.ndim - image.ndim
    able = [axis for axis in range(image.ndim) if axis != channel_axis]
    shown = [axis - offset for axis in viewer.dims.displayed if axis - offset in able]
    if len(shown) != 2:
        shown = able[-2:]
    return [axis for axis in range(image.ndim) if axis not in shown]


def is_on_view(viewer: ViewerModel, image: Image, plane_index: PlaneIndex) -> bool:
    """Whether the view shows a plane, or crosses it; a volume would be too slow to draw often."""
    if viewer.dims.ndisplay != 2:
        return False
    try:
        view = plane_on_view(viewer, image, plane_index.channel_axis)
    except UserError:  # it shows nothing of this image
        return False
    here = [None if isinstance(at, slice) else at for at in view]
    channel = plane_index.channel_axis
    ours = [at for axis, at in enumerate(plane_index.index) if axis != channel]
    theirs = [at for axis, at in enumerate(here) if axis != channel]
    crossed = [at is None for at in ours] != [at is None for at in theirs]
    return crossed or ours == theirs


def viewer_unit_lengths(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Length of the viewer's unit along each axis of a layer, in the units of the layer.

    The sliders and the camera of napari count in units that all layers share; what a layer says of
    itself, such as ``data_to_world``, is in its own.
    """
    shared = getattr(viewer.layers, "units", None)
    if shared is None or len(shared) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(shared[-layer.ndim :], layer.units, strict=True)
    return np.array([1.0 if a == b else (1 * a).to(b).magnitude for a, b in pairs])


def world_to_positions(image: Image, axes: list[int], point: NDArray[np.floating]) -> list[int]:
    """Where a point of the world, in the layer's units, lies along some axes, in its pixels.

    As napari slices: these axes are inverted by themselves, so that in a rotated or sheared
    layer the place in the other ones plays no part.
    """
    if not axes:
        return []
    origin, linear = pixel_to_world(image)
    inverse = np.linalg.inv(linear)
    place = inverse[np.ix_(axes, axes)] @ point[axes] - (inverse @ origin)[axes]
    return np.round(place).astype(int).tolist()


def pixel_to_world(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place of pixel 0 in the world, and the matrix whose columns are steps of one pixel."""
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)), float)
    steps = [np.asarray(image.data_to_world(unit), float) - origin for unit in np.eye(image.ndim)]
    return origin, np.array(steps).T


def check_invertible(image: Image) -> None:
    """Refuse a layer that is flattened.

    Raises
    ------
    UserError
        If pixels have no place of their own in the world.
    """
    origin, linear = pixel_to_world(image)
    if not np.isfinite(origin).all() or is_flat(linear):
        raise UserError(
            f"The layer '{image.name}' is flattened by its scale or affine, so that its pixels "
            "have no place of their own: give it one that can be inverted."
        )


def is_flat(linear: NDArray[np.floating], axes: list[int] | None = None) -> bool:
    """Whether steps of one pixel, the columns, are zero or as good as parallel; seen along axes.

    What `inv` does with such a matrix says nothing: where one processor rounds to zero and it
    raises, the next divides by what rounding has left. Hence a limit far above rounding.
    """
    if not np.isfinite(linear).all() or not (length := np.linalg.norm(linear, axis=0)).all():
        return True
    steps = linear / length
    seen = steps if axes is None else steps[np.ix_(axes, axes)]
    return bool(np.linalg.svd(seen, compute_uv=False)[-1] < FLAT)
