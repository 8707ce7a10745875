"""Channels of images by name, to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..arrays.axes import COLOURS, PlaneIndex
from ..arrays.selection import DEFAULT_AXES_WITH_CHANNELS
from ..errors import UserError

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImage


def image_letters(image: LazyImage) -> str:
    """Return a letter for each axis of an image but that of colours."""
    ndim = len(image.pixels.shape) - image.is_rgb
    return image.axes or DEFAULT_AXES_WITH_CHANNELS[-ndim:]


def name_axes(image: LazyImage, axes: str | None) -> LazyImage:
    """Return an image with other letters for its axes, with or without that of channels.

    One that has more or fewer axes stays as it is.
    """
    ndim = len(image.pixels.shape) - image.is_rgb
    names = "" if axes is None else axes.upper()
    fitting = [letters for letters in (names, names.replace("C", "")) if len(letters) == ndim]
    return replace(image, axes=fitting[0]) if fitting else image


def channel_names(image: LazyImage, plane: PlaneIndex | None = None) -> tuple[str, ...]:
    """Return the names of the channels of an image, else their numbers; "0" of a grey one.

    Parameters
    ----------
    image : LazyImage
    plane : PlaneIndex, optional
        Says which axis holds channels, where the image itself does not.
    """
    axis = image_letters(image).find("C") if plane is None else plane.channel_axis
    last = len(image.pixels.shape) - 1
    if image.is_rgb and axis in (None, -1, last):
        return COLOURS
    if axis is None or axis < 0:
        return ("0",)
    count = image.pixels.shape[axis]
    names = image.channel_names
    return names if len(set(names)) == count else tuple(map(str, range(count)))


def choose_channels(names: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """Return the numbers of channels that are chosen, by name or number; of none given, all."""
    return [
        number
        for number, name in enumerate(names)
        if not chosen or name in chosen or str(number) in chosen
    ]


def check_channels(chosen: Sequence[str], *images: Sequence[str]) -> None:
    """Raise an error for a channel that none of the images has.

    Parameters
    ----------
    chosen : sequence of str
    *images : sequence of str
        Names of the channels of each.

    Raises
    ------
    UserError
    """
    known = {one for names in images for one in (*names, *map(str, range(len(names))))}
    if missing := [name for name in chosen if name not in known]:
        raise UserError(
            f"There is no channel {missing[0]}: choose among {', '.join(sorted(known))}."
        )
