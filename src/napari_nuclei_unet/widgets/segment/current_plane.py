"""What is known of the plane, and the stack, that form and view show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.image_source import WHOLE_IMAGE, ImageSource
from napari_nuclei_unet.widgets.layers.labels_layer import get_layer_placement
from napari_nuclei_unet.widgets.segment.blockwise_task import is_large
from napari_nuclei_unet.widgets.session.plane_result import PlaneResult

if TYPE_CHECKING:
    from napari_nuclei_unet.widgets.segment.source_form import SourceForm
    from napari_nuclei_unet.widgets.session.model_form import ModelForm
    from napari_nuclei_unet.widgets.session.predictions import PredictionCache

PLANE_NOT_SEGMENTED = "Click Segment: what the network says of this plane is not known yet."
TOO_LARGE_TO_RETUNE = (
    "Sliders and probability map do not act on planes as large as this: set the sliders before "
    "Segment, or try them on a Preview."
)


class CurrentPlane:
    """Looks up what is kept.

    Parameters
    ----------
    source_form : Where
    model : ModelChoice
    live : Live
    """

    def __init__(
        self, source_form: SourceForm, model: ModelForm, predictions: PredictionCache
    ) -> None:
        self._source_form, self._model, self._predictions = source_form, model, predictions

    def plane_result(self) -> PlaneResult | None:
        """Give what the network said of the plane."""
        try:
            source = self._source_form.source()
        except UserError:  # the region may be none; the plane still is one
            if (whole := self._whole()) is None:
                return None
            source = whole
        return self._predictions.find(source, self._model.model.value)

    def planes(self) -> list[PlaneResult]:
        """Give what the network said of all planes of the stack."""
        source = self._whole() if self._source_form.planes.axes else None
        return (
            [] if source is None else self._predictions.find_planes(source, self._model.model.value)
        )

    def record(self, layer: Labels) -> dict[str, Any] | None:
        """Give the record of the plane of labels, which those of other planes may follow."""
        source = self._whole()
        if source is None:
            return None
        return self._predictions.get_record(
            layer, get_layer_placement(source.image, source.plane_index).index
        )

    def explain_missing(self) -> str:
        """Say why nothing is kept of the plane."""
        source = self._whole()
        return (
            TOO_LARGE_TO_RETUNE if source is not None and is_large(source) else PLANE_NOT_SEGMENTED
        )

    def has_mixed_settings(self, layer: Labels) -> bool:
        """Whether planes of labels are known to be of different settings."""
        records = self._predictions.get_records(layer)
        return len({_settings_key(record) for record in records}) > 1

    def _whole(self) -> ImageSource | None:
        try:
            return self._source_form.source(WHOLE_IMAGE)
        except UserError:
            return None


def _settings_key(record: dict[str, Any]) -> str:
    """Give what of a record is the same for all planes that one run has made."""
    source = record.get("source") or {}
    same = [record.get(name) for name in ("model", "model_sha256", "params", "region")]
    return repr([*same, source.get("channel"), source.get("level")])
