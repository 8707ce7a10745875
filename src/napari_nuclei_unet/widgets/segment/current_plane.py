"""What is known of the plane, and the stack, that form and view show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.image_source import WHOLE, Source
from napari_nuclei_unet.widgets.layers.labels_layer import place_of
from napari_nuclei_unet.widgets.segment.blockwise_task import is_large
from napari_nuclei_unet.widgets.session.plane_result import Kept

if TYPE_CHECKING:
    from napari_nuclei_unet.widgets.segment.source_form import Where
    from napari_nuclei_unet.widgets.session.model_form import ModelChoice
    from napari_nuclei_unet.widgets.session.predictions import Live

NOT_YET = "Click Segment: what the network says of this plane is not known yet."
TOO_LARGE = (
    "Sliders and probability map do not act on planes as large as this: set the sliders before "
    "Segment, or try them on a Preview."
)


class OnView:
    """Looks up what is kept.

    Parameters
    ----------
    where : Where
    model : ModelChoice
    live : Live
    """

    def __init__(self, where: Where, model: ModelChoice, live: Live) -> None:
        self._where, self._model, self._live = where, model, live

    def kept(self) -> Kept | None:
        """Give what the network said of the plane."""
        try:
            source = self._where.source()
        except UserError:  # the region may be none; the plane still is one
            if (whole := self._whole()) is None:
                return None
            source = whole
        return self._live.find(source, self._model.model.value)

    def planes(self) -> list[Kept]:
        """Give what the network said of all planes of the stack."""
        source = self._whole() if self._where.planes.axes else None
        return [] if source is None else self._live.planes_like(source, self._model.model.value)

    def record(self, layer: Labels) -> dict[str, Any] | None:
        """Give the record of the plane of labels, which those of other planes may follow."""
        source = self._whole()
        if source is None:
            return None
        return self._live.record_of(layer, place_of(source.image, source.cut).index)

    def missing(self) -> str:
        """Say why nothing is kept of the plane."""
        source = self._whole()
        return TOO_LARGE if source is not None and is_large(source) else NOT_YET

    def mixed(self, layer: Labels) -> bool:
        """Whether planes of labels are known to be of different settings."""
        records = self._live.records_of(layer)
        return len({_settings(record) for record in records}) > 1

    def _whole(self) -> Source | None:
        try:
            return self._where.source(WHOLE)
        except UserError:
            return None


def _settings(record: dict[str, Any]) -> str:
    """Give what of a record is the same for all planes that one run has made."""
    source = record.get("source") or {}
    same = [record.get(name) for name in ("model", "model_sha256", "params", "region")]
    return repr([*same, source.get("channel"), source.get("level")])
