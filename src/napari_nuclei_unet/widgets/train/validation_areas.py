"""Validation areas and finished areas: rectangles and outlines on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from numpy.typing import NDArray

from ...arrays.boxes import Box
from ...arrays.roi import Region
from ...errors import UserError
from ..layers.geometry import check_invertible, shape_outline
from ..layers.metadata_keys import VALIDATION_AREAS_KEY, find_marked_layer
from ..layers.placement import get_geometry
from ..layers.plane_outlines import world_outlines
from .layer_pairs import LayerPair

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...training.finetune_data import AnnotatedPosition

VALIDATION_AREA_COLOR = "#ffb000"


def find_validation_layer(viewer: ViewerModel, labels: Labels) -> Shapes | None:
    """Find the layer that shows the validation areas of a labels layer."""
    return find_marked_layer(viewer, VALIDATION_AREAS_KEY, labels)


def draw_validation_areas(
    viewer: ViewerModel, pair: LayerPair, areas: dict[AnnotatedPosition, list[Box]]
) -> None:
    """Draw the validation areas of a pair as rectangles; none removes the layer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    pair : LayerPair
    areas : dict of AnnotatedPosition to list of (slice, slice)
    """
    layer = find_validation_layer(viewer, pair.labels)
    if layer is not None and not (layer.nshapes and _fits(layer, pair)):
        viewer.layers.remove(layer)
        layer = None
    corners = [_corners(position, box, pair) for position, boxes in areas.items() for box in boxes]
    if not corners:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    if layer is not None:
        # those of before go last: napari cannot fill an empty layer of a plane in a 3-D view
        drawn_before = set(range(layer.nshapes))
        layer.add(corners, shape_type="rectangle")
        layer.selected_data = drawn_before
        layer.remove_selected()
        return
    selected = list(viewer.layers.selection)
    viewer.add_shapes(
        corners,
        shape_type="rectangle",
        name=f"{pair.image.name} validation areas",
        face_color="#ffb00022",
        edge_color=VALIDATION_AREA_COLOR,
        edge_width=max(1.0, max(pair.labels_array.shape[-2:]) / 250),
        metadata={VALIDATION_AREAS_KEY: str(pair.labels.unique_id)},
        **get_geometry(pair.labels),
    )
    viewer.layers.selection = selected


def _split_axes(pair: LayerPair) -> tuple[list[int], list[int]]:
    """Return the axes of the labels that are Y and X, and the others."""
    shape = pair.labels_array.shape
    # with the dimensions of the image, labels have an axis of channels, one pixel long
    channel_axis = pair.channel_axis if len(shape) == pair.image.ndim else None
    plane_axes = [axis for axis in range(len(shape)) if axis != channel_axis][-2:]
    return plane_axes, [axis for axis in range(len(shape)) if axis not in plane_axes]


def _corners(position: AnnotatedPosition, box: Box, pair: LayerPair) -> NDArray[np.float64]:
    """Return the corners of a rectangle around a box, in pixels of the labels."""
    plane_axes, others = _split_axes(pair)
    corners = np.zeros((4, len(pair.labels_array.shape)))
    corners[:, others] = position
    (top, bottom), (left, right) = ((extent.start - 0.5, extent.stop - 0.5) for extent in box)
    corners[:, plane_axes] = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return corners


def read_validation_areas(
    viewer: ViewerModel, pairs: Sequence[LayerPair]
) -> dict[Any, dict[AnnotatedPosition, list[Box]]]:
    """Read the validation areas of each pair, by its key, as they are on the canvas.

    Returns
    -------
    dict
        Empty if nothing is drawn, so that they have to be chosen.
    """
    areas = {}
    for pair in pairs:
        layer = find_validation_layer(viewer, pair.labels)
        is_known = layer is not None and _fits(layer, pair)
        areas[pair.key] = _boxes(layer, pair) if is_known else {}
    return areas if any(areas.values()) else {}


def _fits(layer: Shapes, pair: LayerPair) -> bool:
    """Return whether labels have as many axes as when their areas were drawn."""
    return bool(layer.ndim == len(pair.labels_array.shape))


def _boxes(layer: Shapes, pair: LayerPair) -> dict[AnnotatedPosition, list[Box]]:
    """Return the bounding boxes of the shapes of a layer, clipped to the plane."""
    plane_axes, others = _split_axes(pair)
    boxes: dict[AnnotatedPosition, list[Box]] = {}
    extent = np.array(pair.labels_array.shape)[plane_axes]
    for corners, kind in zip(layer.data, layer.shape_type, strict=True):
        outline = shape_outline(corners, kind)
        low = np.clip(np.round(outline[:, plane_axes].min(axis=0) + 0.5).astype(int), 0, extent)
        high = np.clip(np.round(outline[:, plane_axes].max(axis=0) + 0.5).astype(int), 0, extent)
        position = tuple(np.round(outline[0, others]).astype(int).tolist())
        if (high > low).all():
            box = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
            boxes.setdefault(position, []).append(box)
    return boxes


def read_finished_areas(
    viewer: ViewerModel, shapes: Shapes, pair: LayerPair
) -> dict[AnnotatedPosition, Region] | Region:
    """Read the outlines of finished areas, in pixels of the labels of a pair.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    shapes : napari.layers.Shapes
        Rectangles, polygons and ellipses.
    pair : LayerPair

    Returns
    -------
    dict of AnnotatedPosition to Region, or Region
        One for all planes, where the shapes are two-dimensional.

    Raises
    ------
    UserError
        If there are none.
    """
    if not shapes.nshapes:
        raise UserError(
            f"'{shapes.name}' has no shape: outline what you have painted completely, or choose "
            "another answer at 'I painted'."
        )
    check_invertible(pair.labels)
    labels, (plane_axes, others) = pair.labels, _split_axes(pair)
    areas: dict[AnnotatedPosition, list[Any]] = {}
    for outline in world_outlines(viewer, shapes, labels):
        pixels = np.array([labels.world_to_data(point) for point in outline])
        position = tuple(np.round(pixels[0, others]).astype(int).tolist())
        areas.setdefault(position, []).append(pixels[:, plane_axes].tolist())
    if shapes.ndim <= 2:
        return Region.of([polygon for polygons in areas.values() for polygon in polygons])
    return {position: Region.of(polygons) for position, polygons in areas.items()}
