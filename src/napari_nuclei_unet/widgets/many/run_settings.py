"""The settings of a run over many images: those of the dock "Segment nuclei", or of a project."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...arrays.axes import Channel, Colour
from ...errors import UserError
from ...io.record_paths import real_path
from ...models.library import MODEL_SUFFIX
from ...params import PARAMETER_LABELS, SegmentParams
from ...provenance.project import SegmentSettings, read_project
from ..common.params_form import convert_shown
from ..common.preferences import get_preference
from ..layers.image_source import WHOLE_IMAGE
from ..session.model_titles import title_file, title_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...batch.inputs import InputImage
    from ...batch.settings import JobSettings
    from ..session.session import Session

# Of a form that nobody has changed; a sentence with more than these is not read.
MAX_DESCRIBED = 4


@dataclass(frozen=True)
class ManySettings:
    """How all images are segmented.

    Attributes
    ----------
    segment : SegmentSettings
        The layer, its region and its planes are those of the image on view, and are ignored.
    volume : bool
        Whether slices of z-stacks are a volume.
    channel : int or str or None
        Of images with several; None: that of ``segment``.
    """

    segment: SegmentSettings
    volume: bool = False
    channel: Channel | Colour | None = None


def session_settings(session: Session) -> SegmentSettings:
    """Return the settings of the dock "Segment nuclei"; its defaults, if it was never opened."""
    chosen = session.segment_settings.value()
    if chosen is not None:
        return chosen
    return SegmentSettings(
        params=SegmentParams(), as_displayed=False, model=get_preference("model"),
        device=get_preference("device"), image=None, channel_axis=None, channel=None, level=0,
        region=WHOLE_IMAGE, region_is_layer=False, planes="",
    )  # fmt: skip


def read_project_settings(path: Path) -> SegmentSettings:
    """Read the settings that are saved in a project.

    Raises
    ------
    UserError
        If it cannot be read, or has none.
    """
    settings = read_project(path).settings
    if settings is None:
        raise UserError(
            f"{path.name} has no settings: save it while the dock 'Segment nuclei' is open."
        )
    return settings


def describe_settings(settings: SegmentSettings) -> str:
    """Return the model, and what differs from the defaults, such as "Diameter 12"."""
    default, params = SegmentParams(), settings.params

    changed = [
        f"{_label(one.name)} {convert_shown(one, float(value)):g}"
        for one in fields(params)
        if isinstance(value := getattr(params, one.name), int | float)
        and not isinstance(value, bool)
        and value != getattr(default, one.name)
    ]
    more = [f"{len(changed) - MAX_DESCRIBED} more"] if len(changed) > MAX_DESCRIBED else []
    channel = [] if settings.channel is None else [f"channel {settings.channel}"]
    is_file = settings.model.endswith(MODEL_SUFFIX)
    model = title_file(Path(settings.model)) if is_file else title_model(settings.model)
    return ", ".join([f"model {model}", *channel, *changed[:MAX_DESCRIBED], *more])


def _label(name: str) -> str:
    """Return the label of a parameter without quotes."""
    return PARAMETER_LABELS.get(name, name).strip("'")


def create_job_settings(chosen: ManySettings, inputs: Sequence[InputImage]) -> JobSettings:
    """Create the settings of a run; runs in the thread, as it loads the model.

    Raises
    ------
    UserError
        If the model cannot be loaded.
    """
    # imports torch
    from ...batch.inputs import any_has_channels
    from ...batch.settings import JobSettings
    from ...models.model import load_model

    segment = chosen.segment
    params = segment.params
    channel = segment.channel if chosen.channel is None else chosen.channel
    if segment.as_displayed:  # of one image layer
        params = replace(params, black=None, white=None)
    is_file = segment.model.endswith(MODEL_SUFFIX)
    return JobSettings(
        model=load_model(segment.model),
        model_name=str(real_path(segment.model)) if is_file else segment.model,
        params=params,
        device=segment.device,
        channel=channel,
        volume=chosen.volume,
        is_mixed=True,
        has_multichannel=isinstance(channel, int) and any_has_channels(inputs, None),
    )
