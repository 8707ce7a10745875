"""The list of pairs that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QListWidget, QListWidgetItem

from ...arrays.axes import COLOURS
from ...errors import UserError
from ..common.controls import create_button, create_combo_box, create_row, with_properties
from ..common.disabled_button import disable
from ..common.help_button import HelpButton
from ..common.layer_combo import reload_choices
from ..common.notify import report_user_errors, show_warning
from ..layers.geometry import layer_shape
from ..session.corrected_pairs import CorrectedPair
from ..session.session import Session
from .layer_pairs import LayerPair, find_pairs, pair_layers, trainable_images

if TYPE_CHECKING:
    from napari.components import ViewerModel

MEAN_CHANNEL = "mean"
ROW_NEEDED = "Choose a row of the list first."
# Shown in place of the number while nuclei are counted.
COUNT_PENDING = "…"


class PairList(QObject):
    """The list of pairs, with buttons to add and remove.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    changed
        A pair was added or removed, or another channel was chosen.
    chosen
        Others are :meth:`chosen_pairs`.
    """

    changed = Signal()
    chosen = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pairs: tuple[LayerPair, ...] = ()
        self._chosen_keys: list[tuple[str, str]] = []
        self._nuclei: dict[tuple[str, str], str] = {}
        self._list = with_properties(QListWidget(), objectName="pairs")
        self._list.setToolTip(
            "The images that the model is trained on, and their labels. Choose one to see it alone."
        )
        self._list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self._list.setFixedHeight(90)
        self._list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        specs = (
            ("add_pair", "Add selected", "Add the image and the labels selected in the layer list.",
             self.add_selected),
            ("add_all_pairs", "Add all", "Add every image that has labels of its shape.",
             self.add_all),
            ("remove_pair", "Remove", "Take the chosen rows off the list; the layers stay.",
             self.remove_chosen),
        )  # fmt: skip
        buttons = [create_button(*spec) for spec in specs]
        self._remove = buttons[-1]
        disable(self._remove, ROW_NEEDED)
        self._buttons = create_row(*buttons, HelpButton("tutorial/fine-tuning"))
        self.channel = create_combo_box(
            "train_channel", "The channel of the chosen images that shows nuclei.", self._channels
        )
        self._list.itemSelectionChanged.connect(self._on_chosen)
        self.channel.changed.connect(self._on_channel)
        viewer.layers.events.removed.connect(self._on_removed)
        self._corrected = Session.of(viewer).corrected_pairs
        self._corrected.added.connect(self._add_corrected)

    def fill(self, form: QFormLayout) -> None:
        """Add the controls to a form."""
        self._form = form
        form.addRow(self._list)
        form.addRow(self._buttons)
        form.addRow("Channel", self.channel.native)
        form.setRowVisible(self.channel.native, False)
        for pair in self._corrected.value():  # of "Many images", before this dock was opened
            self._add_corrected(pair)

    def value(self) -> tuple[LayerPair, ...]:
        """Return the listed pairs."""
        return self._pairs

    def set_value(self, pairs: Sequence[LayerPair]) -> None:
        """List pairs."""
        self._pairs = tuple(pairs)
        for pair in self._pairs:
            for layer in (pair.image, pair.labels):
                layer.events.name.connect(self._write)
        self._write()
        self.changed.emit()

    # adding and removing

    def add_selected(self, *_: object) -> None:
        """Add the pair selected in the layer list: an image and its labels, or one of them."""
        chosen = list(self._viewer.layers.selection)
        images = [layer for layer in chosen if layer in trainable_images(self._viewer)]
        labels = [layer for layer in chosen if isinstance(layer, Labels)]
        with report_user_errors(show_warning):
            self._append(self._selected_pair(images, labels))

    def _selected_pair(self, images: list[Image], labels: list[Labels]) -> LayerPair:
        if len(images) == 1 and len(labels) == 1:
            return pair_layers(images[0], labels[0])
        for pair in find_pairs(self._viewer):
            only_image = not labels and images == [pair.image]
            if only_image or (not images and labels == [pair.labels]):
                return pair
        raise UserError(
            "Select one image and its labels in the layer list (Ctrl-click selects a second "
            "layer); an image is never its own labels."
        )

    def add_all(self, *_: object) -> None:
        """Add every image that has labels of its shape."""
        found = find_pairs(self._viewer)
        if not found:
            show_warning(
                "No image has labels of its shape: segment and correct one, or paint nuclei into a "
                "labels layer."
            )
        for pair in found:
            self._append(pair, quietly=True)

    def _add_corrected(self, pair: CorrectedPair) -> None:
        with report_user_errors(show_warning):
            self._append(pair_layers(pair.image, pair.labels), quietly=True)

    def _append(self, pair: LayerPair, quietly: bool = False) -> None:
        if pair.key not in [listed.key for listed in self._pairs]:
            self.set_value([*self._pairs, pair])
        elif not quietly:
            show_warning(f"'{pair.image.name}' with '{pair.labels.name}' is listed already.")

    def remove_chosen(self, *_: object) -> None:
        """Remove the chosen pairs from the list; the layers stay."""
        chosen = self.chosen_pairs()
        self._keep([pair for pair in self._pairs if pair not in chosen])

    def _on_removed(self, _: Any) -> None:
        self._keep([pair for pair in self._pairs if pair.is_in(self._viewer)])

    def _keep(self, pairs: list[LayerPair]) -> None:
        if len(pairs) < len(self._pairs):
            self.set_value(pairs)

    # the list

    def show_counts(self, counts: dict[tuple[str, str], int] | None) -> None:
        """Show how many nuclei each pair has; None: they are being counted."""
        if counts is not None:
            self._nuclei = {key: str(count) for key, count in counts.items()}
        self._write()

    def _write(self, _: Any = None) -> None:
        self._list.blockSignals(True)
        self._list.clear()
        for pair in self._pairs:
            nuclei = self._nuclei.get(pair.key, COUNT_PENDING)
            word = "nucleus" if nuclei == "1" else "nuclei"
            text = f"{nuclei} {word} · {pair.image.name} · {pair.labels.name}"
            item = QListWidgetItem(text)
            item.setToolTip(text)
            self._list.addItem(item)
            item.setSelected(pair.key in self._chosen_keys)
        self._list.blockSignals(False)
        self._on_chosen()

    def chosen_pairs(self) -> list[LayerPair]:
        """Return the pairs whose rows are chosen."""
        rows = [index.row() for index in self._list.selectedIndexes()]
        return [pair for index, pair in enumerate(self._pairs) if index in rows]

    # channels

    def _with_channels(self) -> list[LayerPair]:
        """Return the pairs with channels, of those chosen, or of all if none is chosen."""
        return [
            pair for pair in self.chosen_pairs() or self._pairs if pair.channel_axis is not None
        ]

    def _channels(self, _: Any) -> list[Any]:
        with_channels = self._with_channels()
        axes = [(pair.image, pair.channel_axis or 0) for pair in with_channels]
        lengths = [
            len(COLOURS) if axis == image.ndim else layer_shape(image)[axis] for image, axis in axes
        ]
        return [MEAN_CHANNEL, *range(min(lengths, default=1))]

    def _on_chosen(self) -> None:
        pairs = self._with_channels()
        self._form.setRowVisible(self.channel.native, bool(pairs))
        reload_choices(self.channel, *(pair.channel for pair in pairs[:1]))
        keys = [pair.key for pair in self.chosen_pairs()]
        disable(self._remove, "" if keys else ROW_NEEDED)
        if keys != self._chosen_keys:
            self._chosen_keys = keys
            self.chosen.emit()

    def _on_channel(self, channel: Any) -> None:
        keys = [pair.key for pair in self._with_channels()]
        self._pairs = tuple(
            replace(pair, channel=channel) if pair.key in keys else pair for pair in self._pairs
        )
        self.changed.emit()
