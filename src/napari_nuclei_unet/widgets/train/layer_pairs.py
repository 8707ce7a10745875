"""The pairs of image and labels layers that a model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from ...arrays.axes import Channel, pair_plane_indices
from ...errors import UserError
from ...segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from ..layers.geometry import full_resolution_data, layer_shape
from ..layers.image_source import guess_layer_channel_axis
from ..layers.labels_record import LabelsRecord, get_record_entries
from ..layers.metadata_keys import list_image_layers, list_nuclei

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...arrays.roi import Region
    from ...arrays.tiling import ArrayLike
    from ...training.finetune_data import AnnotatedPosition, ValidationAreas


@dataclass(frozen=True, eq=False)
class LayerPair:
    """An image layer and the labels layer with its nuclei.

    Attributes
    ----------
    image, labels
        Layers.
    channel_axis, channel
        As in ``finetune_data.Pair``.
    """

    image: Image
    labels: Labels
    channel_axis: int | None = None
    channel: Channel | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Unique ids of the layers, whose proxies are new at each access."""
        return str(self.image.unique_id), str(self.labels.unique_id)

    @property
    def brightness(self) -> Brightness:
        """With which the labels were made; automatic where that is not recorded."""
        try:
            params = LabelsRecord.from_json(get_record_entries(self.labels)).provenance.params
        except UserError:
            return AUTOMATIC_BRIGHTNESS
        return Brightness.of(params)

    @property
    def labels_array(self) -> Any:
        """The labels at full resolution."""
        return full_resolution_data(self.labels)

    def is_in(self, viewer: ViewerModel) -> bool:
        """Return whether both layers are still in the viewer."""
        return self.image in viewer.layers and self.labels in viewer.layers


@dataclass(frozen=True, eq=False)
class PairArrays:
    """What a thread needs of a pair: the fields of ``finetune_data.Pair``, without its torch."""

    image: ArrayLike
    labels: ArrayLike
    name: str
    channel_axis: int | None
    channel: Channel | None
    finished: dict[AnnotatedPosition, Region] | Region | None
    validation_areas: ValidationAreas | None
    brightness: Brightness


def pair_layers(image: Image, labels: Labels) -> LayerPair:
    """Create the pair of an image and labels of its shape.

    Raises
    ------
    UserError
        If their shapes differ.
    """
    source = get_record_entries(labels).get("source") or {}
    candidates = [
        (source.get("channel_axis"), source.get("channel")),
        (guess_layer_channel_axis(image), 0),
        (None, None),
    ]
    for axis, channel in candidates:
        pair = LayerPair(image, labels, axis, None if axis is None else channel)
        if _fits(pair):
            return pair
    raise UserError(
        f"'{labels.name}' has the shape {tuple(labels.data.shape)}, which is not that of "
        f"'{image.name}', {layer_shape(image)}: choose labels that were made for this image."
    )


def _fits(pair: LayerPair) -> bool:
    if pair.channel_axis is not None and pair.channel_axis >= pair.image.ndim + pair.image.rgb:
        return False
    try:
        pair_plane_indices(
            layer_shape(pair.image), pair.labels_array.shape, pair.channel_axis, pair.channel
        )
    except UserError:
        return False
    return True


def trainable_images(viewer: ViewerModel) -> list[Image]:
    """Return the images that a model can be trained on."""
    return list_image_layers(viewer)


def find_pairs(viewer: ViewerModel) -> list[LayerPair]:
    """Find labels of its shape for every image: by their record, by name, then in order."""
    labels = list_nuclei(viewer)
    pairs: list[LayerPair] = []
    for likely in (
        _was_segmented_from,
        lambda labels, image: labels.name.startswith(image.name),
        lambda *_: True,
    ):
        for image in trainable_images(viewer):
            if any(pair.image == image for pair in pairs):
                continue
            used = [pair.labels for pair in pairs]
            for layer in labels:
                if layer not in used and likely(layer, image):
                    try:
                        pairs.append(pair_layers(image, layer))
                    except UserError:
                        continue
                    break
    order = trainable_images(viewer)
    return sorted(pairs, key=lambda pair: order.index(pair.image))


def _was_segmented_from(labels: Labels, image: Image) -> bool:
    return bool(get_record_entries(labels).get("image") == str(image.unique_id))
