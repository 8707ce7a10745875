"""Channels of image layers in which the nuclei of a labels layer can be measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from ...arrays.channels import MultichannelView
from ...errors import UserError
from ...segmentation.normalization import check_type_and_shape
from .channel_names import find_channel_names
from .geometry import full_resolution_data, pixel_to_world
from .label_ids import LabelsIndex
from .measurements import MeasuredChannel, find_image_plane

# Part of a pixel by which the sizes of pixels may differ.
STEP_TOLERANCE = 1e-3


@dataclass(frozen=True)
class OfferedChannel:
    """A channel in a list, or an image that does not fit.

    Attributes
    ----------
    channel : MeasuredChannel
        Its title is the name of the channel in its image; empty if it has none.
    name : str
        In the list.
    misfit : str
        Why it cannot be measured; empty: it can.
    """

    channel: MeasuredChannel
    name: str
    misfit: str = ""


def offer_channels(labels: Labels, images: Iterable[Image]) -> Iterator[OfferedChannel]:
    """Yield the channels of images, and once each image that does not fit labels."""
    for image in images:
        try:
            names = check_fit(labels, image)
        except UserError as error:
            yield OfferedChannel(MeasuredChannel(image), image.name, str(error))
            continue
        if not names:
            yield OfferedChannel(MeasuredChannel(image), image.name)
        for number, name in enumerate(names):
            yield OfferedChannel(MeasuredChannel(image, number, name), f"{image.name}: {name}")


def title_channels(
    channels: Sequence[MeasuredChannel], main: Image | None
) -> list[MeasuredChannel]:
    """Return channels with their names in columns, no two of them alike.

    Parameters
    ----------
    channels : sequence of MeasuredChannel
        With the names that they have in their image.
    main : napari.layers.Image or None
        That of the labels: if nothing else is measured and it is grey, its columns have no name,
        as on the command line.
    """
    if [(one.image, one.title) for one in channels] == [(main, "")]:
        return list(channels)
    several = len({id(one.image) for one in channels}) > 1
    titles: list[str] = []
    for one in channels:
        name = one.image.name
        wanted = f"{name}_{one.title}" if several and one.title else one.title or name
        titles.append(_make_unique(wanted, titles))
    return [replace(one, title=title) for one, title in zip(channels, titles, strict=True)]


def _make_unique(wanted: str, titles: Sequence[str]) -> str:
    """Return a title that is not taken, numbered as napari numbers layers."""
    title, number = wanted, 0
    while title in titles:
        number += 1
        title = f"{wanted} [{number}]"
    return title


def check_fit(labels: Labels, image: Image) -> tuple[str, ...]:
    """Check that an image can be measured; return the names of its channels, none if it is grey.

    Raises
    ------
    UserError
        If it has another shape or scale than the labels.
    """
    index: LabelsIndex = (*(0,) * (labels.ndim - 2), slice(None), slice(None))
    plane = find_image_plane(full_resolution_data(labels).shape, index, image)
    view = MultichannelView(full_resolution_data(image), plane)
    check_type_and_shape(view)
    if not (_lacks_size(labels, image) or _lacks_size(image, labels)):
        _check_scale(labels, image, plane.channel_axis)
    return find_channel_names(image, plane.channel_axis) or view.names


def fits(labels: Labels, image: Image) -> bool:
    """Return whether labels can be measured in an image."""
    try:
        check_fit(labels, image)
    except UserError:
        return False
    return True


def _lacks_size(layer: Layer, other: Layer) -> bool:
    """Return whether a layer lacks the size of its pixels, as of a plain TIFF, that another has."""
    is_plain = {str(unit) for unit in layer.units} == {"pixel"} and bool((layer.scale == 1).all())
    return is_plain and "pixel" not in {str(unit) for unit in other.units[-2:]}


def _check_scale(labels: Labels, image: Image, channel_axis: int | None) -> None:
    """Raise an error if the pixels of an image have another size or direction."""
    axes = [axis for axis in range(image.ndim) if axis != channel_axis]
    own_axes = axes if image.ndim == labels.ndim else list(range(labels.ndim))
    pairs = [
        (own, axis)
        for own, axis in zip(own_axes, axes, strict=True)
        if not (_is_time(labels, own) or _is_time(image, axis))  # frames have no size
    ]
    factors = np.array([_convert(image.units[axis], labels.units[own]) for own, axis in pairs])
    own_axes, axes = (list(column) for column in zip(*pairs, strict=True))
    own_steps = pixel_to_world(labels)[1][np.ix_(own_axes, own_axes)]
    steps = pixel_to_world(image)[1][np.ix_(axes, axes)] * factors[:, None]
    sizes = np.linalg.norm(own_steps, axis=0)
    if (np.abs(steps - own_steps) > STEP_TOLERANCE * sizes).any():
        raise UserError(
            f"The pixels of '{image.name}' have another size or direction than those of the "
            "labels: give both layers the same scale."
        )


def _is_time(layer: Layer, axis: int) -> bool:
    name = str(layer.axis_labels[axis]).lower()
    return name in ("t", "time") or "[time]" in layer.units[axis].dimensionality


def _convert(unit: Any, other: Any) -> float:
    """Return the factor between two units; 1 where there is none, as of pixels."""
    try:
        return float((1 * unit).to(other).magnitude)
    except TypeError:  # of pint: units of different kinds
        return 1.0
