"""How a result is shown: outlines, and the probability map as a layer of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtWidgets import QHBoxLayout

from ...arrays.boxes import full_box
from ..common.controls import Panel, create_check_box, fill_layout
from ..common.preferences import get_preference, set_preference
from ..layers.labels_display import draw_nuclei, nuclei_colormap
from ..layers.metadata_keys import PROBABILITY_KEY, find_marked_layer
from ..layers.placement import can_hold, set_geometry
from ..session.plane_result import PlaneResult

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .current_plane import CurrentPlane
    from .source_form import SourceForm


class DisplayOptions(Panel):
    """Check boxes: outlines, probability map.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.
    current_plane : CurrentPlane
        Finds the result whose map is shown.
    """

    def __init__(
        self, viewer: ViewerModel, source_form: SourceForm, current_plane: CurrentPlane
    ) -> None:
        super().__init__()
        self._viewer, self._source_form = viewer, source_form
        self._current_plane = current_plane
        self._outlines = create_check_box(
            "outlines", "Outlines", "Draw the nuclei as outlines instead of filling them."
        )
        self._probability = create_check_box(
            "probability", "Probability map", "Show how sure the network is, pixel by pixel."
        )
        self._outlines.setChecked(bool(get_preference("outlines")))
        fill_layout(QHBoxLayout(self), self._outlines, self._probability)
        self._outlines.toggled.connect(self._on_outlines)
        self._probability.toggled.connect(self._on_probability)

    def apply(self, layer: Labels) -> None:
        """Set how the nuclei of a new labels layer are drawn: in which colours, and whether filled.

        In colours that the user has chosen, or that show measurements, they are no more new.
        """
        layer.colormap = nuclei_colormap()
        draw_nuclei(layer, self._outlines.isChecked())

    def show_map(self, result: PlaneResult, refresh: bool = True) -> None:
        """Show the probability map of a prediction, if enabled; draw it if it is on view."""
        if self._probability.isChecked():
            probability = result.probability(full_box(result.source.shape))
            show_probability(self._viewer, result, probability, refresh)

    def _on_outlines(self, checked: bool) -> None:
        set_preference("outlines", checked)
        if (layer := self._source_form.find_result()) is not None:
            draw_nuclei(layer, checked)

    def _on_probability(self, checked: bool) -> None:
        if checked:
            if (result := self._current_plane.plane_result()) is not None:
                self.show_map(result)
            else:
                self.message.emit(self._current_plane.explain_missing())
        elif (image := self._source_form.image.value) is not None and (
            layer := find_marked_layer(self._viewer, PROBABILITY_KEY, image)
        ) is not None:
            self._viewer.layers.remove(layer)


def show_probability(
    viewer: ViewerModel, result: PlaneResult, probability: NDArray[np.float32], refresh: bool
) -> Image:
    """Show the probability map of one plane above its image; other planes stay as they are.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    result : PlaneResult
    probability : ndarray, shape of the plane, float32, values 0 to 1
    refresh : bool
        Whether it is on view, and to be drawn.
    """
    image, place = result.source.image, result.placement
    where = True if result.part.inside is None else result.part.inside
    layer = find_marked_layer(viewer, PROBABILITY_KEY, image)
    if layer is not None and can_hold(layer.data, place.shape, np.float32):
        np.copyto(layer.data[place.index], probability, where=where)
        set_geometry(layer, place)
        if refresh:
            layer.refresh(extent=False)
        return layer
    data = np.zeros(place.shape, np.float32)
    np.copyto(data[place.index], probability, where=where)
    active = viewer.layers.selection.active
    probability_layer = Image(
        data,
        name=f"{image.name} probability",
        colormap="inferno",
        blending="additive",
        opacity=0.5,
        contrast_limits=(0, 1),
        metadata={PROBABILITY_KEY: str(image.unique_id)},
        **place.geometry,
    )
    if layer is not None:  # its array is another
        viewer.layers.remove(layer)
    viewer.layers.insert(viewer.layers.index(image) + 1, probability_layer)
    viewer.layers.selection.active = active  # or the form would switch to the map
    return probability_layer
