"""A labels layer of cells: nuclei with the rings around them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...errors import UserError
from ...labels.cells import expand_nuclei
from ...labels.surroundings import Distances
from ...progress import Step, Stop
from ..common.controller import Task
from ..common.key_bindings import unwrap_proxy
from ..layers.geometry import full_resolution_data
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import list_planes
from ..layers.metadata_keys import CELLS_KEY, find_marked_layer
from ..layers.placement import get_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel

CELLS_NAME = "cells"
RING_NEEDED = "Set the width of the ring around nuclei first, under Measure in."
LABELS_CHANGED = "The labels were changed meanwhile: add the cells again."


class CellsTask(Task):
    """Expands nuclei, and shows the cells below them; those of before are replaced.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    labels : napari.layers.Labels
    distances : Distances

    Raises
    ------
    UserError
        If there is no ring, or the labels are too large.
    """

    begins = "Expanding nuclei …"

    def __init__(self, viewer: ViewerModel, labels: Labels, distances: Distances) -> None:
        if distances.ring is None:
            raise UserError(RING_NEEDED)
        self.title = f"Cells of {labels.name}"
        self._viewer, self._state = viewer, LabelsState.of(labels)
        self._revision = self._state.revision
        self._ring, self._spacing = distances.ring, distances.spacing
        self._data = full_resolution_data(self._state.layer)
        self._planes = list_planes(viewer, self._state.layer)

    def steps(self) -> Generator[Step, Stop, NDArray[np.integer]]:
        """Expand the nuclei of all planes; runs in the thread."""
        cells = np.zeros(self._data.shape, self._data.dtype)
        for done, index in enumerate(self._planes):
            yield Step(done, len(self._planes))
            cells[index] = expand_nuclei(np.asarray(self._data[index]), self._ring, self._spacing)
        return cells

    def on_result(self, cells: NDArray[np.integer]) -> None:
        """Show the cells, unless the labels are others by now."""
        labels = self._state.layer
        if labels not in self._viewer.layers or self._state.revision != self._revision:
            self.message = LABELS_CHANGED
            return
        shown = find_marked_layer(self._viewer, CELLS_KEY, labels)
        if shown is not None and shown.ndim == labels.ndim:
            shown.data = cells
            for name, value in get_geometry(labels).items():
                setattr(shown, name, value)
        else:
            shown = self._add(labels, cells)
        has = "has cells with the ids of their nuclei"
        found = has if cells.any() else "is empty: there are no nuclei"
        self.message = f"'{shown.name}' {found}."

    def _add(self, labels: Labels, cells: NDArray[np.integer]) -> Labels:
        """Add a layer below the nuclei, which stay selected."""
        layers = self._viewer.layers
        active, place = layers.selection.active, [unwrap_proxy(one) for one in layers].index(labels)
        shown = Labels(
            cells,
            name=CELLS_NAME,
            opacity=labels.opacity / 2,
            metadata={CELLS_KEY: str(labels.unique_id)},
            **get_geometry(labels),
        )
        shown.colormap = labels.colormap
        layers.insert(place, shown)
        layers.selection.active = active
        return shown
