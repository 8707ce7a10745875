"""Where a correction is in a volume: from a stroke in the window to voxels of the layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.boxes import Box, VolumeBox, bounding_box, enclose_boxes, stack_boxes
from ...errors import UserError
from ...labels.volume_boxes import expand_volume_box, find_label_box, grow_box
from ...labels.volume_editing import VolumeEdit
from ..layers.geometry import plane_on_view, viewer_unit_lengths
from ..layers.label_edits import check_editable
from ..layers.label_ids import LabelsIndex, crop_plane_index, index_axes, plane_key
from ..layers.labels_state import LabelsState
from ..layers.volumes import VolumeAxes, find_depth_axis
from ..session.predictions import Predictions
from ..session.session import Session
from .edits import StrokePoints, write_box
from .strokes import Stroke

if TYPE_CHECKING:
    from napari.components import ViewerModel

VIEW_ACROSS_VOLUMES = (
    "Each of these nuclei is one object along z: show two of the axes of the stack to correct them."
)
NO_NUCLEUS_PICKED = "There is no nucleus: click on one."
SLICES_OF_FILES = (
    "Nuclei in files are corrected in the slices along the first axis of the stack: show these."
)


@dataclass(frozen=True, eq=False)
class VolumeLocation:
    """Location of a correction in a volume.

    Attributes
    ----------
    state : LabelsState
        Of the labels.
    volume : tuple of int and slice
        Index of the volume in the labels, with three slices.
    depth : int
        Which of the three axes of the volume goes through the slice on view, 0 to 2.
    at : int
        Of the slice on view, along that axis.
    stroke : ndarray, shape (n, 2), floating
        In pixels of the slice.
    predictions : Predictions
        Of the session.
    picked : tuple of int, or None
        Nuclei on which the mouse was in a 3-D view; None: the view is of a slice.
    """

    state: LabelsState
    volume: LabelsIndex
    depth: int
    at: int
    stroke: StrokePoints
    predictions: Predictions
    picked: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls, viewer: ViewerModel, layer: Labels, axes: VolumeAxes, stroke: Stroke
    ) -> VolumeLocation:
        """Convert what the mouse has drawn to pixels of the layer.

        Parameters
        ----------
        viewer : napari.components.ViewerModel
        layer : napari.layers.Labels
        axes : (int, int, int)
            Of the volumes of the layer.
        stroke : Stroke

        Raises
        ------
        UserError
            If the layer cannot be changed there.
        """
        state = LabelsState.of(layer)
        check_editable(state)
        plane = plane_on_view(viewer, layer)
        volume = tuple(slice(None) if axis in axes else at for axis, at in enumerate(plane))
        through = find_depth_axis(volume, plane)
        predictions = Session.of(viewer).predictions
        if viewer.dims.ndisplay == 3:
            picked = _pick(viewer, layer, stroke)
            return cls(state, volume, 0, 0, np.zeros((0, 2)), predictions, picked)
        if through is None:
            raise UserError(VIEW_ACROSS_VOLUMES)
        units = viewer_unit_lengths(viewer, layer)
        world = stroke.positions[:, -layer.ndim :] * units
        points = np.array([layer.world_to_data(point) for point in world])[:, index_axes(plane)]
        at = cast(int, plane[through])
        return cls(state, volume, axes.index(through), at, points, predictions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume, in voxels."""
        return tuple(self.state.layer.data.shape[axis] for axis in index_axes(self.volume))

    def lift(self, box: Box) -> VolumeBox:
        """Return a box of the slice on view as one of the volume."""
        parts = list(box)
        parts.insert(self.depth, slice(self.at, self.at + 1))
        return cast(VolumeBox, tuple(parts))

    def stroke_box(self, margin: int) -> VolumeBox:
        """Return the box of the stroke, with a margin, in the slice on view; empty if outside."""
        height, width = np.delete(self.shape, self.depth).tolist()
        low = np.floor(self.stroke.min(axis=0)).astype(int) - margin
        high = np.ceil(self.stroke.max(axis=0)).astype(int) + 1 + margin
        (top, left), (bottom, right) = (
            np.clip(ends, 0, [height, width]).tolist() for ends in (low, high)
        )
        return self.lift((slice(top, bottom), slice(left, right)))

    def read(self, box: VolumeBox) -> VolumePart:
        """Read a box of the volume, its first axis through the slice on view."""
        order = (self.depth, *(axis for axis in range(3) if axis != self.depth))
        labels = np.asarray(self.state.layer.data[crop_plane_index(self.volume, box)])
        start = np.array([box[axis].start for axis in order])
        stroke = self.stroke - start[1:]
        return VolumePart(labels.transpose(order), box, order, self.at - int(start[0]), stroke)

    def find_box(self, nucleus: int) -> VolumeBox:
        """Find the box of a nucleus in all slices: in the table, or else in the labels."""
        features, key = self.state.features, plane_key(self.volume)
        measured = features.planes.get(key)
        if measured is not None and key not in features.queue.waiting:
            row = measured.row(nucleus)
            if row is not None:
                return cast(VolumeBox, measured.box(row))
        data = self.state.layer.data
        if isinstance(data, np.ndarray):
            box = find_label_box(data[self.volume], nucleus)
            assert box is not None  # it is on view
            return box
        if self.depth:
            raise UserError(SLICES_OF_FILES)
        return self._grow_box(nucleus)

    def _grow_box(self, nucleus: int) -> VolumeBox:
        """Find the box of a nucleus in a file, from its section in the slice on view."""
        whole = slice(0, self.shape[1]), slice(0, self.shape[2])
        section = bounding_box(self.read(self.lift(whole)).labels[0] == nucleus)
        return grow_box(_LazyVolume(self.state.layer.data, self.volume), nucleus, self.at, section)

    def write(self, part: VolumePart, edit: VolumeEdit) -> None:
        """Write an edit through napari, as one step of its undo."""
        voxels = part.sort_axes(edit)
        write_box(self.state.layer, self.volume, part.box, voxels, edit.values)

    def enclose(self, ids: Iterable[int]) -> VolumeBox:
        """Return the box of nuclei, with a margin of one voxel."""
        first, *others = [self.find_box(nucleus) for nucleus in ids]
        return expand_volume_box(enclose_boxes(first, stack_boxes([first, *others])), 1, self.shape)


