"""The line that says how much was found and left out; a click outlines it on the image."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from ...arrays.boxes import enlarged
from ...errors import UserError
from ...provenance.left_out_counts import LeftOutCounts
from ..common.clickable_label import ClickableLabel
from ..common.controls import keep_room
from ..layers.label_ids import plane_key
from ..layers.labels_record import LabelsRecord, get_record_entries
from ..layers.metadata_keys import LEFT_OUT_KEY, find_marked_layer, list_layers
from ..layers.placement import can_hold, set_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...segmentation.left_out import LeftOutNuclei
    from ..session.plane_result import PlaneResult
    from .current_plane import CurrentPlane
    from .source_form import SourceForm

# Values of pixels: an outline, and a rim around it. One of them stands out on any image.
OUTLINE, CASING = 1, 2
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
OUTLINE_COLOUR, CASING_COLOUR = (0.8, 0.8, 0.8, 1.0), (0.2, 0.2, 0.2, 1.0)
# In pixels; of larger nuclei outlines are two pixels wide.
LARGE_DIAMETER = 30.0
LEFT_OUT_HINT = (
    "What was found but is not counted as a nucleus: it is more doubtful than 'Leave out doubtful' "
    "allows, smaller than 'Smallest area', or a micronucleus or fragment. "
    "Click to show it as grey outlines; click again to hide them."
)
# Where results hold only how much it was.
PREVIEW_OUTLINES = "Preview outlines it, in the visible part"
SEGMENT_OUTLINES = "Segment again to outline it"
VOLUME_TEXT = "Volumes have no count of what is left out: lower 'Leave out doubtful' to keep more."


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
        keep_room(self)
        # by layer and plane, so that a move of a slider draws one plane of a stack, not all
        self._drawn: weakref.WeakKeyDictionary[
            Image, dict[tuple[int | None, ...], LeftOutNuclei]
        ] = weakref.WeakKeyDictionary()
        self.clicked.connect(self._toggle)
        self.refresh()

    def refresh(self) -> None:
        """Show the counts of the results as they are now, and their outlines, if these are on."""
        self._remove_outlines_of_gone_images()  # first: the form may choose another image then
        results = self._results()
        counts = sum((one.left_out.counts for one in results if one.left_out), LeftOutCounts())
        layer = self._layer()
        if layer is not None and not counts.total:
            self._viewer.layers.remove(layer)
            layer = None
        self.set_clickable(counts.total > 0)
        link = f"{counts.describe()} · {'show' if layer is None else 'hide'} outlines"
        text = link if counts.total else "" if results else self._describe_record()
        self.setText(text)
        self.setVisible(bool(text))
        if layer is not None:
            self._draw(layer, results)

    def _results(self) -> list[PlaneResult]:
        """Return the results of all planes of the image, or of its region."""
        if self._current_plane.volume_result() is not None:
            return []
        planes = self._current_plane.planes()
        plane = None if planes else self._current_plane.plane_result()
        return planes if plane is None else [plane]

    def _describe_record(self) -> str:
        """Describe what the labels of the image record, of which no pixels are known."""
        if self._current_plane.volume_result() is not None:
            return VOLUME_TEXT
        image = self._source_form.image.value
        for layer in reversed(list_layers(self._viewer, Labels)):
            entries = get_record_entries(layer)
            if image is not None and entries.get("image") == str(image.unique_id):
                counts = _read_counts(entries)
                hint = PREVIEW_OUTLINES if "store" in entries else SEGMENT_OUTLINES
                return f"{counts.describe()} · {hint}" if counts.total else ""
        return ""

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

    def _draw(self, layer: Image, results: Sequence[PlaneResult]) -> None:
        """Outline what was left out of all planes."""
        place = results[0].placement
        if not can_hold(layer.data, place.shape, np.uint8):
            self._viewer.layers.remove(layer)
            layer = add_outlines_layer(self._viewer, results[0])
        set_geometry(layer, place)
        drawn = self._drawn.setdefault(layer, {})
        for result in results:
            key, found = plane_key(result.placement.index), result.left_out
            if found is not None and drawn.get(key) is not found:
                outlines = draw_left_out(found, _choose_width(result))
                layer.data[result.placement.index] = enlarged(outlines, result.source.shape)
                drawn[key] = found
        layer.refresh(extent=False)

    def _remove_outlines_of_gone_images(self) -> None:
        images = {str(layer.unique_id) for layer in self._viewer.layers}
        for layer in list_layers(self._viewer, Image):
            image = layer.metadata.get(LEFT_OUT_KEY)
            # a removal may refresh this line, too
            if image is not None and image not in images and layer in self._viewer.layers:
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
        colormap=[(*OUTLINE_COLOUR[:3], 0.0), OUTLINE_COLOUR, CASING_COLOUR],
        blending="translucent",
        contrast_limits=(0, CASING),
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
    """Draw the edge of each that was left out, and a rim around it; 0 elsewhere."""
    labels = np.pad(found.to_labels(), 1)
    rows, columns = (at + 1 for at in found.pixels)
    is_edge = np.zeros(found.ids.size, bool)
    for _ in range(width):
        labels[rows[is_edge], columns[is_edge]] = 0
        for down, right in NEIGHBOURS:
            is_edge |= labels[rows + down, columns + right] != found.ids
    outlines = np.zeros(labels.shape, np.uint8)
    for down, right in NEIGHBOURS:
        outlines[rows + down, columns + right] = CASING
    outlines[rows, columns] = np.where(is_edge, OUTLINE, 0)
    return outlines[1:-1, 1:-1]


def _read_counts(entries: dict[str, Any]) -> LeftOutCounts:
    """Return the counts in the record of labels; none where it has none, or is damaged."""
    try:
        return LabelsRecord.from_json(entries).provenance.left_out or LeftOutCounts()
    except UserError:
        return LeftOutCounts()
