"""The form that selects in which channels nuclei are measured, and how far around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QListWidget, QListWidgetItem, QWidget

from ...errors import UserError
from ...labels.surroundings import Distances
from ..common.controls import create_button, create_combo_box, create_row, with_properties
from ..common.key_bindings import unwrap_proxy
from ..layers.measured_channels import OfferedChannel, offer_channels, title_channels
from ..layers.measured_planes import measured_plane_axes, pixel_micrometers
from ..layers.measurements import MeasuredChannel
from ..layers.metadata_keys import list_image_layers
from .target_form import ReviewTarget, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

PIXELS, MICROMETERS = "px", "µm"
MAX_DISTANCE = 9_999.0
# Of the list, in screen pixels: more channels scroll.
LIST_HEIGHT = 84
ChannelKey = tuple[str, int]
SIZE_NEEDED = (
    "Neither the labels nor the images have a pixel size: give distances in px, or set scale and "
    "units of the labels."
)


@dataclass(frozen=True)
class MeasureChoice:
    """What is measured beside shapes.

    Attributes
    ----------
    channels : tuple of MeasuredChannel
    ring, neighbours : float
        Width of rings, and distance up to which nuclei are neighbours; 0: they are not measured.
    in_micrometers : bool
        Whether these are in micrometers, else in pixels.
    """

    channels: tuple[MeasuredChannel, ...] = ()
    ring: float = 0.0
    neighbours: float = 0.0
    in_micrometers: bool = False

    def distances(self, viewer: ViewerModel, labels: Labels) -> Distances:
        """Return the distances for a labels layer.

        Raises
        ------
        UserError
            If they are in micrometers, and neither labels nor images have a size.
        """
        size = None
        if self.in_micrometers and (self.ring or self.neighbours):
            layers = labels, *(channel.image for channel in self.channels)
            axes = measured_plane_axes(viewer, labels)
            backwards = tuple(axis - labels.ndim for axis in axes)
            sizes = (pixel_micrometers(layer, backwards) for layer in layers)
            size = next((one for one in sizes if one is not None), None)
            if size is None:
                raise UserError(SIZE_NEEDED)
        return Distances(self.ring or None, self.neighbours or None, size)


class MeasureForm(QWidget):
    """A list of channels with ticks, and distances around nuclei.

    The image of the labels is ticked, until the user ticks otherwise.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
        Holds the labels that are measured, and their image.

    Signals
    -------
    changed
        There is another :meth:`value`.
    cells_requested
        A layer of cells was asked for.
    """

    changed = Signal()
    cells_requested = Signal()

    def __init__(self, viewer: ViewerModel, target: TargetForm) -> None:
        super().__init__()
        self._viewer, self._target = viewer, target
        self._offered: list[OfferedChannel] = []
        self._rows: list[tuple[OfferedChannel, bool]] = []  # in the list, and whether ticked
        # by labels, what the user has ticked, by ids of layers; else their image is
        self._ticks: WeakKeyDictionary[Labels, set[ChannelKey]] = WeakKeyDictionary()
        self._shown = ReviewTarget(None, None)
        self._list = with_properties(
            QListWidget(),
            objectName="measure_in",
            toolTip="Intensities are measured in the channels that are ticked.",
        )
        self._list.setFixedHeight(LIST_HEIGHT)
        self._ring = _create_distance(
            "ring", "Also measure the ring (cytoplasm) around each nucleus, of this width."
        )
        self._neighbours = _create_distance(
            "neighbours", "Also count other nuclei up to this distance, from centre to centre."
        )
        self._unit = create_combo_box(
            "distance_unit", "The unit of both distances.", [PIXELS, MICROMETERS]
        )
        self._unit.native.setMinimumContentsLength(3)
        self._cells = create_button(
            "add_cells",
            "Add cells",
            "Add a labels layer of the cells: nuclei with their rings, under the same numbers.",
            self.cells_requested.emit,
        )
        self._build()
        layers = viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self.refresh)
        target.changed.connect(self.refresh)
        self._list.itemChanged.connect(self._on_ticked)
        self._ring.valueChanged.connect(self._on_changed)
        for control in (self._neighbours.valueChanged, self._unit.changed):
            control.connect(self._on_changed)
        self.refresh()

    def _build(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self._list)
        form.addRow("Ring", create_row(self._ring, self._unit.native))
        form.addRow("Neighbours", create_row(self._neighbours, self._cells))

    def value(self) -> MeasureChoice:
        """Return what is measured."""
        self.refresh()  # layers may have another name or scale by now
        ticked = [one.channel for one in self._offered if self._is_chosen(one)]
        return MeasureChoice(
            tuple(title_channels(ticked, self._shown.image)),
            self._ring.value(),
            self._neighbours.value(),
            self._unit.value == MICROMETERS,
        )

    def set_value(self, value: MeasureChoice) -> None:
        """Tick channels, of those that are offered, and set distances."""
        self._tick({_channel_key(one) for one in value.channels})
        self._ring.setValue(value.ring)
        self._neighbours.setValue(value.neighbours)
        self._unit.value = MICROMETERS if value.in_micrometers else PIXELS
        self.refresh()
        self.changed.emit()

    def describe(self) -> str:
        """Return how many channels are ticked, as text."""
        fitting = [one for one in self._offered if not one.misfit]
        count = sum(map(self._is_chosen, fitting))
        noun = "channel" if len(fitting) == 1 else "channels"
        return f"Measure in {count} of {len(fitting)} {noun}" if fitting else "Measure in"

    def refresh(self, *_: object) -> None:
        """Update the channels offered."""
        target = self._target.value()
        labels, image = unwrap_proxy(target.labels), unwrap_proxy(target.image)
        if labels is not None and labels is self._shown.labels and image is not self._shown.image:
            self._ticks.pop(labels, None)
        self._shown = ReviewTarget(labels, image)
        images = list_image_layers(self._viewer)
        images = [unwrap_proxy(one) for one in images]
        self._offered = [] if labels is None else list(offer_channels(labels, images))
        self._show()

    def _show(self) -> None:
        """Fill the list, where it has changed: it may be refreshed while it sends its event."""
        rows = [(one, self._is_chosen(one) and not one.misfit) for one in self._offered]
        if rows == self._rows:
            return
        self._rows = rows
        self._list.blockSignals(True)
        self._list.clear()
        for one, is_ticked in rows:
            item = QListWidgetItem(one.name, self._list)
            item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
            if one.misfit:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setToolTip(one.misfit or one.name)
        self._list.blockSignals(False)
        self.changed.emit()

    def _is_chosen(self, one: OfferedChannel) -> bool:
        """Return whether a channel is measured; of an image that does not fit, Measure says why."""
        labels = self._shown.labels
        if labels is None or labels not in self._ticks:
            return one.channel.image is self._shown.image
        return _channel_key(one.channel) in self._ticks[labels]

    def _tick(self, ticked: set[ChannelKey]) -> None:
        if self._shown.labels is not None:
            self._ticks[self._shown.labels] = ticked

    def _on_ticked(self, *_: object) -> None:
        items = [self._list.item(row) for row in range(self._list.count())]
        ticks = [item is not None and item.checkState() == Qt.CheckState.Checked for item in items]
        pairs = zip(self._rows, ticks, strict=True)
        self._rows = [(one, is_ticked) for (one, _), is_ticked in pairs]
        self._tick({_channel_key(one.channel) for one, is_on in self._rows if is_on})
        self.changed.emit()

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()


def _channel_key(channel: MeasuredChannel) -> ChannelKey:
    return str(channel.image.unique_id), channel.number


def _create_distance(name: str, tooltip: str) -> QDoubleSpinBox:
    """Create a field for a distance; 0 is off."""
    field = with_properties(QDoubleSpinBox(), objectName=name, toolTip=tooltip)
    field.setRange(0, MAX_DISTANCE)
    field.setDecimals(2)
    field.setSpecialValueText("off")
    return field
