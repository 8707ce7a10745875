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
from ..errors import UserError
from ..io.tables import insert_position
from ..io.units import plane_micrometers
from ..labels.regionprops import Frame, measure
from ..labels.surroundings import Distances, list_measured_columns, measure_surroundings
from .channels import channel_names, check_channels, choose_channels, image_letters

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

    def __post_init__(self) -> None:
        for name in ("ring", "neighbours"):
            distance = getattr(self, name)
            if distance is not None and not distance >= 0:
                raise UserError(f"`{name}` must be a distance from 0 on, not {distance}.")


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
    if not images:
        raise UserError("Give the image, or images, in which the nuclei are measured.")
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
        values = _read_channels(images, names, position, labels.shape)
        pixels = MeasuredPixels(values, [name.title for name in names], size)
        table = measure_plane(labels, pixels, options).drop(columns="confidence")
        tables.append(insert_position(table, position))
    measured = pd.concat(tables, ignore_index=True)
    return replace(result, table=_with_known_columns(measured, result))


def _find_pixel_size(result: Result, images: Sequence[LazyImage]) -> tuple[float, float] | None:
    """Return the size of a pixel of the labels in micrometers, or else that of an image."""
    if result.micrometers is not None:
        return result.micrometers  # plain TIFF has none
    sizes = (plane_micrometers(image_letters(one), one.scale, one.units) for one in images)
    return next((size for size in sizes if size is not None), None)


@dataclass(frozen=True)
class _Channel:
    """A channel of one of the images."""

    title: str
    image: int
    number: int


def _channel_names(images: Sequence[LazyImage], chosen: tuple[str, ...]) -> Iterator[_Channel]:
    """Yield the channels that are chosen, of all images."""
    known = [channel_names(image) for image in images]
    check_channels(chosen, *known)
    for number, (image, names) in enumerate(zip(images, known, strict=True)):
        for channel in choose_channels(names, chosen):
            title = title_channel(names, channel)
            if len(images) > 1:
                title = f"{image.name}_{title}" if title else image.name
            yield _Channel(title, number, channel)


def title_channel(names: Sequence[str], channel: int) -> str:
    """Return the end of the columns of a channel; empty for the only one of an image."""
    return names[channel] if len(names) > 1 else ""


def _read_channels(
    images: Sequence[LazyImage],
    channels: Sequence[_Channel],
    position: Position,
    size: tuple[int, ...],
) -> NDArray[np.generic]:
    """Read a plane of all channels, shape (Y, X, C)."""
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
            "have: choose the image that was segmented."
        )
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


@dataclass(frozen=True, eq=False)
class MeasuredPixels:
    """Pixels of a plane in which nuclei are measured.

    Attributes
    ----------
    values : ndarray, shape (Y, X, C)
    titles : sequence of str, length C
        What follows the names of columns; one that is empty: nothing does.
    micrometers : (float, float) or None
        Size of a pixel along Y and X, if known.
    nucleus : ndarray, shape (Y, X), floating, or None
        Predicted probability of nucleus.
    """

    values: NDArray[np.generic]
    titles: Sequence[str]
    micrometers: tuple[float, float] | None = None
    nucleus: NDArray[np.floating] | None = None


def measure_plane(
    labels: NDArray[np.integer], pixels: MeasuredPixels, options: MeasureOptions
) -> pd.DataFrame:
    """Measure one plane: shapes, intensities, rings and neighbours.

    ``confidence`` is NaN where the probability is not given.
    """
    names, size = list(pixels.titles), pixels.micrometers
    grey = names == [""]
    image = pixels.values[..., 0] if grey else pixels.values
    table = measure(labels, image, pixels.nucleus, Frame(micrometers=size), names)
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
