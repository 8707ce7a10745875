"""The row of the form that selects what is black and white to the network."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from ...params import SegmentParams
from ...segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from ..common.controls import create_combo_box
from ..common.layer_combo import reload_choices

if TYPE_CHECKING:
    from napari.layers import Image

AUTOMATIC, AS_DISPLAYED = "automatic", "as displayed"
NOT_LIGHTENED = "automatic, not lightened"


class BrightnessForm(QObject):
    """Selects brightness: measured, as napari displays the image, or that of a record.

    Signals
    -------
    changed
        The value is another.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._recorded = AUTOMATIC_BRIGHTNESS
        self.combo = create_combo_box(
            "brightness",
            "What is black and white to the network. automatic: measured in each plane, ignoring "
            "artefacts such as scale bars, and stained sections that are dark are lightened; "
            "automatic, not lightened: the same without that; as displayed: the contrast limits "
            "and gamma that the image layer has at the click.",
            self._choices,
        )
        self.combo.changed.connect(self._on_changed)

    def value(self) -> Brightness | str:
        """Return a brightness, or ``AS_DISPLAYED``."""
        value: Brightness | str = self.combo.value
        return value

    def set_value(self, value: Brightness | str) -> None:
        """Select a brightness, which is offered from now on, or ``AS_DISPLAYED``."""
        before = self.value()
        if isinstance(value, Brightness) and not value.is_automatic:
            self._recorded = value
        reload_choices(self.combo, value)
        if self.value() != before:
            self.changed.emit()

    def apply(self, params: SegmentParams, image: Image) -> SegmentParams:
        """Return parameters with the selected brightness; it is read from the image layer now."""
        value = self.value()
        chosen = value if isinstance(value, Brightness) else displayed_brightness(image)
        return replace(params, **asdict(chosen))

    def _choices(self, _: Any) -> list[tuple[str, Brightness | str]]:
        choices: list[tuple[str, Brightness | str]] = [
            (AUTOMATIC, AUTOMATIC_BRIGHTNESS),
            (NOT_LIGHTENED, Brightness(gamma=1.0)),
            (AS_DISPLAYED, AS_DISPLAYED),
        ]
        if self._recorded not in dict(choices).values():
            choices.append((describe_brightness(self._recorded), self._recorded))
        return choices

    def _on_changed(self, _: Any) -> None:
        self.changed.emit()


def displayed_brightness(image: Image) -> Brightness:
    """Return contrast limits and gamma of an image layer; napari shows RGB as it is."""
    if image.rgb:
        dtype = np.dtype(image.dtype)
        return Brightness(0.0, float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0)
    black, white = map(float, image.contrast_limits)
    return Brightness(black, white, None if image.gamma == 1 else float(image.gamma))


def describe_brightness(brightness: Brightness) -> str:
    """Return a text such as "100 to 4,000, gamma 0.5"."""
    black, white = (
        AUTOMATIC if point is None else f"{point:,.6g}"
        for point in (brightness.black, brightness.white)
    )
    gamma = "" if brightness.gamma is None else f", gamma {brightness.gamma:g}"
    return f"{black} to {white}{gamma}"
