"""The row of the form that selects the axis of channels, and one of them."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from ...arrays.axes import COLOURS, Channel
from ..common.controls import create_combo_box, create_row
from ..common.layer_combo import reload_choices
from ..layers.channel_names import find_channel_names
from ..layers.geometry import layer_shape
from ..layers.image_source import guess_layer_channel_axis
from .plane_form import axis_name

CHANNEL_ON_VIEW, MEAN_OF_CHANNELS, NO_CHANNEL_AXIS = "on view", "mean", "no channels"
COLOUR_AXIS, COLOURS_TOGETHER = "colours", "together"


class ChannelForm(QObject):
    """Selects the axis of channels of an image, and one of them; remembers both for each image.

    Attributes
    ----------
    row : QWidget
        The controls; hidden where an image has neither channels nor colours.

    Signals
    -------
    axis_changed
        The user has chosen another axis; ``changed`` follows.
    changed
        Another axis, or channel, is chosen.
    """

    axis_changed = Signal()
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._image: Image | None = None
        self._axis = create_combo_box(
            "channel_axis",
            "The axis of the image that holds channels. Where nothing names the axes, one of 2 to "
            "5 is taken for it: choose 'no channels' if it is time, or z, and it is in Planes.",
            self._axes,
        )
        self._axis.null_value = NO_CHANNEL_AXIS  # or magicgui would not report None
        self._channel = create_combo_box(
            "channel", "The channel that shows nuclei.", self._channels
        )
        self.row = create_row(self._axis.native, self._channel.native)
        # by unique id of the image: the chosen channel axis and channel
        self._chosen: dict[str, tuple[int | None, Any]] = {}
        self._axis.changed.connect(self._on_axis)
        self._channel.changed.connect(self._on_channel)

    @property
    def axis(self) -> int | None:
        """The axis of channels; that behind the last is the one of the colours of RGB."""
        axis: int | None = self._axis.value
        return axis

    def value(self) -> tuple[int | None, Channel | None]:
        """Return axis and channel, as ``SourceChoice`` has them."""
        chosen = self._channel.value
        channel = None if chosen in (CHANNEL_ON_VIEW, COLOURS_TOGETHER) else chosen
        return None if chosen == COLOURS_TOGETHER else self.axis, channel

    def set_value(self, axis: int | None, channel: Channel | None) -> None:
        """Select axis and channel; what is not offered stays as it is."""
        image = self._image
        is_colours = image is not None and image.rgb and axis is None
        default = COLOURS_TOGETHER if is_colours else CHANNEL_ON_VIEW
        for combo, wanted in (
            (self._axis, image.ndim if image is not None and is_colours else axis),
            (self._channel, default if channel is None else channel),
        ):
            if wanted in combo.choices:
                combo.value = wanted

    def set_image(self, image: Image | None) -> None:
        """Offer the channels of an image: those chosen before, or guessed."""
        self._image = image
        guess = None if image is None else guess_layer_channel_axis(image)
        if image is not None and image.rgb and guess is None:
            guess = image.ndim
        axis, channel = self._chosen.get(self._key, (guess, None))
        reload_choices(self._axis, axis)
        self._offer_channels(channel)

    def forget(self, image: Image) -> None:
        """Forget what was chosen for an image whose axes are others."""
        self._chosen.pop(str(image.unique_id), None)

    def refresh_names(self) -> None:
        """Offer the channels by names that are known now."""
        self._offer_channels(self._channel.value)

    @property
    def _key(self) -> str:
        return "" if self._image is None else str(self._image.unique_id)

    def _axes(self, _: Any) -> list[tuple[str, int | None]]:
        image = self._image
        colours = [] if image is None or not image.rgb else [(COLOUR_AXIS, image.ndim)]
        if image is None or image.ndim < 3:
            return colours or [(NO_CHANNEL_AXIS, None)]
        lengths = enumerate(layer_shape(image))
        names = [(f"{axis_name(image, axis)} ({length})", axis) for axis, length in lengths]
        return [*(colours or [(NO_CHANNEL_AXIS, None)]), *names]

    def _channels(self, _: Any) -> list[Any]:
        image, axis = self._image, self.axis
        if image is None or axis is None:
            return [CHANNEL_ON_VIEW]
        if axis == image.ndim:
            return [(COLOURS_TOGETHER, COLOURS_TOGETHER), *((c, n) for n, c in enumerate(COLOURS))]
        names = find_channel_names(image, axis) or range(layer_shape(image)[axis])
        channels = [(str(name), number) for number, name in enumerate(names)]
        return [*((name, name) for name in (CHANNEL_ON_VIEW, MEAN_OF_CHANNELS)), *channels]

    def _offer_channels(self, chosen: Any) -> None:
        is_colour = self._image is not None and self.axis == self._image.ndim
        default = COLOURS_TOGETHER if is_colour else CHANNEL_ON_VIEW
        reload_choices(self._channel, default if chosen is None else chosen, default)

    def _on_axis(self, _: Any = None) -> None:
        self._offer_channels(None)
        self.axis_changed.emit()
        self._on_channel()

    def _on_channel(self, _: Any = None) -> None:
        if self._image is not None:
            self._chosen[self._key] = self.axis, self._channel.value
        self.changed.emit()
