"""Measuring of saved labels in any images: all their channels, rings and neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex
from ..arrays.channels import MultichannelView
from ..arrays.selection import DEFAULT_AXES_WITH_CHANNELS
from ..errors import UserError
from ..io.tables import insert_position
from ..io.units import plane_micrometers
from ..labels.regionprops import Frame, measure
from ..labels.surroundings import Distances, list_measured_columns, measure_surroundings

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImage
    from .result import Position, Result


@dataclass(frozen=True)
class MeasureOptions:
    """What is measured beside shapes and intensities.

    Attributes
    ----------
    channels : tuple of str
        Names, or numbers from 0; empty: all.
    ring : float or None
        Width of the ring around each nucleus.
    neighbours : float or None
        Distance between centres up to which nuclei are neighbours.
    in_micrometers : bool
        Whether these are in micrometers, else in pixels.
    """

    channels: tuple[str, ...] = ()
    ring: float | None = None
    neighbours: float | None = None
    in_micrometers: bool = False


def measure_result(
    result: Result, images: Sequence[LazyImage], options: MeasureOptions | None = None
) -> Result:
    """Measure the nuclei of a result in images.

    Parameters
    ----------
    result : Result
        What is known of its nuclei otherwise, such as their confidence, stays.
    images : sequence of LazyImage
        Of the size of the labels; with the same axes, and any number of channels.
    options : MeasureOptions, optional

    Returns
    -------
    Result
        With columns for each channel: of one image by its name or number in it, such as
        ``mean_intensity_DAPI``; of several by image and channel.

    Raises
    ------
    UserError
        If an image or a channel does not fit, or micrometers are given and neither labels nor
        images say how large a pixel is.
    """
    options = options or MeasureOptions()
    size = _find_pixel_size(result, images)
    if options.in_micrometers and size is None:
        raise UserError(
            f"Neither the labels {result.name} nor their image have a size of a pixel: give "
            "distances in pixels."
        )
    names = list(_channel_names(images, options.channels))
    tables = []
    for position, labels in result.planes():
        pixels = _read_channels(images, names, position, labels.shape)
        table = _measure_plane(labels, pixels, [name.title for name in names], size, options)
        tables.append(insert_position(table, position))
    measured = pd.concat(tables, ignore_index=True)
    return replace(result, table=_with_known_columns(measured, result))


def _find_pixel_size(result: Result, images: Sequence[LazyImage]) -> tuple[float, float] | None:
    """Return the size of a pixel of the labels in micrometers, or else that of an image."""
    if result.micrometers is not None:
        return result.micrometers  # plain TIFF has none
    sizes = (plane_micrometers(_letters(one), one.scale, one.units) for one in images)
    return next((size for size in sizes if size is not None), None)


@dataclass(frozen=True)
class _Channel:
    """A channel of one of the images."""

    title: str
    image: int
    number: int


def _channel_names(images: Sequence[LazyImage], chosen: tuple[str, ...]) -> Iterator[_Channel]:
    """Yield the channels that are chosen, of all images."""
    found: list[_Channel] = []
    for number, image in enumerate(images):
        names = _name_channels(image)
        for channel, name in enumerate(names):
            if chosen and not {name, str(channel)} & set(chosen):
                continue
            title = name if len(images) == 1 else f"{image.name}_{name}"
            if len(names) == 1:
                title = image.name if len(images) > 1 else ""
            found.append(_Channel(title, number, channel))
    known = {name for image in images for at, one in enumerate(_name_channels(image))
             for name in (one, str(at))}  # fmt: skip
    if missing := [name for name in chosen if name not in known]:
        raise UserError(
            f"There is no channel {missing[0]}: choose among {', '.join(sorted(known))}."
        )
    yield from found


def _name_channels(image: LazyImage) -> tuple[str, ...]:
    """Return the names of the channels of an image; one that is empty for a grey one."""
    axis = _letters(image).find("C")
    if axis >= 0:
        count = image.pixels.shape[axis]
        names = image.channel_names
        return names if len(set(names)) == count else tuple(map(str, range(count)))
    return ("red", "green", "blue") if image.is_rgb else ("0",)


def _letters(image: LazyImage) -> str:
    ndim = len(image.pixels.shape) - image.is_rgb
    return image.axes or DEFAULT_AXES_WITH_CHANNELS[-ndim:]


def _read_channels(
    images: Sequence[LazyImage],
    channels: Sequence[_Channel],
    position: Position,
    size: tuple[int, ...],
) -> NDArray[np.generic]:
    """Read a plane of all channels, shape (Y, X, C)."""
    planes: dict[int, NDArray[np.generic]] = {}
    for number in {channel.image for channel in channels}:
        plane = _read_plane(images[number], position, size)
        planes[number] = plane if plane.ndim == 3 else plane[..., None]
    return np.stack([planes[one.image][..., one.number] for one in channels], axis=-1)


def _read_plane(image: LazyImage, position: Position, size: tuple[int, ...]) -> NDArray[np.generic]:
    letters, shape = _letters(image), image.pixels.shape
    index: list[int | None] = []
    for letter, length in zip(letters, shape, strict=False):
        at = position.get(letter.lower(), 0)
        if letter not in "CYX" and (at >= length or letter.lower() not in position):
            raise UserError(
                f"The image {image.name} of axes {letters} and shape {shape} does not have the "
                "planes of the labels: choose the image that was segmented."
            )
        index.append(None if letter in "YX" else 0 if letter == "C" else at)
    channel_axis = letters.find("C")
    view = MultichannelView(
        image.pixels, PlaneIndex(tuple(index), None if channel_axis < 0 else channel_axis)
    )
    plane = view[slice(None), slice(None)]
    if plane.shape[:2] != size:
        raise UserError(
            f"The image {image.name} has planes of {plane.shape[0]} x {plane.shape[1]} pixels and "
            f"the labels of {size[0]} x {size[1]}: choose the image that they belong to."
        )
    return plane


def _measure_plane(
    labels: NDArray[np.integer],
    pixels: NDArray[np.generic],
    names: list[str],
    size: tuple[float, float] | None,
    options: MeasureOptions,
) -> pd.DataFrame:
    """Measure one plane: shapes, intensities, rings and neighbours."""
    grey = names == [""]
    image = pixels[..., 0] if grey else pixels
    table = measure(labels, image, None, Frame(micrometers=size), names)
    table = table.drop(columns="confidence")
    distances = Distances(
        options.ring, options.neighbours, size if options.in_micrometers else None
    )
    return measure_surroundings(table, labels, image, () if grey else names, distances)


def _with_known_columns(measured: pd.DataFrame, result: Result) -> pd.DataFrame:
    """Return measurements with the columns of a result that cannot be measured."""
    known = result.table
    keys = [*result.lead, "label"]
    if not set(keys) <= set(known):
        return measured
    outdated = {*measured, *keys, *list_measured_columns(known)}
    others = [name for name in known if name not in outdated]
    return measured.merge(known[[*keys, *others]], on=keys, how="left")
