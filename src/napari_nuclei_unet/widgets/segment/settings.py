"""The form of the dock "Segment nuclei", set as a whole: from a project, or a record."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Shapes

from ...params import DEVICES
from ...segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from ..common.notify import show_warning
from ..layers.image_source import VISIBLE_REGION, WHOLE_IMAGE
from ..session.model_form import ModelChoice
from .brightness_form import AS_DISPLAYED
from .source_form import SourceChoice

if TYPE_CHECKING:
    from ...provenance.project import SegmentSettings
    from ..layers.labels_record import LabelsRecord
    from .widget import SegmentWidget


def read_settings(widget: SegmentWidget) -> SegmentSettings:
    """Return what the form has selected; layers by their names."""
    from ...provenance.project import SegmentSettings  # imports pandas

    source, model = widget.source_form.value(), widget.model_form.value()
    brightness = widget.brightness_form.value()
    given = brightness if isinstance(brightness, Brightness) else AUTOMATIC_BRIGHTNESS
    region = source.region
    return SegmentSettings(
        params=replace(widget.params_form.value(), **asdict(given)),
        as_displayed=brightness == AS_DISPLAYED,
        model=model.model,
        device=model.device,
        image=None if source.image is None else source.image.name,
        channel_axis=source.channel_axis,
        channel=source.channel,
        level=source.level,
        region=region.name if isinstance(region, Shapes) else region,
        region_is_layer=isinstance(region, Shapes),
        planes=source.planes,
    )


def use_record(widget: SegmentWidget, record: LabelsRecord) -> None:
    """Set the form to the settings of a result; a model that is gone is reported."""
    provenance = record.provenance
    with widget.restoring():
        widget.source_form.use_record(record)
        known = widget.model_form.use_provenance(provenance)
        # after the model, which set thresholds
        widget.params_form.set_value(provenance.params)
        widget.brightness_form.set_value(Brightness.of(provenance.params))
    if not known:
        _warn_model_gone(widget, provenance.model, "these labels")


def use_settings(widget: SegmentWidget, settings: SegmentSettings) -> None:
    """Set the form to that of a project; a model that is gone is reported."""
    choice = ModelChoice(settings.model, settings.device)
    known = choice.model in widget.model_form.model.choices or Path(choice.model).is_file()
    with widget.restoring():
        if known and choice.device in DEVICES:
            widget.model_form.set_value(choice)
        widget.params_form.set_value(settings.params)
        brightness = AS_DISPLAYED if settings.as_displayed else Brightness.of(settings.params)
        widget.brightness_form.set_value(brightness)
        _use_source(widget, settings)
    if not known:
        _warn_model_gone(widget, choice.model, "this project")


def _warn_model_gone(widget: SegmentWidget, model: str, of: str) -> None:
    show_warning(
        f"The model '{model}' of {of} is not here any more, so "
        f"'{widget.model_form.model.value}' stays chosen; everything else is as it was."
    )


def _use_source(widget: SegmentWidget, settings: SegmentSettings) -> None:
    layers = {
        layer.name: layer
        for layer in (*widget.source_form.image.choices, *widget.source_form.region.choices)
        if isinstance(layer, Image | Shapes)
    }
    image = layers.get(settings.image or "")
    if not isinstance(image, Image):
        return
    region: str | Shapes = WHOLE_IMAGE
    shapes = layers.get(settings.region)
    if settings.region_is_layer and isinstance(shapes, Shapes):
        region = shapes
    elif settings.region == VISIBLE_REGION:
        region = VISIBLE_REGION
    widget.source_form.set_value(
        SourceChoice(
            image, settings.channel_axis, settings.channel, settings.level, region, settings.planes
        )
    )
