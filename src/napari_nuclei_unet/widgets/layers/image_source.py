"""The source of a segmentation: plane, channel, resolution and region of an image layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Shapes

from ...arrays.axes import Channel, PlaneIndex, guess_channel_axis
from ...arrays.roi import Region
from ...errors import UserError
from ..common.preferences import get_preference
from .geometry import is_same_array, layer_shape, plane_on_view, viewer_unit_lengths
from .image_file import get_layer_path
from .label_ids import index_plane_axes, plane_key
from .placement import LayerPlacement, get_layer_placement
from .plane_outlines import AREA_KINDS, outlines_on_plane, world_to_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel

WHOLE_IMAGE, VISIBLE_REGION = "whole image", "what the view shows"
CanvasSize = tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class ImageSource:
    """One plane of an image layer, and the region of it to segment.

    Attributes
    ----------
    image : napari.layers.Image
    data : array, or list of arrays
        Of the layer at the click; it may be replaced while a thread reads.
    plane_index : PlaneIndex
        The plane, at full resolution; of one colour of RGB its last axis is that of colours.
    level : int
        Of a multiscale layer; 0 is full resolution.
    region : Region or None
        In pixels of the full plane; None: all of it.
    is_view : bool
        Whether the region is what the view showed.
    """

    image: Image
    data: Any
    plane_index: PlaneIndex
    level: int
    region: Region | None
    is_view: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity of the plane; the same for all its regions."""
        return str(self.image.unique_id), self.plane_index, self.level

    @property
    def is_current(self) -> bool:
        """Whether the layer still has this array."""
        return is_same_array(self.image.data, self.data)

    def at_plane(self, plane_index: PlaneIndex) -> ImageSource:
        """Return the source of another plane, at the same level and with the same region."""
        return dataclasses.replace(self, plane_index=plane_index)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the full plane in pixels."""
        rows, columns = plane_axes(self.plane_index)
        return self.full_resolution.shape[rows], self.full_resolution.shape[columns]

    @property
    def full_resolution(self) -> Any:
        """The layer's array at full resolution; slice it only."""
        return self.data[0] if self.image.multiscale else self.data

    @property
    def pixels(self) -> Any:
        """The layer's array at the level; slice it only."""
        return self.data[self.level] if self.image.multiscale else self.data

    @property
    def plane_index_at_level(self) -> PlaneIndex:
        """The plane in ``pixels``, whose other axes may be coarser, too."""
        full, reduced = self.full_resolution.shape, self.pixels.shape
        index = tuple(
            None if at is None else at * new // old
            for at, old, new in zip(self.plane_index.index, full, reduced, strict=False)
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
        """A letter for every axis, as on the command line."""
        letters = iter("TZPQRSUVW")
        names = dict(zip(plane_axes(self.plane_index), "YX", strict=True))
        if self.plane_index.channel_axis is not None:
            names[self.plane_index.channel_axis] = "C"
        return "".join(
            names.get(axis) or next(letters) for axis in range(len(self.plane_index.index))
        )

    @property
    def placement(self) -> LayerPlacement:
        """The placement of its results; computed from the layer as it is now."""
        return get_layer_placement(self.image, self.plane_index)

    @property
    def path(self) -> Path | None:
        """The file that the layer was opened from, if any."""
        path = get_layer_path(self.image)
        return Path(path) if path else None


def plane_axes(plane_index: PlaneIndex) -> tuple[int, int]:
    """Return the two axes of a plane."""
    rows, columns = (
        axis
        for axis, at in enumerate(plane_index.index)
        if at is None and axis != plane_index.channel_axis
    )
    return rows, columns


def guess_layer_channel_axis(image: Image) -> int | None:
    """Guess the channel axis from names and lengths; None: there is none."""
    return guess_channel_axis(layer_shape(image), image.axis_labels)


def list_levels(image: Image | None) -> list[tuple[str, int]]:
    """Return the levels of an image, each with its shape as text."""
    if image is None or not image.multiscale:
        return [("0", 0)]
    return [
        (f"{level}: {' x '.join(map(str, shape[: image.ndim]))}", level)
        for level, shape in enumerate(map(tuple, image.level_shapes))
    ]


@dataclass(frozen=True, eq=False)
class SourceOptions:
    """Values of the form for an image.

    Attributes
    ----------
    channel_axis : int, optional
        That behind the last is the one of the colours of RGB.
    channel : int, "mean" or None
        None: the one on view, or all colours together.
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
    """Determine the source that a layer, the view and the form specify.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
    choice : SourceOptions
    canvas_size : (int, int), optional
        Height and width of the canvas; without a window, the corners stored by napari are used.

    Returns
    -------
    ImageSource

    Raises
    ------
    UserError
        If there is nothing to segment.
    """
    plane_index = _plane_index_on_view(viewer, image, choice.channel_axis, choice.channel)
    source = ImageSource(image, image.data, plane_index, choice.level, None)
    if choice.region == WHOLE_IMAGE:
        return source
    if isinstance(choice.region, Shapes):
        polygons = _drawn_polygons(viewer, image, plane_index, choice.region)
    else:
        polygons = [_visible_polygon(viewer, image, plane_index, canvas_size)]
    region = Region.of(polygons)
    if not region.meets(source.shape):  # a cheap test; the thread makes the exact one
        raise UserError(
            f"The view shows no pixel of '{image.name}': move it over what is to be segmented."
            if choice.region == VISIBLE_REGION
            else f"The shapes of '{choice.region}' cover no pixel of '{image.name}': "
            "draw them on it."
        )
    return dataclasses.replace(source, region=region, is_view=choice.region == VISIBLE_REGION)


def _plane_index_on_view(
    viewer: ViewerModel, image: Image, channel_axis: int | None, channel: Channel | None
) -> PlaneIndex:
    index: list[int | None] = list(plane_key(plane_on_view(viewer, image, channel_axis)))
    if channel_axis == image.ndim:
        if not isinstance(channel, int):
            return PlaneIndex(tuple(index))
        return PlaneIndex((*index, channel), channel_axis)
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
    """Return the corners of the view, in pixels of the plane."""
    if viewer.dims.ndisplay != 2:
        raise UserError("In a 3-D view nothing says which part is meant: choose the whole image.")
    axes = list(plane_axes(plane_index))
    if canvas_size is None or viewer.grid.enabled:  # without a window, or in one of several views
        low, high = np.asarray(image.corner_pixels, float)[:, axes]
        if image.multiscale:
            low, high = np.multiply((low, high), image.downsample_factors[image.data_level][axes])
        return [low.tolist(), [low[0], high[1]], high.tolist(), [high[0], low[1]]]
    camera = getattr(viewer, "scene", viewer).camera
    centre = np.asarray(camera.center)[-2:]
    half = np.asarray(canvas_size) / camera.zoom / 2
    corners = [centre + half * sign for sign in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    displayed = list(viewer.dims.displayed)
    world = np.tile(np.asarray(viewer.dims.point, float), (4, 1))
    world[:, displayed] = corners
    return world_to_plane(
        image, axes, world[:, -image.ndim :] * viewer_unit_lengths(viewer, image)
    ).tolist()


def _drawn_polygons(
    viewer: ViewerModel, image: Image, plane_index: PlaneIndex, shapes: Shapes
) -> list[Any]:
    """Convert the shapes on a plane to polygons, in pixels of the plane."""
    if not shapes.nshapes:
        raise UserError(
            f"'{shapes.name}' has no shape: draw rectangles or polygons around what is wanted."
        )
    kinds = set(shapes.shape_type)
    if not kinds <= AREA_KINDS:
        raise UserError(
            f"'{shapes.name}' holds a line or path, which encloses nothing: use rectangles and "
            "polygons only."
        )
    outlines = outlines_on_plane(viewer, shapes, image, plane_index, plane_axes(plane_index))
    polygons = [outline.vertices.tolist() for outline in outlines]
    if not polygons:
        raise UserError(f"'{shapes.name}' has no shape on the plane that the view shows.")
    return polygons


def create_shapes_layer(source: ImageSource, polygons: Sequence[Any], name: str) -> Shapes:
    """Create a shapes layer of polygons in pixels of the plane of a source."""
    placement = source.placement
    outlines = []
    for polygon in polygons:
        outline = np.zeros((len(polygon), len(placement.shape)))
        outline[:] = [0 if isinstance(at, slice) else at for at in placement.index]
        outline[:, index_plane_axes(placement.index)] = polygon
        outlines.append(outline)
    return Shapes(
        outlines, shape_type="polygon", name=name, face_color="transparent", edge_color="yellow",
        **placement.geometry,
    )  # fmt: skip


def check_offline(image: Layer) -> None:
    """Raise a UserError if an image comes from the network and Preferences forbid that."""
    address = get_layer_path(image)
    if get_preference("offline") and "://" in address:
        raise UserError(
            f"The image '{image.name}' comes from the network ({address}), which is "
            "switched off in Preferences ▸ Nuclei U-Net ▸ Offline."
        )
