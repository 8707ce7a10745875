"""Cached results of the plane, and the stack, that the form and the view show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from ...errors import UserError
from ..layers.image_source import WHOLE_IMAGE, ImageSource
from ..layers.labels_record import is_attached
from ..session.model_registry import MODEL_REGISTRY, ModelStamp
from ..session.plane_result import PlaneResult
from .blockwise_task import is_large

if TYPE_CHECKING:
    from ...provenance.record import Provenance
    from ..session.model_form import ModelForm
    from ..session.session import Session
    from ..session.volume_result import VolumeResult
    from .source_form import SourceForm

PLANE_NOT_SEGMENTED = "Click Segment: what the network says of this plane is not known yet."
TOO_LARGE_TO_RETUNE = (
    "Sliders and probability map do not act on planes as large as this: set the sliders before "
    "Segment, or try them on a Preview."
)


class CurrentPlane:
    """Looks up cached results.

    Parameters
    ----------
    source_form : SourceForm
    model : ModelForm
    session : Session
    """

    def __init__(
        self,
        source_form: SourceForm,
        model: ModelForm,
        session: Session,
    ) -> None:
        self._limits, self._volumes = session.limits, session.predictions.volumes
        self._source_form, self._model, self._predictions = source_form, model, session.predictions

    def plane_result(self) -> PlaneResult | None:
        """Return the cached result of the plane."""
        try:
            source = self._source_form.source()
        except UserError:  # the region may be invalid; the plane still is valid
            if (whole := self._whole_source()) is None:
                return None
            source = whole
        return self._predictions.find(source, self._stamp)

    def volume_result(self) -> VolumeResult | None:
        """Return the cached result of the volume on view, if its labels were written last."""
        if (source := self._whole_source()) is None:
            return None
        result = self._volumes.find(source, self._stamp)
        return result if result is not None and is_attached(result.layer) else None

    def volumes(self) -> list[VolumeResult]:
        """Return the cached results of all volumes of the labels on view."""
        result = self.volume_result()
        return [] if result is None else self._volumes.find_all(result)

    def planes(self) -> list[PlaneResult]:
        """Return the cached results of all planes of the stack."""
        source = self._whole_source() if self._source_form.planes.axes else None
        return self._predictions.find_planes(source, self._stamp) if source else []

    def provenance(self, layer: Labels) -> Provenance | None:
        """Return the provenance of this plane of the labels, which other planes may share."""
        if (source := self._whole_source()) is None:
            return None
        return self._predictions.get_provenance(layer, source.placement.index)

    def explain_missing(self) -> str:
        """Return a message that explains why the plane has no cached result."""
        source = self._whole_source()
        is_too_large = source and is_large(source, self._limits)
        return TOO_LARGE_TO_RETUNE if is_too_large else PLANE_NOT_SEGMENTED

    def has_mixed_settings(self, layer: Labels) -> bool:
        """Return whether planes of the labels are known to have different settings."""
        provenances = self._predictions.get_provenances(layer)
        return len({_settings_key(provenance) for provenance in provenances}) > 1

    @property
    def _stamp(self) -> ModelStamp:
        return MODEL_REGISTRY.stamp(self._model.model.value)

    def _whole_source(self) -> ImageSource | None:
        try:
            return self._source_form.source(WHOLE_IMAGE)
        except UserError:
            return None


def _settings_key(provenance: Provenance) -> tuple[Any, ...]:
    """Return the part of a provenance that is the same for all planes of one run."""
    source = provenance.source
    same = provenance.model, provenance.model_sha256, provenance.params, provenance.region
    return (*same, source and source.channel, source and source.level)
