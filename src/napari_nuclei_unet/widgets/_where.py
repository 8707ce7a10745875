"""The part of the form that says what is segmented: image, channel, resolution, region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Shapes
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QMainWindow, QWidget
from vispy.app.base import BaseCanvasBackend

from napari_nuclei_unet.core.axes import Channel
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets._layers import PROBABILITY, shape_of
from napari_nuclei_unet.widgets._parts import combo, row
from napari_nuclei_unet.widgets._source import (
    VIEW,
    WHOLE,
    Choice,
    Source,
    likely_channel_axis,
    shapes_of,
    source_on_view,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

ON_VIEW, MEAN, NO_AXIS = "on view", "mean", "no channels"


class Where(QObject):
    """Chooses image, channel, resolution and region; follows the viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    changed
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.image = combo("image", "The image whose nuclei are to be found.", self._images)
        self.axis = combo(
            "channel_axis",
            "The axis of the image that holds channels; guessed from names and lengths.",
            self._axes,
        )
        self.channel = combo("channel", "The channel that shows nuclei.", self._channels)
        self.level = combo(
            "level", "Resolution of a multiscale image that the network sees.", self._levels
        )
        self.region = combo(
            "region",
            "Where nuclei are looked for: everywhere, where you look, or inside the rectangles "
            "and polygons of a shapes layer. The rest of the labels stays as it is.",
            self._regions,
        )
        self._channel_row = row(self.axis.native, self.channel.native)
        self.image.changed.connect(self._on_image)
        self.axis.changed.connect(self._on_axis)
        for one in (self.channel, self.level, self.region):
            one.changed.connect(self._say)
        layers = viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._refresh)
        layers.selection.events.active.connect(self._follow_selection)
        for layer in layers:
            layer.events.name.connect(self._refresh)
        self._follow_selection()
        self._on_image()

    def fill(self, form: QFormLayout) -> None:
        """Put the controls into a form; those that do not apply are hidden."""
        self._form = form
        form.addRow("Image", self.image.native)
        form.addRow("Channel", self._channel_row)
        form.addRow("Level", self.level.native)
        form.addRow("Region", self.region.native)
        self._show_rows()

    def source(self, where: Any = None) -> Source:
        """Say what is chosen.

        Parameters
        ----------
        where : str or Shapes, optional
            Instead of the region chosen.

        Raises
        ------
        UserError
            If there is nothing to segment.
        """
        image = self.image.value
        if image is None:
            raise UserError("There is no image to segment: open one first (File ▸ Open).")
        region = self.region.value if where is None else where
        choice = Choice(self.axis.value, self._channel, self.level.value or 0, region)
        return source_on_view(self._viewer, image, choice, self._canvas())

    def _canvas(self) -> tuple[int, int] | None:
        """Height and width of napari's canvas; only its window knows."""
        window = self.image.native.window()
        middle = window.centralWidget() if isinstance(window, QMainWindow) else None
        children = [] if middle is None else middle.findChildren(QWidget)
        for one in children:
            if isinstance(one, BaseCanvasBackend):
                return one.height(), one.width()
        return None

    def use_record(self, record: dict[str, Any]) -> None:
        """Choose what a result was made of; its region comes back as a shapes layer.

        Parameters
        ----------
        record : dict
        """
        for layer in self.image.choices:
            if str(layer.unique_id) == record.get("image"):
                self.image.value = layer
        image, source = self.image.value, record.get("source")
        if image is None or source is None or len(source["index"]) != image.ndim:
            return
        self.axis.value = source["channel_axis"]
        if source["channel"] in self.channel.choices:
            self.channel.value = source["channel"]
        if source["level"] in self.level.choices:
            self.level.value = source["level"]
        self.region.value = self._drawn(image, record) if record.get("region") else WHOLE

    def _drawn(self, image: Image, record: dict[str, Any]) -> Shapes:
        """Draw the region of a record on its image."""
        active = self._viewer.layers.selection.active
        made = shapes_of(self.source(WHOLE), record["region"], f"{image.name} region")
        self._viewer.add_layer(made)
        self._viewer.layers.selection.active = active
        return made

    @property
    def _channel(self) -> Channel | None:
        return None if self.channel.value == ON_VIEW else self.channel.value

    # what the lists offer

    def _images(self, _: Any) -> list[Image]:
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        return [layer for layer in images if PROBABILITY not in layer.metadata]

    def _axes(self, _: Any) -> list[tuple[str, int | None]]:
        image = self.image.value
        if image is None or image.ndim < 3:
            return [(NO_AXIS, None)]
        lengths = enumerate(shape_of(image))
        names = [(f"{_name(image, axis)} ({length})", axis) for axis, length in lengths]
        return [(NO_AXIS, None), *names]

    def _channels(self, _: Any) -> list[Any]:
        image, axis = self.image.value, self.axis.value
        if image is None or axis is None:
            return [ON_VIEW]
        return [ON_VIEW, MEAN, *range(shape_of(image)[axis])]

    def _levels(self, _: Any) -> list[tuple[str, int]]:
        image = self.image.value
        if image is None or not image.multiscale:
            return [("0", 0)]
        return [
            (f"{level}: {' x '.join(map(str, shape[: image.ndim]))}", level)
            for level, shape in enumerate(map(tuple, image.level_shapes))
        ]

    def _regions(self, _: Any) -> list[Any]:
        return [WHOLE, VIEW, *(one for one in self._viewer.layers if isinstance(one, Shapes))]

    # what happens elsewhere

    def _on_inserted(self, event: Any) -> None:
        event.value.events.name.connect(self._refresh)
        self._refresh()

    def _refresh(self, _: Any = None) -> None:
        self.image.reset_choices()
        self.region.reset_choices()

    def _follow_selection(self, _: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Image) and active in self.image.choices:
            self.image.value = active

    def _on_image(self, _: Any = None) -> None:
        image = self.image.value
        self.axis.reset_choices()
        self.level.reset_choices()
        self.level.value = 0
        self.axis.value = None if image is None else likely_channel_axis(image)
        self._on_axis()
        self._show_rows()

    def _on_axis(self, _: Any = None) -> None:
        self.channel.reset_choices()
        self._say()

    def _show_rows(self) -> None:
        form = getattr(self, "_form", None)
        if form is not None:
            image = self.image.value
            form.setRowVisible(self._channel_row, image is not None and image.ndim > 2)
            form.setRowVisible(self.level.native, image is not None and image.multiscale)

    def _say(self, _: Any = None) -> None:
        self.changed.emit()


def _name(image: Image, axis: int) -> str:
    """Give the axis a name that the user has given it, or its number."""
    name = image.axis_labels[axis]
    return name if name.isalpha() else f"axis {axis}"
