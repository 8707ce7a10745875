"""The line that says how much was found and left out; a click outlines it on the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from ...arrays.boxes import enlarged
from ...provenance.left_out_counts import LeftOutCounts
from ..common.clickable_label import ClickableLabel
from ..layers.metadata_keys import LEFT_OUT_KEY, find_marked_layer, list_layers
from ..layers.placement import set_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...segmentation.left_out import LeftOutNuclei
    from ..session.plane_result import PlaneResult
    from .current_plane import CurrentPlane
    from .source_form import SourceForm

OUTLINE_COLOUR = (0.6, 0.6, 0.6)
# In pixels; of larger nuclei outlines are two pixels wide.
LARGE_DIAMETER = 30.0
LEFT_OUT_HINT = (
    "What was found but is not counted as a nucleus: the model is less sure of it than "
    "'Confidence' asks, it is below 'Smallest area', or it is a micronucleus or fragment. "
    "Click to see where it is, as grey outlines; click again to hide them."
)


class LeftOutLine(ClickableLabel):
    """Counts of what was left out in the image on view; hidden where they are not known.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.
    current_plane : CurrentPlane
        Finds the results.
    """

    def __init__(
        self, viewer: ViewerModel, source_form: SourceForm, current_plane: CurrentPlane
    ) -> None:
        super().__init__("left_out", LEFT_OUT_HINT)
        self._viewer, self._source_form = viewer, source_form
        self._current_plane = current_plane
        self.clicked.connect(self._toggle)
        self.refresh()

    def refresh(self) -> None:
        """Show the counts of the results as they are now, and their outlines, if these are on."""
        results, counts = self._results(), LeftOutCounts()
        for result in results:
            counts += result.left_out.counts if result.left_out is not None else LeftOutCounts()
        self._remove_layers_of_others(counts.total > 0)
        self.setVisible(counts.total > 0)
        is_shown = self._layer() is not None
        self.setText(f"{counts.describe()} · {'hide' if is_shown else 'show'} outlines")
        if is_shown:
            self._draw(results)

    def _results(self) -> list[PlaneResult]:
        """Return the results of all planes of the image, or of its region."""
        if self._current_plane.volume_result() is not None:
            return []
        planes = self._current_plane.planes()
        plane = None if planes else self._current_plane.plane_result()
        return planes if plane is None else [plane]

    def _layer(self) -> Image | None:
        image = self._source_form.image.value
        layer = None if image is None else find_marked_layer(self._viewer, LEFT_OUT_KEY, image)
        return layer if isinstance(layer, Image) else None

    def _toggle(self) -> None:
        if (layer := self._layer()) is not None:
            self._viewer.layers.remove(layer)
        elif results := self._results():
            add_outlines_layer(self._viewer, results[0])
        self.refresh()

    def _draw(self, results: Sequence[PlaneResult]) -> None:
        """Outline what was left out of all planes."""
        layer, place = self._layer(), results[0].placement
        if layer is None:
            return
        if layer.data.shape != place.shape:
            self._viewer.layers.remove(layer)
            layer = add_outlines_layer(self._viewer, results[0])
        set_geometry(layer, place)
        for result in results:
            if result.left_out is not None:
                outlines = draw_left_out(result.left_out, _choose_width(result))
                layer.data[result.placement.index] = enlarged(outlines, result.source.shape)
        layer.refresh(extent=False)

    def _remove_layers_of_others(self, keeps_own: bool) -> None:
        """Remove outlines of images that are gone, or of the image on view."""
        images = {str(layer.unique_id) for layer in self._viewer.layers}
        own = self._layer()
        for layer in list_layers(self._viewer, Image):
            mark = layer.metadata.get(LEFT_OUT_KEY)
            if mark is not None and (mark not in images or (layer is own and not keeps_own)):
                self._viewer.layers.remove(layer)


def add_outlines_layer(viewer: ViewerModel, result: PlaneResult) -> Image:
    """Add a layer for outlines above all that shows the image of a result; empty.

    It is an image: labels would be offered for review, and saved with the nuclei.
    """
    image, place = result.source.image, result.placement
    active = viewer.layers.selection.active
    layer = Image(
        np.zeros(place.shape, np.uint8),
        name=f"{image.name} left out",
        colormap=[(*OUTLINE_COLOUR, 0.0), (*OUTLINE_COLOUR, 1.0)],
        blending="translucent",
        contrast_limits=(0, 1),
        metadata={LEFT_OUT_KEY: str(image.unique_id)},
        **place.geometry,
    )
    viewer.layers.append(layer)
    viewer.layers.selection.active = active  # or the form would switch to it
    return layer


def _choose_width(result: PlaneResult) -> int:
    """Choose how wide outlines are: those of large nuclei are looked at from farther away."""
    diameter = result.prediction.provenance.diameter
    return 2 if isinstance(diameter, float) and diameter > LARGE_DIAMETER else 1


def draw_left_out(found: LeftOutNuclei, width: int = 1) -> NDArray[np.uint8]:
    """Draw the pixels at the edge of each that was left out; 1 there, 0 elsewhere."""
    labels = np.pad(found.to_labels(), 1)
    rows, columns = (at + 1 for at in found.pixels)
    is_edge = np.zeros(found.ids.size, bool)
    for _ in range(width):
        labels[rows[is_edge], columns[is_edge]] = 0
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            is_edge |= labels[rows + down, columns + right] != found.ids
    outlines = np.zeros(found.shape, np.uint8)
    outlines.reshape(-1)[found.positions[is_edge]] = 1
    return outlines
