"""The part of the form that selects what is segmented: image, channel, resolution, region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Shapes
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout

from ...arrays.axes import Channel
from ...errors import UserError
from ..common.canvas import find_canvas
from ..common.controls import create_combo_box, create_row
from ..common.help_button import HelpButton
from ..common.layer_combo import reload_choices
from ..common.lifetime import adopt
from ..layers.image_source import (
    VISIBLE_REGION,
    WHOLE_IMAGE,
    ImageSource,
    SourceOptions,
    list_levels,
    source_on_view,
)
from ..layers.labels_record import LabelsRecord, find_result_layer, get_record_entries
from ..layers.metadata_keys import list_image_layers, list_layers
from ..session.pixel_size_offer import PixelSizeOffer
from .channel_form import ChannelForm
from .plane_form import CURRENT_PLANE, PlaneForm, stack_axes
from .record_view import draw_recorded_region, show_recorded_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel


@dataclass(frozen=True)
class SourceChoice:
    """An image, and what of it is segmented.

    Attributes
    ----------
    image : napari.layers.Image or None
    channel_axis : int or None
        That behind the last is the one of the colours of RGB.
    channel : int, "mean" or None
        None: the one on view, or all colours together.
    level : int
    region : str or napari.layers.Shapes
        ``WHOLE_IMAGE``, ``VISIBLE_REGION``, or a layer of rectangles and polygons.
    planes : str
        As ``PlaneForm.value`` has it.
    """

    image: Image | None
    channel_axis: int | None = None
    channel: Channel | None = None
    level: int = 0
    region: str | Shapes = WHOLE_IMAGE
    planes: str = CURRENT_PLANE


class SourceForm(QObject):
    """Selects image, channel, resolution and region; follows the viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    changed
        The value is another.
    image_changed
        Another image is chosen, or it has other data.
    result_changed
        :meth:`find_result` may find other labels.
    """

    changed = Signal()
    image_changed = Signal()
    result_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.image = create_combo_box(
            "image", "The image whose nuclei are to be found.", self._images
        )
        self.level = create_combo_box(
            "level", "Resolution of a multiscale image that the network sees.", self._levels
        )
        self.region = create_combo_box(
            "region",
            "Where nuclei are looked for: in the whole image, in the part that the view shows, or "
            "in the rectangles and polygons of a shapes layer. Labels outside stay as they are.",
            self._regions,
        )
        self._channels = ChannelForm()
        self.planes = PlaneForm(viewer)
        adopt(self, self._channels, self.planes)
        self.pixel_size = PixelSizeOffer(viewer)
        self.pixel_size.channels_named.connect(self._channels.refresh_names)
        self.pixel_size.offered.connect(self._offer_planes)
        self.planes.depth_changed.connect(self._offer_planes)
        self._emitted, self._is_setting = self.value(), False
        self.image.changed.connect(self._on_image)
        self._channels.axis_changed.connect(self._offer_planes)
        for part in (self._channels, self.level, self.region, self.planes):
            part.changed.connect(self._on_changed)
        dims = viewer.dims.events
        for event in (dims.order, dims.ndisplay, dims.ndim):
            event.connect(self._offer_planes)
        layers = viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._refresh)
        layers.selection.events.active.connect(self._follow_selection)
        for event in (
            layers.events.inserted, layers.events.removed, layers.selection.events.active,
        ):  # fmt: skip
            event.connect(self.announce_result)
        for layer in layers:
            self._watch(layer)
        self._follow_selection()
        self._on_image()

    def fill(self, form: QFormLayout) -> None:
        """Add the controls to a form; those that do not apply are hidden."""
        self._form = form
        form.addRow("Image", create_row(self.image.native, HelpButton("tutorial/first-nuclei")))
        form.addRow(self.pixel_size)
        form.addRow("Channel", self._channels.row)
        form.addRow("Planes", self.planes.row)
        form.addRow("Level", self.level.native)
        form.addRow("Region", self.region.native)
        self._show_rows()

    def value(self) -> SourceChoice:
        """Return what is selected."""
        return SourceChoice(
            self.image.value, *self._channels.value(), self.level.value or 0, self.region.value,
            self.planes.value(),
        )  # fmt: skip

    def set_value(self, value: SourceChoice) -> None:
        """Select an image and what of it is segmented; what is not offered stays as it is."""
        self._is_setting = True
        try:
            if value.image in self.image.choices:
                self.image.value = value.image
            self._channels.set_value(value.channel_axis, value.channel)
            for combo, wanted in ((self.level, value.level), (self.region, value.region)):
                if wanted in combo.choices:
                    combo.value = wanted
            self.planes.set_value(value.planes)
        finally:
            self._is_setting = False
        self._on_changed()

    def source(self, region: Any = None) -> ImageSource:
        """Return the chosen source.

        Parameters
        ----------
        region : str or Shapes, optional
            Replaces the chosen region.

        Raises
        ------
        UserError
            If there is nothing to segment.
        """
        value = self.value()
        # one that is being removed may still be chosen, while its axes are gone from the view
        if value.image is None or value.image not in self._viewer.layers:
            raise UserError("There is no image to segment: open one first (File ▸ Open).")
        region = value.region if region is None else region
        options = SourceOptions(value.channel_axis, value.channel, value.level, region)
        return source_on_view(self._viewer, value.image, options, self._canvas())

    def use_file_size(self) -> None:
        """Set the size of pixels that is in its file on the image, before it is a volume.

        How far apart slices are decides what is a nucleus. A step that was typed stays.
        """
        self.planes.z_step.interpretText()  # what is typed, and not entered yet
        if self.planes.depth_axis is not None and self.planes.z_step.file_step is not None:
            self.pixel_size.use()

    def announce_result(self, *_: object) -> None:
        """Emit :attr:`result_changed`: labels were written, or others are selected."""
        self.result_changed.emit()

    def find_result(self) -> Labels | None:
        """Find the labels with a record that are selected, or those of the chosen image."""
        return find_result_layer(self._viewer, self.image.value)

    def _canvas(self) -> tuple[int, int] | None:
        """Return height and width of napari's canvas, which only its window knows."""
        canvas = find_canvas(self.image.native)
        return None if canvas is None else (canvas.height(), canvas.width())

    def use_record(self, record: LabelsRecord) -> None:
        """Select the source of a result; its region is restored as a shapes layer.

        Parameters
        ----------
        record : LabelsRecord

        Raises
        ------
        UserError
            If the view cannot show the plane.
        """
        for layer in self.image.choices:
            if layer is not None and str(layer.unique_id) == record.image:
                self.image.value = layer
        image, source, region = self.image.value, record.provenance.source, record.provenance.region
        if source is None:
            return
        axes = 0 if image is None else image.ndim + (source.channel_axis == image.ndim)
        if image is not None and len(source.index) == axes:
            show_recorded_plane(self._viewer, image, source)
            self.set_value(SourceChoice(image, source.channel_axis, source.channel, source.level))
            if region:
                whole = self.source(WHOLE_IMAGE)
                self.region.value = draw_recorded_region(self._viewer, whole, region)
        self.planes.use(source.planes, record.provenance.z_step)

    def _images(self, _: Any) -> list[Image]:
        return list_image_layers(self._viewer)

    def _levels(self, _: Any) -> list[tuple[str, int]]:
        return list_levels(self.image.value)

    def _regions(self, _: Any) -> list[Any]:
        shapes = list_layers(self._viewer, Shapes)
        inside = [(f"inside '{layer.name}'", layer) for layer in shapes]
        return [(WHOLE_IMAGE, WHOLE_IMAGE), ("visible part", VISIBLE_REGION), *inside]

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._refresh()
        if self._viewer.layers.selection.active == event.value:
            self._follow_selection()  # it was selected before it was a choice

    def _watch(self, layer: Any) -> None:
        layer.events.name.connect(self._refresh)
        if isinstance(layer, Image):
            layer.events.data.connect(self._on_data)
            layer.events.axis_labels.connect(self._on_data)

    def _refresh(self, _: Any = None) -> None:
        # all of them first, or a value would have a region that is gone
        for combo in [combo for combo in (self.image, self.region) if reload_choices(combo)]:
            combo.changed.emit(combo.value)

    def _follow_selection(self, _: Any = None) -> None:
        """Choose the image that is selected, or whose nuclei are."""
        active = self._viewer.layers.selection.active
        image_id = None if active is None else get_record_entries(active).get("image")
        for image in self.image.choices:
            is_its = isinstance(active, Labels) and image and str(image.unique_id) == image_id
            if image == active or is_its:
                self.image.value = image

    def _on_data(self, event: Any) -> None:
        """Update the form for an image whose axes have changed."""
        self._channels.forget(event.source)
        if event.source == self.image.value:
            self._on_image()

    def _on_image(self, _: Any = None) -> None:
        image = self.image.value
        self._channels.set_image(image)
        self.pixel_size.set_image(image)
        reload_choices(self.level, 0)
        self._offer_planes()
        self.image_changed.emit()
        self.announce_result()
        self._on_changed()

    def _on_changed(self, _: Any = None) -> None:
        if not self._is_setting and (value := self.value()) != self._emitted:
            self._emitted = value
            self.changed.emit()

    def _offer_planes(self, _: Any = None) -> None:
        image, channel_axis = self.image.value, self._channels.axis
        self.planes.offer(image, stack_axes(self._viewer, image, channel_axis))
        size, depth = self.pixel_size.offered_size, self.planes.find_depth()
        self.planes.z_step.set_image(image, depth, channel_axis, size)
        self._show_rows()

    def _show_rows(self) -> None:
        form = getattr(self, "_form", None)
        if form is not None:
            image = self.image.value
            has_choice = image is not None and (image.ndim > 2 or image.rgb)
            for row, shown in (
                (self._channels.row, has_choice),
                (self.planes.row, self.planes.axes),
            ):
                form.setRowVisible(row, bool(shown))
            form.setRowVisible(self.level.native, image is not None and image.multiscale)
