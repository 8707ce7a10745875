"""What is segmented: which plane, channel, resolution and region of which image layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Shapes
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import Channel, PlaneIndex, guess_channel_axis
from napari_nuclei_unet.arrays.boxes import Region
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.common.preferences import get_preference
from napari_nuclei_unet.widgets.layers.geometry import (
    is_flat,
    is_same_array,
    layer_shape,
    pixel_to_world,
    plane_on_view,
    viewer_unit_lengths,
    world_to_positions,
)
from napari_nuclei_unet.widgets.layers.label_ids import index_plane_axes
from napari_nuclei_unet.widgets.layers.labels_layer import get_layer_placement

if TYPE_CHECKING:
    from napari.components import ViewerModel

WHOLE_IMAGE, VISIBLE_REGION = "whole image", "what the view shows"
CanvasSize = tuple[int, int] | None
# Corners of the polygon that stands for an ellipse.
ELLIPSE_VERTICES = 64


@dataclass(frozen=True, eq=False)
class ImageSource:
    """One plane of an image layer, and what of it is segmented.

    Attributes
    ----------
    image : napari.layers.Image
    data : array, or list of arrays
        Of the layer when it was clicked; it may be given another one while a thread reads.
    plane_index : Cut
        The plane, at full resolution.
    level : int
        Of a multiscale layer; 0 is full resolution.
    region : Region or None
        In pixels of the full plane; None: all of it.
    """

    image: Image
    data: Any
    plane_index: PlaneIndex
    level: int
    region: Region | None

    @property
    def key(self) -> tuple[Any, ...]:
        """Says which plane it is; the same for all its regions."""
        return str(self.image.unique_id), self.plane_index, self.level

    @property
    def is_current(self) -> bool:
        """Whether the layer still has the array that was taken."""
        return is_same_array(self.image.data, self.data)

    def at_plane(self, plane_index: PlaneIndex) -> ImageSource:
        """Give another plane of the same array, at the same level, and of the same region."""
        return dataclasses.replace(self, plane_index=plane_index)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the full plane in pixels."""
        rows, columns = plane_axes(self.plane_index)
        return self.full_resolution.shape[rows], self.full_resolution.shape[columns]

    @property
    def full_resolution(self) -> Any:
        """The layer's array at full resolution; only to be sliced."""
        return self.data[0] if self.image.multiscale else self.data

    @property
    def pixels(self) -> Any:
        """The layer's array at the level; only to be sliced."""
        return self.data[self.level] if self.image.multiscale else self.data

    @property
    def plane_index_at_level(self) -> PlaneIndex:
        """The plane in ``pixels``: other axes may be coarser, too."""
        full, here = self.full_resolution.shape, self.pixels.shape
        index = tuple(
            None if at is None else at * new // old
            for at, old, new in zip(self.plane_index.index, full, here, strict=False)
        )
        return PlaneIndex(index, self.plane_index.channel_axis)

    @property
    def region_at_level(self) -> Region | None:
        """The region in pixels of the plane at the level."""
        return None if self.region is None else self.region.scaled(self.shape, self.shape_at_level)

    @property
    def shape_at_level(self) -> tuple[int, int]:
        """Height and width of the plane in ``pixels``."""
        rows, columns = plane_axes(self.plane_index)
        return self.pixels.shape[rows], self.pixels.shape[columns]

    @property
    def axes(self) -> str:
        """A letter for every axis, as the command line takes them."""
        letters = iter("TZPQRSUVW")
        names = dict(zip(plane_axes(self.plane_index), "YX", strict=True))
        if self.plane_index.channel_axis is not None:
            names[self.plane_index.channel_axis] = "C"
        return "".join(
            names.get(axis) or next(letters) for axis in range(len(self.plane_index.index))
        )

    @property
    def path(self) -> Path | None:
        """The file that the layer was opened from, if it was."""
        return Path(self.image.source.path) if self.image.source.path else None


def plane_axes(plane_index: PlaneIndex) -> tuple[int, int]:
    """Give the two axes of the plane that a cut leaves."""
    rows, columns = (
        axis
        for axis, at in enumerate(plane_index.index)
        if at is None and axis != plane_index.channel_axis
    )
    return rows, columns


