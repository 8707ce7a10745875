"""Writes segmented planes into the labels layers of their images, and caches their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning

from ..common.notify import report_user_errors
from ..layers.image_source import ImageSource
from ..layers.labels_layer import LayerPlacement, detach_labels, find_labels_layer, show_labels
from ..session.plane_result import PlaneResult, RetunedPlane, get_model_stamp
from .plane_task import PlaneTaskOutput, SegmentRequest

if TYPE_CHECKING:
    from .runner import SegmentContext


class PlaneWriter:
    """Writes segmented planes into labels layers.

    Parameters
    ----------
    context : SegmentContext
    """

    def __init__(self, context: SegmentContext) -> None:
        self._viewer, self._predictions = context.viewer, context.predictions
        self._display_options = context.display_options

    def write(self, request: SegmentRequest, output: PlaneTaskOutput) -> PlaneResult | None:
        """Write the plane of a finished run; show why, and return None, where that fails."""
        source, retuned = request.source, output.retuned
        assert retuned is not None
        name = source.image.name
        if source.image not in self._viewer.layers:
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
        layer = find_labels_layer(self._viewer, source.image, len(place.shape))
        if layer is not None and retuned.inside is None and self._predictions.edited(layer, place):
            detach_labels(layer)
            show_info(f"What you have corrected in '{layer.name}' stays as it is.")
            layer = None
        with report_user_errors():
            layer = self.show(source, retuned, layer, place)
            return self.cache(request, source, output, layer, place)
        return None

    def show(
        self,
        source: ImageSource,
        retuned: RetunedPlane,
        layer: Labels | None,
        place: LayerPlacement,
    ) -> Labels:
        """Write a plane into labels, with geometry and record; create a layer if there is none."""
        written = self._predictions.write(
            layer,
            lambda: show_labels(
                self._viewer, source.image, source.plane_index, retuned.labels, retuned.inside,
                retuned.result.provenance,
            ),
            place.index,
        )  # fmt: skip
        if written != layer:
            self._display_options.apply(written)
        return written

    def cache(
        self,
        request: SegmentRequest,
        source: ImageSource,
        output: PlaneTaskOutput,
        layer: Labels,
        place: LayerPlacement,
        publish: bool = True,
    ) -> PlaneResult:
        """Cache the prediction of a plane that was written, and update the features table."""
        retuned = output.retuned
        assert retuned is not None
        result = PlaneResult(
            source, output.prediction, output.checksum, get_model_stamp(request.model),
            layer, place, retuned.inside, retuned.result.provenance,
        )  # fmt: skip
        result.mark_written(retuned)
        result.update_features(retuned, publish=publish)
        self._predictions.add(result)
        return result
