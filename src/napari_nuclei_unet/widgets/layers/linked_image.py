"""Links between labels that were read from a file and the layer of their image."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Image, Labels

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from .image_file import get_layer_path
from .label_ids import LabelsIndex, index_axes
from .labels_record import LabelsRecord, get_record_entries, set_record_entries
from .labels_state import LabelsState
from .measurements import (
    Measurable,
    MeasuredChannel,
    MeasurementSource,
    create_labels_measurement_source,
)
from .metadata_keys import LABELS_IMAGE_KEY, METADATA_KEY, list_image_layers
from .volumes import create_volume_source

if TYPE_CHECKING:
    from napari.components import ViewerModel


@dataclass(frozen=True)
class LabelsImage:
    """The image of labels that were read, in their metadata until they are linked.

    Attributes
    ----------
    path : str
    name : str
        Of the layer, where the file has several.
    """

    path: str
    name: str


def link_image(labels: Labels, image: Image) -> None:
    """Link labels to the layer of their image: they are measured from it from now on.

    Raises
    ------
    UserError
        If the image does not have the shape of the labels.
    """
    features = LabelsState.of(labels).features
    channel = _segmented_channel(labels)

    def create(index: LabelsIndex, has_one_channel: bool) -> MeasurementSource:
        source = create_labels_measurement_source(labels, index, [MeasuredChannel(image)])
        return source if channel is None or not has_one_channel else _of_channel(source, channel)

    sources: dict[tuple[int | None, ...], Measurable] = {}
    for key, plane in features.planes.items():
        create_one = partial(create, has_one_channel="mean_intensity" in plane.rows)
        is_flat = len(index_axes(plane.index)) == 2
        sources[key] = (
            create_one(plane.index)
            if is_flat
            else create_volume_source(labels, plane.index, create_one)
        )
    for key, source in sources.items():
        features.planes[key].measurement_source = source
    if METADATA_KEY in labels.metadata:  # labels of others have no record
        # those of a store are no image's own
        own = None if "store" in get_record_entries(labels) else str(labels.unique_id)
        set_record_entries(labels, image=str(image.unique_id), layer=own)
    labels.metadata = {
        key: value for key, value in labels.metadata.items() if key != LABELS_IMAGE_KEY
    }


def _segmented_channel(labels: Labels) -> int | None:
    """Return the channel that labels were made from, if that is a single one."""
    try:
        source = LabelsRecord.from_json(labels.metadata.get(METADATA_KEY)).provenance.source
    except UserError:
        return None
    return source.channel if source is not None and isinstance(source.channel, int) else None


def _of_channel(source: MeasurementSource, channel: int) -> MeasurementSource:
    """Return what measures one channel, as the table of the command line has no other."""
    (measured,) = source.images
    plane = measured.plane_index
    if plane.channel_axis is None:
        return source
    index = list(plane.index)
    index[plane.channel_axis] = channel
    only = replace(measured, plane_index=PlaneIndex(tuple(index)))
    return replace(source, images=(only,))


def link_opened_image(viewer: ViewerModel, labels: Labels) -> None:
    """Link labels that were read to the layer of the file that they are of, if it is there."""
    wanted = labels.metadata.get(LABELS_IMAGE_KEY)
    if not isinstance(wanted, LabelsImage):
        return
    images = list_image_layers(viewer)
    images = [image for image in images if is_same_path(get_layer_path(image), wanted.path)]
    for image in sorted(images, key=lambda image: image.name != wanted.name):
        try:
            link_image(labels, image)
        except UserError:  # another image of the file
            continue
        return


def is_same_path(first: str, second: str) -> bool:
    """Return whether two paths lead to the same file."""
    return bool(first and second) and os.path.realpath(first) == os.path.realpath(second)