def candidate_channel_axes(image: Image) -> list[int]:
    """Axes of a layer that may hold channels: all, where there are more than two."""
    return list(range(image.ndim)) if image.ndim > 2 else []


def guess_layer_channel_axis(image: Image) -> int | None:
    """Guess from names and lengths which axis holds channels; None: none does."""
    return guess_channel_axis(layer_shape(image), image.axis_labels)


@dataclass(frozen=True, eq=False)
class SourceOptions:
    """What the form says of an image.

    Attributes
    ----------
    channel_axis : int, optional
    channel : int, "mean" or None
        None: the one on view.
    level : int
    region : str or napari.layers.Shapes
        ``WHOLE_IMAGE``, ``VISIBLE_REGION``, or a layer of rectangles and polygons.
    """

    channel_axis: int | None = None
    channel: Channel | None = None
    level: int = 0
    region: str | Shapes = WHOLE_IMAGE


def source_on_view(
    viewer: ViewerModel, image: Image, choice: SourceOptions, canvas_size: CanvasSize = None
) -> ImageSource:
    """Find out what a layer, the view and the form say that shall be segmented.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
    choice : Choice
    canvas_size : (int, int), optional
        Height and width of the canvas; without a window what napari remembers is taken.

    Returns
    -------
    Source

    Raises
    ------
    UserError
        If that is nothing.
    """
    cut, where = (
        _plane_index_on_view(viewer, image, choice.channel_axis, choice.channel),
        choice.region,
    )
    source = ImageSource(image, image.data, cut, choice.level, None)
    if where == WHOLE_IMAGE:
        return source
    if isinstance(where, Shapes):
        polygons = _drawn_polygons(viewer, image, cut, where)
    else:
        polygons = [_visible_polygon(viewer, image, cut, canvas_size)]
    region = Region.of(polygons)
    if not region.meets(source.shape):  # cheap; the thread finds out exactly
        raise UserError(
            f"The view shows no pixel of '{image.name}': move it over what is to be segmented."
            if where == VISIBLE_REGION
            else f"The shapes of '{where}' cover no pixel of '{image.name}': draw them on it."
        )
    return ImageSource(image, source.data, cut, choice.level, region)


def _plane_index_on_view(
    viewer: ViewerModel, image: Image, channel_axis: int | None, channel: Channel | None
) -> PlaneIndex:
    plane = plane_on_view(viewer, image, channel_axis)
    index = [None if isinstance(at, slice) else at for at in plane]
    if channel_axis is None or channel is None:
        return PlaneIndex(tuple(index), channel_axis)
    length = layer_shape(image)[channel_axis]
    if channel != "mean" and not 0 <= channel < length:
        raise UserError(
            f"'{image.name}' has no channel {channel} on its axis {channel_axis}: they count from "
            f"0 to {length - 1}."
        )
    index[channel_axis] = None if channel == "mean" else channel
    return PlaneIndex(tuple(index), channel_axis)


