"""Corrections of a labels layer: from a stroke in the window to pixels of the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.boxes import Box, enclose_boxes, expand_box, find_overlapping_boxes
from ...errors import UserError
from ...labels import editing as corrections
from ...labels.editing import LabelEdit
from ..layers.geometry import plane_on_view, viewer_unit_lengths
from ..layers.label_edits import check_editable, write_pixels
from ..layers.label_ids import LabelsIndex, crop_plane_index, index_axes, index_plane_axes
from ..layers.labels_state import LabelsState
from ..layers.measurements import whole_plane_box
from ..session.predictions import Predictions
from ..session.session import Session
from .free_ids import find_free_id

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

# Margin around a stroke and its nuclei, in pixels: merging and splitting look a little further.
STROKE_MARGIN = 8
# Initial margin, in pixels, where nothing was measured.
UNMEASURED_MARGIN = 128
# Diameter of a nucleus, in pixels, where none is known.
DEFAULT_DIAMETER = 20.0
PLANE_WITHOUT_PREDICTION = (
    "The network has not seen this plane: click Segment, or paint the nucleus (M: new id)."
)
IMAGE_NEEDED = "Choose the image of these labels at 'Measure in', or paint the nucleus (M: new id)."
VIEW_NOT_2D = "Corrections are made in a 2-D view: switch off the 3-D one."
StrokePoints = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class EditLocation:
    """Location of a correction in a labels layer.

    Attributes
    ----------
    state : LabelsState
        Of the labels.
    index : tuple of int and slice
        Of the plane on view.
    stroke : ndarray, shape (n, 2), floating
        In pixels of the plane.
    predictions : Predictions
        Of the session.
    """

    state: LabelsState
    index: LabelsIndex
    stroke: StrokePoints
    predictions: Predictions

    @classmethod
    def of(cls, viewer: ViewerModel, layer: Labels, positions: StrokePoints) -> EditLocation:
        """Convert what the mouse has drawn to pixels of the layer.

        Raises
        ------
        UserError
            If the layer cannot be changed there.
        """
        state = LabelsState.of(layer)
        index = editable_plane_index(viewer, state)
        world = positions[:, -layer.ndim :] * viewer_unit_lengths(viewer, layer)
        points = np.array([layer.world_to_data(point) for point in world])
        predictions = Session.of(viewer).predictions
        return cls(state, index, points[:, index_plane_axes(index)], predictions)

    @property
    def layer(self) -> Labels:
        """The labels layer."""
        return self.state.layer

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the plane, in pixels."""
        rows, columns = index_plane_axes(self.index)
        return self.layer.data.shape[rows], self.layer.data.shape[columns]

    def box(self, margin: float) -> Box:
        """Return a box around the stroke that encloses all of the nuclei there."""
        low = np.floor(self.stroke.min(axis=0)).astype(int)
        high = np.ceil(self.stroke.max(axis=0)).astype(int) + 1
        top, left = np.clip(low, 0, self.shape).tolist()
        bottom, right = np.clip(high, 0, self.shape).tolist()
        stroke_box = expand_box((slice(top, bottom), slice(left, right)), int(margin), self.shape)
        if (plane := self.state.features.plane(self.index)) is None:
            return self._grow_to_whole_nuclei(stroke_box)  # the extent of nuclei is not known
        return expand_box(
            enclose_boxes(stroke_box, plane.boxes[find_overlapping_boxes(plane.boxes, stroke_box)]),
            1,
            self.shape,
        )

    def _grow_to_whole_nuclei(self, stroke_box: Box) -> Box:
        """Expand a box to enclose all of the nuclei there, as far as these are connected."""
        margin = UNMEASURED_MARGIN
        while True:
            box = expand_box(stroke_box, margin, self.shape)
            labels = np.asarray(self.layer.data[crop_plane_index(self.index, box)])
            top, left = stroke_box[0].start - box[0].start, stroke_box[1].start - box[1].start
            inside = labels[top : top + stroke_box[0].stop - stroke_box[0].start,
                            left : left + stroke_box[1].stop - stroke_box[1].start]  # fmt: skip
            edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
            n_cut = np.setdiff1d(np.intersect1d(inside, edge), [0]).size
            if not n_cut or box == whole_plane_box(self.shape):
                return box
            margin *= 4


