"""Writes segmented planes into the labels layers of their images, and caches their predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.layers import Labels

from ..common.notify import report_user_errors, show_info, show_warning
from ..layers.image_source import ImageSource
from ..layers.labels_layer import show_labels
from ..layers.labels_record import detach_labels, find_labels_layer
from ..layers.labels_state import LabelsState, PlaneState, WrittenPart
from ..layers.placement import LayerPlacement
from ..layers.volumes import is_volume
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
    on_cached : callable
        Called with the state of labels that may still have to be measured.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        display_options: DisplayOptions,
        on_cached: Callable[[LabelsState], object],
    ) -> None:
        self.viewer, self._session, self.display_options = viewer, session, display_options
        self.limits, self._on_cached = session.limits, on_cached

    def write(self, request: SegmentRequest, output: PlaneTaskOutput) -> PlaneResult | None:
        """Write the plane of a finished run; show why, and return None, where that fails."""
        source, retuned = request.source, output.retuned
        assert retuned is not None
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
        place = source.placement
        layer = self.find_layer(source, place)
        if layer is not None and (kept := self._explain_kept(layer, place, source)):
            detach_labels(layer)
            show_info(f"{kept} stays as it is.")
            layer = None
        with report_user_errors():
            layer = self.show(source, retuned, layer, place)
            result = self.cache(request, source, output, layer, place)
            if len(place.shape) > 2:  # what is left out of all planes is known only now
                result.write_record()
            self.display_options.show_map(result)
            return result
        return None

    def _explain_kept(self, layer: Labels, place: LayerPlacement, source: ImageSource) -> str:
        """Return what of labels must not be overwritten; empty: they may be."""
        if busy := LabelsState.of(layer).busy:
            return f"'{layer.name}', which is busy ({busy}),"
        if not layer.editable:
            return f"What you have locked, '{layer.name}'"
        if self.overwrites_edits(layer, place, source):
            return f"What you have corrected in '{layer.name}'"
        return ""

    def find_layer(self, source: ImageSource, place: LayerPlacement) -> Labels | None:
        """Find the labels that a plane is written into; those of a volume stay as they are."""
        layer = find_labels_layer(self.viewer, source.image, len(place.shape))
        if layer is not None and is_volume(layer):
            detach_labels(layer)
            return None
        return layer

    def find_volume_layer(self, source: ImageSource, place: LayerPlacement) -> Labels | None:
        """Find the labels of an image, whatever they hold."""
        return find_labels_layer(self.viewer, source.image, len(place.shape))

    def watch(self, state: LabelsState) -> None:
        """Do not call a run finished before labels are measured."""
        self._on_cached(state)

    def overwrites_edits(self, layer: Labels, place: LayerPlacement, source: ImageSource) -> bool:
        """Return whether a plane would overwrite labels that the user has edited.

        A region may; but not the part of a whole plane that a stopped run has finished.
        """
        state = LabelsState.of(layer)
        if layer.data.shape != place.shape:  # all of them would be replaced
            return state.has_edits
        return source.region is None and state.plane_state(place.index) is PlaneState.EDITED

    def show(
        self,
        source: ImageSource,
        retuned: RetunedPlane,
        layer: Labels | None,
        place: LayerPlacement,
    ) -> Labels:
        """Write a plane into labels, with geometry and record; create a layer if there is none."""
        arguments = (source.image, place, retuned.labels, retuned.inside)
        if layer is None:
            layer = show_labels(self.viewer, *arguments, retuned.result.provenance)
            self.display_options.apply(layer)
            return layer
        with LabelsState.of(layer).writing(place.index):
            return show_labels(self.viewer, *arguments, retuned.result.provenance)

    def cache(
        self,
        request: SegmentRequest,
        source: ImageSource,
        output: PlaneTaskOutput,
        layer: Labels,
        place: LayerPlacement,
    ) -> PlaneResult:
        """Cache the prediction of a plane that was written, and have its nuclei measured."""
        retuned = output.retuned
        assert retuned is not None
        result = PlaneResult(
            source, output.prediction, output.checksum, MODEL_REGISTRY.stamp(request.model),
            layer, LabelsState.of(layer), place, WrittenPart(place.index, retuned.inside),
            retuned.result.provenance,
        )  # fmt: skip
        result.mark_written(retuned, delay=0)
        self._on_cached(result.state)
        self._session.predictions.add(result)
        return result