def _visible_polygon(
    viewer: ViewerModel, image: Image, plane_index: PlaneIndex, canvas_size: CanvasSize
) -> Iterable[Any]:
    """Corners of what the view shows, in pixels of the plane."""
    if viewer.dims.ndisplay != 2:
        raise UserError("In a 3-D view nothing says which part is meant: choose the whole image.")
    shown = list(plane_axes(plane_index))
    if canvas_size is None or viewer.grid.enabled:  # without a window, or in one of several views
        low, high = np.asarray(image.corner_pixels, float)[:, shown]
        if image.multiscale:
            low, high = np.multiply((low, high), image.downsample_factors[image.data_level][shown])
        return [low.tolist(), [low[0], high[1]], high.tolist(), [high[0], low[1]]]
    camera = getattr(viewer, "scene", viewer).camera
    centre = np.asarray(camera.center)[-2:]
    half = np.asarray(canvas_size) / camera.zoom / 2
    corners = [centre + half * sign for sign in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    displayed = list(viewer.dims.displayed)
    world = np.tile(np.asarray(viewer.dims.point, float), (4, 1))
    world[:, displayed] = corners
    return _world_to_plane(
        image, shown, world[:, -image.ndim :] * viewer_unit_lengths(viewer, image)
    ).tolist()


def _drawn_polygons(
    viewer: ViewerModel, image: Image, plane_index: PlaneIndex, shapes: Shapes
) -> list[Any]:
    """Polygons of a shapes layer on the plane, in its pixels."""
    if not shapes.nshapes:
        raise UserError(
            f"'{shapes.name}' has no shape: draw rectangles or polygons around what is wanted."
        )
    kinds = set(shapes.shape_type)
    if not kinds <= {"rectangle", "polygon", "ellipse"}:
        raise UserError(
            f"'{shapes.name}' holds a line or path, which encloses nothing: use rectangles and "
            "polygons only."
        )
    made = []
    for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
        outline = shape_outline(corners, kind)
        world = np.array([shapes.data_to_world(corner) for corner in outline])
        full = np.tile(np.asarray(viewer.dims.point, float), (len(world), 1))
        full[:, -shapes.ndim :] = world / viewer_unit_lengths(viewer, shapes)
        here = full[:, -image.ndim :] * viewer_unit_lengths(viewer, image)
        if _is_on_plane(image, plane_index, shapes.ndim, here[0]):
            made.append(_world_to_plane(image, list(plane_axes(plane_index)), here).tolist())
    if not made:
        raise UserError(f"'{shapes.name}' has no shape on the plane that the view shows.")
    return made


def create_shapes_layer(source: ImageSource, polygons: Sequence[Any], name: str) -> Shapes:
    """Make a shapes layer of polygons in pixels of the plane of a source."""
    place = get_layer_placement(source.image, source.plane_index)
    outlines = []
    for polygon in polygons:
        outline = np.zeros((len(polygon), len(place.shape)))
        outline[:] = [0 if isinstance(at, slice) else at for at in place.index]
        outline[:, index_plane_axes(place.index)] = polygon
        outlines.append(outline)
    return Shapes(
        outlines, shape_type="polygon", name=name, face_color="transparent", edge_color="yellow",
        **place.geometry,
    )  # fmt: skip


def shape_outline(corners: Any, kind: str) -> NDArray[np.float64]:
    """Corners of a shape; of an ellipse so many that they are as good as round."""
    return _ellipse_outline(corners) if kind == "ellipse" else np.asarray(corners, float)


def _ellipse_outline(corners: NDArray[np.floating]) -> NDArray[np.float64]:
    """Outline of the ellipse in a parallelogram."""
    centre = np.mean(corners, axis=0)
    one, other = (np.asarray(corners[i]) - np.asarray(corners[0]) for i in (1, 3))
    turns = np.linspace(0, 2 * math.pi, ELLIPSE_VERTICES, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(turns) * one / 2 + np.sin(turns) * other / 2)


def _is_on_plane(
    image: Image, plane_index: PlaneIndex, ndim: int, point: NDArray[np.floating]
) -> bool:
    """Whether a point of a shape lies on the plane; one without these axes lies on all."""
    hidden = [
        axis
        for axis, at in enumerate(plane_index.index)
        if at is not None and axis != plane_index.channel_axis and axis - image.ndim + ndim >= 0
    ]
    return world_to_positions(image, hidden, point) == [plane_index.index[axis] for axis in hidden]


def _world_to_plane(
    image: Image, axes: list[int], world: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Places of the world, in the layer's units, in pixels along two axes; others play no part.

    napari draws a plane of a layer as if the other axes were not there.
    """
    origin, linear = pixel_to_world(image)
    if is_flat(linear, axes):
        raise UserError(
            f"'{image.name}' is turned so that the view shows no area of its planes: turn it "
            "back, or choose the whole image."
        )
    forward = linear[np.ix_(axes, axes)]
    offsets = (world - origin)[:, axes]
    return np.asarray(np.linalg.solve(forward, offsets.T).T, np.float64)


def check_offline(image: Layer) -> None:
    """Refuse an image of the network where Preferences forbid that."""
    address = str(image.source.path or "")
    if get_preference("offline") and "://" in address:
        raise UserError(
            f"The image '{image.name}' comes from the network ({address}), which is "
            "switched off in Preferences ▸ Nuclei U-Net ▸ Offline."
        )
