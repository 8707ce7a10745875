"""The form that selects the labels to review, and their image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout

from ..common.controls import create_check_box, create_combo_box
from ..common.layer_combo import reload_choices
from ..layers.geometry import layer_shape
from ..layers.image_source import guess_layer_channel_axis
from ..layers.labels_record import find_labels_layer, get_record_entries, set_record_entries
from ..layers.measured_channels import fits
from ..layers.metadata_keys import list_image_layers, list_nuclei
from ..layers.volumes import VOLUME_KEY, is_volume, may_have_slices
from ..session.pixel_size_offer import PixelSizeOffer
from ..session.session import Session

if TYPE_CHECKING:
    from napari.components import ViewerModel


NO_IMAGE_CHOICE = "none"
LABELS_NEEDED = "Choose a labels layer first."


@dataclass(frozen=True)
class ReviewTarget:
    """What is reviewed.

    Attributes
    ----------
    labels : napari.layers.Labels or None
        None: there are none.
    image : napari.layers.Image or None
        Of the labels; its intensities are measured.
    """

    labels: Labels | None
    image: Image | None


class TargetForm(QObject):
    """Selects labels and their image; follows the viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    changed
        There is another :meth:`value`.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._labels = create_combo_box(
            "review_labels", "The nuclei that are reviewed.", self._results
        )
        self._image = create_combo_box(
            "review_image", "The image they are of: its intensities are measured.", self._images
        )
        self._image.null_value = NO_IMAGE_CHOICE
        self._is_volume = create_check_box(
            "nuclei_along_z",
            "A nucleus is one object along z",
            "Corrections act on a nucleus in all its slices, and the table has one row for it. "
            "Tick it for labels of others, whose numbers go through the slices.",
        )
        self._is_volume.clicked.connect(self._on_volume)
        self._pixel_size = PixelSizeOffer(viewer)
        self._pixel_size.channels_named.connect(self.changed)
        self._labels.changed.connect(self._on_labels)
        self._image.changed.connect(self._emit_changed)
        layers = viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self.refresh_choices)
        layers.selection.events.active.connect(self._on_active)
        self.refresh_choices()
        self._open()

    def _open(self) -> None:
        """Begin with the labels that the user means, and show them if they are hidden."""
        labels = find_reviewed(self._viewer)
        if labels is None:
            return
        labels.visible = True
        self._labels.value = labels
        self._on_labels()

    def fill(self, form: QFormLayout) -> None:
        """Add the lists to a form."""
        form.addRow("Nuclei", self._labels.native)
        form.addRow("Image", self._image.native)
        form.addRow(self._is_volume)
        form.addRow(self._pixel_size)

    def value(self) -> ReviewTarget:
        """Return what is selected."""
        return ReviewTarget(self._labels.value, self._image.value)

    def set_value(self, value: ReviewTarget) -> None:
        """Select labels and their image; of other labels the image is guessed before."""
        if value.labels is not None:
            self._labels.value = value.labels
        self._image.value = value.image

    def refresh_choices(self, *_: object) -> None:
        """Update the layers offered."""
        is_there = self._labels.value in self._viewer.layers
        if reload_choices(self._labels, *(() if is_there else (find_reviewed(self._viewer),))):
            self._on_labels()
            return
        image_changed = reload_choices(self._image)
        if self._image.value is None:
            self._image.value = self._guess_image()
        if image_changed:
            self._emit_changed()

    def _on_active(self, *_: object) -> None:
        active = self._viewer.layers.selection.active
        if active in self._labels.choices and active != self._labels.value:
            self._labels.value = active

    def _on_labels(self, *_: object) -> None:
        labels = self._labels.value
        if labels is not None and self._viewer.layers.selection.active != labels:
            self._viewer.layers.selection.active = labels  # which has the key bindings
        reload_choices(self._image)
        self._image.value = self._guess_image()
        self._emit_changed()

    def show_kind(self) -> None:
        """Show whether a nucleus is one object along z, as the record of the labels says."""
        labels = self._labels.value
        self._is_volume.setVisible(labels is not None and may_have_slices(labels))
        self._is_volume.setChecked(labels is not None and is_volume(labels))

    def _on_volume(self, checked: bool) -> None:
        """Write into the record whether a nucleus is one object along z."""
        if self._labels.value is not None:
            set_record_entries(self._labels.value, **{VOLUME_KEY: checked})
            self.changed.emit()

    def _emit_changed(self, *_: object) -> None:
        self.show_kind()
        self._pixel_size.set_image(self._image.value)
        self.changed.emit()

    def _guess_image(self) -> Image | None:
        """Return the image that was segmented, or else the topmost one that fits the labels."""
        labels = self._labels.value
        images = [image for image in self._image.choices if image is not None]
        if labels is None or not images:
            return None
        key = get_record_entries(labels).get("image")
        sources = [image for image in images if str(image.unique_id) == key]
        fitting = [image for image in images if fits(labels, image)]
        same_shape = [image for image in fitting if layer_shape(image) == layer_shape(labels)]
        with_channels = [image for image in fitting if _has_channels(labels, image)]
        return [None, *with_channels, *same_shape, *sources][-1]

    def _results(self, _: Any) -> list[Labels]:
        return list_nuclei(self._viewer)

    def _images(self, _: Any) -> list[tuple[str, Image | None]]:
        offered = list_image_layers(self._viewer)
        return [(NO_IMAGE_CHOICE, None), *((layer.name, layer) for layer in offered)]


def find_reviewed(viewer: ViewerModel) -> Labels | None:
    """Find the labels to review, unless the user has chosen: visible ones, if there are any.

    Those that are selected, if they were segmented; the result of the image that is chosen in
    "Segment nuclei"; others that are selected; the topmost.
    """
    labels, active = list_nuclei(viewer), viewer.layers.selection.active
    offered = [layer for layer in labels if layer.visible] or labels
    result = _find_segmented(viewer)
    likely = [active] if active is not None and get_record_entries(active) else []
    for layer in (*likely, result, active):
        if layer in offered:
            return layer
    return (offered or [None])[-1]


def _find_segmented(viewer: ViewerModel) -> Labels | None:
    """Find the result of the image that is chosen in "Segment nuclei"."""
    settings = Session.of(viewer).segment_settings.value()
    name = None if settings is None else settings.image
    image = next((image for image in list_image_layers(viewer) if image.name == name), None)
    if image is None:
        return None
    layers = (find_labels_layer(viewer, image, ndim) for ndim in (image.ndim, image.ndim - 1))
    return next((layer for layer in layers if layer is not None), None)


def _has_channels(labels: Labels, image: Image) -> bool:
    """Return whether an image has the shape of labels, apart from channels."""
    labels_shape, shape = layer_shape(labels), layer_shape(image)
    channel = guess_layer_channel_axis(image)
    return channel is not None and labels_shape == (*shape[:channel], *shape[channel + 1 :])
