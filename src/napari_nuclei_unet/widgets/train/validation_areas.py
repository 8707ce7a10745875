"""What is held back to validate, and what is finished: rectangles and outlines on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box, Region
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.geometry import check_invertible, viewer_unit_lengths
from napari_nuclei_unet.widgets.layers.image_source import shape_outline
from napari_nuclei_unet.widgets.layers.keys import VALIDATION_AREAS_KEY
from napari_nuclei_unet.widgets.layers.labels_layer import GEOMETRY_ATTRIBUTES
from napari_nuclei_unet.widgets.train.pairs import LayerPair

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.training.finetune_data import AnnotatedPosition

VALIDATION_AREA_COLOR = "#ffb000"


def find_validation_layer(viewer: ViewerModel, labels: Labels) -> Shapes | None:
    """Find the layer that shows what is held back of a labels layer."""
    for layer in viewer.layers:
        if isinstance(layer, Shapes) and layer.metadata.get(VALIDATION_AREAS_KEY) == str(
            labels.unique_id
        ):
            return layer
    return None


def draw_validation_areas(
    viewer: ViewerModel, pair: LayerPair, areas: dict[AnnotatedPosition, list[Box]]
) -> None:
    """Show what is held back of a pair as rectangles; none removes the layer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    pair : LayerPair
    areas : dict of Place to list of (slice, slice)
    """
    layer = find_validation_layer(viewer, pair.labels)
    corners = [_corners(place, box, pair) for place, boxes in areas.items() for box in boxes]
    if not corners:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    if layer is not None:
        layer.data = []
        layer.add(corners, shape_type="rectangle")
        return
    selected = list(viewer.layers.selection)
    geometry = {name: getattr(pair.labels, name) for name in GEOMETRY_ATTRIBUTES}
    viewer.add_shapes(
        corners,
        shape_type="rectangle",
        name=f"{pair.image.name} held back",
        face_color="#ffb00022",
        edge_color=VALIDATION_AREA_COLOR,
        edge_width=max(1.0, max(pair.labels_array.shape[-2:]) / 250),
        metadata={VALIDATION_AREAS_KEY: str(pair.labels.unique_id)},
        **geometry,
    )
    viewer.layers.selection = selected


def _plane_axes(pair: LayerPair) -> list[int]:
    """Axes of the labels that are Y and X."""
    shape = pair.labels_array.shape
    kept = len(shape) == pair.image.ndim  # an axis of channels is there, one pixel long
    axes = [axis for axis in range(len(shape)) if not (kept and axis == pair.channel_axis)]
    return axes[-2:]


def _corners(place: AnnotatedPosition, box: Box, pair: LayerPair) -> NDArray[np.float64]:
    """Corners of a rectangle around the pixels of a box, in pixels of the labels."""
    shown = _plane_axes(pair)
    made = np.zeros((4, len(pair.labels_array.shape)))
    made[:, [axis for axis in range(made.shape[1]) if axis not in shown]] = place
    (top, bottom), (left, right) = ((one.start - 0.5, one.stop - 0.5) for one in box)
    made[:, shown] = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return made


def read_validation_areas(
    viewer: ViewerModel, pairs: list[LayerPair]
) -> dict[Any, dict[AnnotatedPosition, list[Box]]]:
    """Read what is held back of each pair, by its key, as the user has left it on the canvas.

    Returns
    -------
    dict
        Empty where nothing is drawn, so that it has to be chosen.
    """
    found = {}
    for pair in pairs:
        layer = find_validation_layer(viewer, pair.labels)
        found[pair.key] = {} if layer is None else _boxes(layer, pair)
    return found if any(found.values()) else {}


def _boxes(layer: Shapes, pair: LayerPair) -> dict[AnnotatedPosition, list[Box]]:
    """Rectangles around the shapes of a layer, cut where the plane ends."""
    shown = _plane_axes(pair)
    made: dict[AnnotatedPosition, list[Box]] = {}
    extent = np.array(pair.labels_array.shape)[shown]
    for corners, kind in zip(layer.data, layer.shape_type, strict=True):
        outline = shape_outline(corners, kind)
        low = np.clip(np.round(outline[:, shown].min(axis=0) + 0.5).astype(int), 0, extent)
        high = np.clip(np.round(outline[:, shown].max(axis=0) + 0.5).astype(int), 0, extent)
        others = [axis for axis in range(outline.shape[1]) if axis not in shown]
        place = tuple(np.round(outline[0, others]).astype(int).tolist())
        if (high > low).all():
            box = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
            made.setdefault(place, []).append(box)
    return made


def read_finished_areas(
    viewer: ViewerModel, shapes: Shapes, pair: LayerPair
) -> dict[AnnotatedPosition, Region] | Region:
    """Outlines of finished areas, in pixels of the labels of a pair.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    shapes : napari.layers.Shapes
        Rectangles, polygons and ellipses.
    pair : LayerPair

    Returns
    -------
    dict of Place to Region, or Region
        One for all planes, where the shapes have none of the axes that tell planes apart.

    Raises
    ------
    UserError
        If there are none.
    """
    if not shapes.nshapes:
        raise UserError(
            f"'{shapes.name}' has no shape: outline what you have finished, or choose what "
            "unlabelled pixels mean otherwise."
        )
    check_invertible(pair.labels)
    labels, shown = pair.labels, _plane_axes(pair)
    others = [axis for axis in range(labels.ndim) if axis not in shown]
    made: dict[AnnotatedPosition, list[Any]] = {}
    for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
        world = np.array([shapes.data_to_world(one) for one in shape_outline(corners, kind)])
        full = np.tile(np.asarray(viewer.dims.point, float), (len(world), 1))
        full[:, -shapes.ndim :] = world / viewer_unit_lengths(viewer, shapes)
        here = full[:, -labels.ndim :] * viewer_unit_lengths(viewer, labels)
        pixels = np.array([labels.world_to_data(one) for one in here])
        place = tuple(np.round(pixels[0, others]).astype(int).tolist())
        made.setdefault(place, []).append(pixels[:, shown].tolist())
    if shapes.ndim <= 2:
        return Region.of([one for polygons in made.values() for one in polygons])
    return {place: Region.of(polygons) for place, polygons in made.items()}
