"""Writes segmented planes into the labels layers of their images, and caches their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning

from ..common.notify import name_controls, report_user_errors
from ..layers.image_source import ImageSource
from ..layers.labels_layer import detach_labels, find_labels_layer, show_labels
from ..layers.labels_state import LabelsState, PlaneState, WrittenPart
from ..session.model_registry import MODEL_REGISTRY
from ..session.plane_result import PlaneResult, RetunedPlane

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..session.session import Session
    from .display import DisplayOptions
    from .plane_task import PlaneTaskOutput, SegmentRequest


class PlaneWriter:
    """Writes segmented planes into labels layers.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    session : Session
        Stores the predictions.
    display_options : DisplayOptions
    """

    def __init__(
        self, viewer: ViewerModel, session: Session, display_options: DisplayOptions
    ) -> None:
        self.viewer, self._session, self.display_options = viewer, session, display_options

    def write(self, request: SegmentRequest, output: PlaneTaskOutput) -> PlaneResult | None:
        """Write the plane of a finished run; show why, and return None, where that fails."""
        source, retuned = request.source, output.retuned
        assert retuned is not None
        for notice in output.prediction.notices:
            show_info(name_controls(notice))
        name = source.image.name
        if source.image not in self.viewer.layers:
            show_warning(
                f"The image '{name}' was removed while it was being segmented, so its nuclei were "
                "not added."
            )
            return None
        if not source.is_current:
            show_warning(
                f"The image '{name}' was changed while it was being segmented, so its nuclei were "
                "not added: segment it again."
            )
            return None
        layer = self.find_layer(source)
        if layer is not None and retuned.inside is None and self.is_edited(layer, source):
            detach_labels(layer)
            show_info(f"What you have corrected in '{layer.name}' stays as it is.")
            layer = None
        with report_user_errors():
            layer = self.show(source, retuned, layer)
            result = self.cache(request, source, output, layer)
            self.display_options.show_map(result)
            return result
        return None

    def find_layer(self, source: ImageSource) -> Labels | None:
        """Find the labels that a plane is written into."""
        return find_labels_layer(self.viewer, source.image, len(source.placement.shape))

    def is_edited(self, layer: Labels, source: ImageSource) -> bool:
        """Return whether the user has edited the labels of a plane."""
        place, state = source.placement, LabelsState.of(layer)
        if layer.data.shape != place.shape:  # all of them would be replaced
            return state.has_edits
        return state.plane_state(place.index) is PlaneState.EDITED

    def show(self, source: ImageSource, retuned: RetunedPlane, layer: Labels | None) -> Labels:
        """Write a plane into labels, with geometry and record; create a layer if there is none."""
        arguments = (source.image, source.plane_index, retuned.labels, retuned.inside)
        if layer is None:
            layer = show_labels(self.viewer, *arguments, retuned.result.provenance)
            self.display_options.apply(layer)
            return layer
        with LabelsState.of(layer).writing(source.placement.index):
            return show_labels(self.viewer, *arguments, retuned.result.provenance)

    def cache(
        self,
        request: SegmentRequest,
        source: ImageSource,
        output: PlaneTaskOutput,
        layer: Labels,
    ) -> PlaneResult:
        """Cache the prediction of a plane that was written, and have its nuclei measured."""
        retuned, place = output.retuned, source.placement
        assert retuned is not None
        result = PlaneResult(
            source, output.prediction, output.checksum, MODEL_REGISTRY.stamp(request.model),
            layer, place, WrittenPart(place.index, retuned.inside), retuned.result.provenance,
        )  # fmt: skip
        result.mark_written(retuned, delay=0)
        self._session.predictions.add(result)
        return result