def editable_plane_index(viewer: ViewerModel, state: LabelsState) -> LabelsIndex:
    """Return the index of the plane on view of labels that can be edited.

    Raises
    ------
    UserError
        If they cannot.
    """
    check_editable(state)
    layer = state.layer
    if viewer.dims.ndisplay != 2:
        raise UserError(VIEW_NOT_2D)
    return plane_on_view(viewer, layer)


def delete_nucleus(location: EditLocation, _: Image | None) -> str:
    """Remove the nucleus that was clicked."""
    labels, box = _read_labels(location, 0)
    nucleus = corrections.label_at(labels, _stroke_in_box(location, box)[-1])
    _write_edit(location.layer, location.index, box, corrections.remove_label(labels, nucleus))
    return f"Nucleus {nucleus} deleted."


def remove_nucleus(layer: Labels, index: LabelsIndex, nucleus: int, box: tuple[slice, ...]) -> None:
    """Remove a nucleus by its id, from a box of a plane or volume."""
    indices = np.nonzero(np.asarray(layer.data[crop_plane_index(index, box)]) == nucleus)
    write_box(layer, index, box, indices, 0)


def merge_nuclei(location: EditLocation, _: Image | None) -> str:
    """Merge the nuclei under the stroke."""
    labels, box = _read_labels(location, STROKE_MARGIN)
    edit = corrections.merge_labels(labels, _stroke_in_box(location, box))
    _write_edit(location.layer, location.index, box, edit)
    return f"Merged into nucleus {edit.ids[0]}."


def split_nuclei(location: EditLocation, _: Image | None) -> str:
    """Split the nuclei that the stroke runs through."""
    labels, box = _read_labels(location, STROKE_MARGIN)
    edit = corrections.split_labels(
        labels, _stroke_in_box(location, box), find_free_id(location.state)
    )
    _write_edit(location.layer, location.index, box, edit)
    return f"Split into {join_ids(edit.ids)}."


def add_nucleus(location: EditLocation, image: Image | None) -> str:
    """Add the nucleus that was clicked, from the probability map of the network."""
    if image is None:
        raise UserError(IMAGE_NEEDED)
    result = location.predictions.find_latest(image, location.index)
    if result is None:
        raise UserError(PLANE_WITHOUT_PREDICTION)
    diameter = _typical_diameter(location)
    labels, box = _read_labels(location, 2 * corrections.MAX_GROWN_DIAMETERS * diameter)
    probability = result.probability(box)
    point, free = _stroke_in_box(location, box)[-1], find_free_id(location.state)
    edit = corrections.grow_label(labels, probability, point, diameter, free)
    _write_edit(location.layer, location.index, box, edit)
    return f"Nucleus {edit.ids[0]} added."


EditFunction = Callable[[EditLocation, "Image | None"], str]


def join_ids(ids: tuple[int, ...]) -> str:
    """Return ids as text, such as "1, 2 and 3"."""
    *others, last = map(str, ids)
    return f"{', '.join(others)} and {last}"


def _read_labels(location: EditLocation, margin: float) -> tuple[NDArray[Any], Box]:
    box = location.box(margin)
    return np.asarray(location.layer.data[crop_plane_index(location.index, box)]), box


def _stroke_in_box(location: EditLocation, box: Box) -> StrokePoints:
    return location.stroke - [box[0].start, box[1].start]


def _typical_diameter(location: EditLocation) -> float:
    """Return the median diameter of the nuclei of the plane, in pixels."""
    plane = location.state.features.plane(location.index)
    if plane is None or not len(plane.boxes):
        return DEFAULT_DIAMETER
    top, left, bottom, right = plane.boxes.T
    return float(np.median(np.maximum(bottom - top, right - left)))


def _write_edit(layer: Labels, index: LabelsIndex, box: Box, edit: LabelEdit) -> None:
    """Write an edit of a box of a plane through napari, so that it can be undone."""
    write_box(layer, index, box, edit.indices, edit.values)


def write_box(
    layer: Labels,
    index: LabelsIndex,
    box: tuple[slice, ...],
    indices: tuple[NDArray[np.intp], ...],
    values: Any,
) -> None:
    """Write pixels of a box of a plane or volume, as one step of napari's undo."""
    size = indices[0].size
    parts = [np.full(size, 0 if isinstance(at, slice) else at) for at in index]
    for axis, part, at in zip(index_axes(index), box, indices, strict=True):
        parts[axis] = at + part.start
    write_pixels(layer, tuple(parts), values)
