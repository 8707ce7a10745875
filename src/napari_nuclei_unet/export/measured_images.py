"""Channels of images in which nuclei are measured, and their pixels at the place of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex
from ..arrays.channels import MultichannelView
from ..errors import UserError
from .channels import channel_names, check_channels, choose_channels, image_letters

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImage
    from .result import Position


@dataclass(frozen=True)
class ImageChannel:
    """A channel of one of several images.

    Attributes
    ----------
    title : str
        What follows the names of its columns; empty: nothing does.
    image, number : int
        Number of the image, and of the channel in it.
    """

    title: str
    image: int
    number: int


def list_channels(images: Sequence[LazyImage], chosen: tuple[str, ...]) -> list[ImageChannel]:
    """Return the channels that are chosen, of all images.

    Raises
    ------
    UserError
        If none of the images has a channel that is chosen.
    """
    found = []
    known = [channel_names(image) for image in images]
    check_channels(chosen, *known)
    for number, (image, names) in enumerate(zip(images, known, strict=True)):
        for channel in choose_channels(names, chosen):
            title = title_channel(names, channel)
            if len(images) > 1:
                title = f"{image.name}_{title}" if title else image.name
            found.append(ImageChannel(title, number, channel))
    return found


def title_channel(names: Sequence[str], channel: int) -> str:
    """Return the end of the columns of a channel; empty for the only one of an image."""
    return names[channel] if len(names) > 1 else ""


def read_channels(
    images: Sequence[LazyImage],
    channels: Sequence[ImageChannel],
    position: Position,
    size: tuple[int, ...],
) -> NDArray[np.generic]:
    """Read a plane of all channels.

    Parameters
    ----------
    images : sequence of LazyImage
    channels : sequence of ImageChannel
    position : dict of str to int
        Of the plane, on axes before Y and X.
    size : (int, int)
        Of a plane of the labels.

    Returns
    -------
    ndarray, shape (Y, X, C)

    Raises
    ------
    UserError
        If an image has no such plane, or one of another size.
    """
    planes = {
        number: np.atleast_3d(_read_plane(images[number], position, size))
        for number in dict.fromkeys(channel.image for channel in channels)
    }
    values = [planes[one.image][..., one.number] for one in channels]
    if len(planes) == 1 and len(values) == planes[channels[0].image].shape[-1]:
        return planes[channels[0].image]  # all channels, which need not be copied
    return np.moveaxis(np.stack(values), 0, -1)


def _read_plane(image: LazyImage, position: Position, size: tuple[int, ...]) -> NDArray[np.generic]:
    letters, shape = image_letters(image), image.pixels.shape
    if missing := [name.upper() for name in position if name.upper() not in letters]:
        raise UserError(
            f"The image {image.name} of axes {letters} has no axis {missing[0]}, which the labels "
            "have: choose the image that was segmented, or name the axes with `axes`."
        )
    index: list[int | None] = []
    for letter, length in zip(letters, shape, strict=False):
        at = position.get(letter.lower(), 0)
        if letter not in "CYX" and (at >= length or letter.lower() not in position):
            raise UserError(
                f"The image {image.name} of axes {letters} and shape {shape} does not have the "
                "same planes as the labels: choose the image that was segmented."
            )
        index.append(None if letter in "YX" else 0 if letter == "C" else at)
    channel_axis = letters.find("C")
    view = MultichannelView(
        image.pixels, PlaneIndex(tuple(index), None if channel_axis < 0 else channel_axis)
    )
    plane = view[slice(None), slice(None)]
    if plane.shape[:2] != size:
        raise UserError(
            f"The image {image.name} has planes of {plane.shape[0]} x {plane.shape[1]} pixels, but "
            f"those of the labels have {size[0]} x {size[1]}: choose the image to which they "
            "belong."
        )
    return plane
