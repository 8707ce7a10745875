"""One correction of a labels layer: from a stroke in the window to pixels of the layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box, widened
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels import editing as corrections
from napari_nuclei_unet.labels.editing import Edit
from napari_nuclei_unet.widgets.layers.feature_rows import meeting, spread
from napari_nuclei_unet.widgets.layers.features import table_of, within
from napari_nuclei_unet.widgets.layers.geometry import plane_on_view, units_of
from napari_nuclei_unet.widgets.layers.label_ids import LARGEST, Index, axes_of
from napari_nuclei_unet.widgets.layers.labels_layer import check_unlocked
from napari_nuclei_unet.widgets.layers.measurements import whole
from napari_nuclei_unet.widgets.session.predictions import predicted

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

# Around a stroke and its nuclei, in pixels: bridges and cuts look a little further.
MARGIN = 8
# Around it where nothing was measured, at first.
REACH = 128
# Ids that have to be left.
ROOM = 32
# Edge of the parts in which labels in a file are read.
PART = 4096
# Of a nucleus, in pixels, where none is known.
USUAL = 20.0
NO_PREDICTION = (
    "The network has not seen this plane: click Segment, or paint the nucleus, with M for a new id."
)
NO_IMAGE = "Choose the image of these labels under Image, or paint the nucleus, with M for an id."
FLAT_ONLY = "Corrections are made in a 2-D view: switch off the 3-D one."
PYRAMID = "These labels have several resolutions, which cannot be changed: open the largest alone."
Point = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Spot:
    """Where in a labels layer a correction is made.

    Attributes
    ----------
    layer : napari.layers.Labels
    index : tuple of int and slice
        Of the plane on view.
    stroke : ndarray, shape (n, 2), floating
        In pixels of the plane.
    """

    layer: Labels
    index: Index
    stroke: Point

    @classmethod
    def of(cls, viewer: ViewerModel, layer: Labels, positions: Point) -> Spot:
        """Find the place of what the mouse has drawn.

        Raises
        ------
        UserError
            If the layer cannot be changed there.
        """
        index = plane_to_edit(viewer, layer)
        world = positions[:, -layer.ndim :] * units_of(viewer, layer)
        places = np.array([layer.world_to_data(one) for one in world])
        return cls(layer, index, places[:, axes_of(index)])

    @property
    def shape(self) -> tuple[int, int]:
        """Of the plane, in pixels."""
        rows, columns = axes_of(self.index)
        return self.layer.data.shape[rows], self.layer.data.shape[columns]

    def box(self, margin: float) -> Box:
        """Pixels around the stroke, and all of the nuclei there."""
        low = np.floor(self.stroke.min(axis=0)).astype(int)
        high = np.ceil(self.stroke.max(axis=0)).astype(int) + 1
        top, left = np.clip(low, 0, self.shape).tolist()
        bottom, right = np.clip(high, 0, self.shape).tolist()
        near = widened((slice(top, bottom), slice(left, right)), int(margin), self.shape)
        if (plane := table_of(self.layer).plane(self.index)) is None:
            return self._grown(near)  # where nuclei end is not known
        return widened(spread(near, plane.boxes[meeting(plane.boxes, near)]), 1, self.shape)

    def _grown(self, near: Box) -> Box:
        """Box around another that holds all of the nuclei there, as far as these are connected."""
        reach = REACH
        while True:
            box = widened(near, reach, self.shape)
            labels = np.asarray(self.layer.data[within(self.index, box)])
            top, left = near[0].start - box[0].start, near[1].start - box[1].start
            inside = labels[top : top + near[0].stop - near[0].start,
                            left : left + near[1].stop - near[1].start]  # fmt: skip
            edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
            cut_off = np.setdiff1d(np.intersect1d(inside, edge), [0]).size
            if not cut_off or box == whole(self.shape):
                return box
            reach *= 4


def plane_to_edit(viewer: ViewerModel, layer: Labels) -> Index:
    """Index of the plane on view of labels that can be changed.

    Raises
    ------
    UserError
        If they cannot.
    """
    if layer.multiscale:
        raise UserError(PYRAMID)
    check_unlocked(layer)
    data = layer.data
    if isinstance(data, np.ndarray) and not data.dtype.isnative:
        raise UserError(f"The labels '{layer.name}' are of type {data.dtype}: convert to int32.")
    fixed = not data.flags.writeable if isinstance(data, np.ndarray) else hasattr(data, "dask")
    if fixed or getattr(data, "read_only", False):
        raise UserError(f"The labels '{layer.name}' cannot be written: duplicate the layer.")
    if not layer.visible:
        raise UserError(f"The labels '{layer.name}' are hidden: show them to correct them.")
    if viewer.dims.ndisplay != 2:
        raise UserError(FLAT_ONLY)
    return plane_on_view(viewer, layer)


def delete(spot: Spot, _: Image | None) -> str:
    """Remove the nucleus that was clicked."""
    labels, box = _read(spot, 0)
    nucleus = corrections.id_at(labels, _shifted(spot, box)[-1])
    _write(spot, box, corrections.remove(labels, nucleus))
    return f"Nucleus {nucleus} deleted."


def remove(layer: Labels, index: Index, nucleus: int, box: Box) -> None:
    """Remove a nucleus by its id, from a box of a plane."""
    labels = np.asarray(layer.data[within(index, box)])
    _write(Spot(layer, index, np.zeros((1, 2))), box, corrections.remove(labels, nucleus))


def merge(spot: Spot, _: Image | None) -> str:
    """Merge the nuclei under the stroke."""
    labels, box = _read(spot, MARGIN)
    edit = corrections.merge(labels, _shifted(spot, box))
    _write(spot, box, edit)
    return f"Merged into nucleus {edit.ids[0]}."


def split(spot: Spot, _: Image | None) -> str:
    """Split the nuclei that the stroke runs through."""
    labels, box = _read(spot, MARGIN)
    edit = corrections.split(labels, _shifted(spot, box), _free(spot))
    _write(spot, box, edit)
    return f"Split into {_listed(edit.ids)}."


def add(spot: Spot, image: Image | None) -> str:
    """Add the nucleus that was clicked, as the network sees it."""
    if image is None:
        raise UserError(NO_IMAGE)
    kept = predicted(image, spot.index)
    if kept is None:
        raise UserError(NO_PREDICTION)
    diameter = _typical(spot)
    labels, box = _read(spot, 2 * corrections.WIDEST * diameter)
    probability = kept.probability(box)
    edit = corrections.grow(
        labels, probability, _shifted(spot, box)[-1], diameter, _free(spot)
    )  # fmt: skip
    _write(spot, box, edit)
    return f"Nucleus {edit.ids[0]} added."


Tool = Callable[[Spot, "Image | None"], str]


def _listed(ids: tuple[int, ...]) -> str:
    *others, last = map(str, ids)
    return f"{', '.join(others)} and {last}"


def _read(spot: Spot, margin: float) -> tuple[NDArray[Any], Box]:
    box = spot.box(margin)
    return np.asarray(spot.layer.data[within(spot.index, box)]), box


def _shifted(spot: Spot, box: Box) -> Point:
    return spot.stroke - [box[0].start, box[1].start]


def _typical(spot: Spot) -> float:
    """Diameter of a typical nucleus of the plane, in pixels."""
    plane = table_of(spot.layer).plane(spot.index)
    if plane is None or not len(plane.boxes):
        return USUAL
    top, left, bottom, right = plane.boxes.T
    return float(np.median(np.maximum(bottom - top, right - left)))


def _free(spot: Spot) -> int:
    """Lowest id above all others, those of undone steps among them.

    Raises
    ------
    UserError
        If the labels have no room for it.
    """
    layer, history = spot.layer, table_of(spot.layer).history
    if isinstance(layer.data, np.ndarray):
        history.used = max(history.used, int(layer.data.max(initial=0)))
    elif not history.complete:  # looked for once: what is painted from now on, history knows
        history.used, history.complete = max(history.used, _largest(layer.data)), True
    used = history.used
    if used + ROOM > min(int(np.iinfo(layer.data.dtype).max), LARGEST):
        raise UserError(
            f"These labels ({layer.data.dtype}) have used up all ids: renumber them, in a layer of "
            "type int32."
        )
    return used + 1


def _largest(data: Any) -> int:
    """Largest id of an array that may be in a file, part by part."""
    steps = [*(1 for _ in data.shape[:-2]), PART, PART]
    corners = itertools.product(
        *(range(0, n, step) for n, step in zip(data.shape, steps, strict=True))
    )
    parts = (
        tuple(slice(at, at + step) for at, step in zip(corner, steps, strict=True))
        for corner in corners
    )
    return max((int(np.asarray(data[part]).max(initial=0)) for part in parts), default=0)


def _write(spot: Spot, box: Box, edit: Edit) -> None:
    """Write through napari, so that its undo knows of it."""
    axes = axes_of(spot.index)
    parts: list[Any] = [np.full(edit.rows.size, 0 if axis in axes else at)
                        for axis, at in enumerate(spot.index)]  # fmt: skip
    parts[axes[0]] = edit.rows + box[0].start
    parts[axes[1]] = edit.columns + box[1].start
    try:
        spot.layer.data_setitem(tuple(parts), edit.values)
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"The labels '{spot.layer.name}' cannot be written ({error}): duplicate the layer."
        ) from error