@dataclass(frozen=True, eq=False)
class VolumePart:
    """Labels of a box of a volume.

    Attributes
    ----------
    labels : ndarray, shape (slices, rows, columns), integer
    box : (slice, slice, slice)
        In the order of the axes of the volume.
    order : tuple of int
        The axes of the volume in the order of those of ``labels``.
    z : int
        The slice on view, in ``labels``.
    stroke : ndarray, shape (n, 2), floating
        In pixels of the slices of ``labels``.
    """

    labels: NDArray[np.integer]
    box: VolumeBox
    order: tuple[int, ...]
    z: int
    stroke: StrokePoints

    def sort_axes(self, edit: VolumeEdit) -> tuple[NDArray[np.intp], ...]:
        """Return the voxels of an edit along the axes of the volume, in their order."""
        return tuple(edit.indices[self.order.index(axis)] for axis in range(3))

    def describe_slices(self, edit: VolumeEdit) -> str:
        """Return in which slices an edit is, along the first axis of the volume, as text."""
        slices = self.sort_axes(edit)[0] + self.box[0].start
        first, last = int(slices.min()), int(slices.max())
        return f"slice {first}" if first == last else f"slices {first} to {last}"


@dataclass(frozen=True, eq=False)
class _LazyVolume:
    """A volume of labels in a file, which is read where it is sliced."""

    data: Any
    volume: LabelsIndex

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape[axis] for axis in index_axes(self.volume))

    def __getitem__(self, part: tuple[int | slice, ...]) -> NDArray[Any]:
        parts = iter(part)
        return np.asarray(
            self.data[tuple(next(parts) if isinstance(at, slice) else at for at in self.volume)]
        )


def _pick(viewer: ViewerModel, layer: Labels, stroke: Stroke) -> tuple[int, ...]:
    """Return the nuclei on which the mouse was in a 3-D view, each as often as it was there."""
    offset = viewer.dims.ndim - layer.ndim
    units = viewer_unit_lengths(viewer, layer)
    if stroke.view_direction is None:
        raise UserError(NO_NUCLEUS_PICKED)
    direction = stroke.view_direction[-layer.ndim :] * units
    values = [
        layer.get_value(
            position[-layer.ndim :] * units,
            view_direction=direction,
            dims_displayed=[axis - offset for axis in stroke.displayed],
            world=True,
        )
        for position in stroke.positions
    ]
    return tuple(int(value) for value in values if value)
