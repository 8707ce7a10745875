"""Measuring of saved labels in any images: all their channels, rings and neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.tables import insert_position
from ..io.units import plane_micrometers, voxel_micrometers
from ..labels.regionprops import Frame, measure
from ..labels.surroundings import (
    Distances,
    list_measured_columns,
    measure_neighbours,
    measure_surroundings,
)
from ..labels.volume_regionprops import measure_volume
from .channels import image_letters
from .measured_images import ImageChannel, list_channels, read_channels

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImage
    from .result import Result

_Size = TypeVar("_Size")


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
    volume : bool
        Whether a nucleus is one object along z, with one row, also where the record of the labels
        does not say so, as that of another program.
    """

    channels: tuple[str, ...] = ()
    ring: float | None = None
    neighbours: float | None = None
    in_micrometers: bool = False
    volume: bool = False

    def __post_init__(self) -> None:
        for name in ("ring", "neighbours"):
            distance = getattr(self, name)
            if distance is not None and not distance >= 0:
                raise UserError(f"`{name}` must be a distance of 0 or more, not {distance}.")


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
        ``mean_intensity_DAPI``; of several by image and channel. Of volumes
        (``result.is_volume``, or as the options say) a row for each nucleus.

    Raises
    ------
    UserError
        If an image or a channel does not fit, or micrometers are given and neither labels nor
        images say how large a pixel is. Of volumes also if they have no axis Z, or there are rings,
        or distances in pixels.
    """
    if not images:
        raise UserError("Give the image, or images, in which to measure the nuclei.")
    options = options or MeasureOptions()
    channels = list_channels(images, options.channels)
    if options.volume or result.is_volume:
        measured = _measure_volumes(result, images, channels, options)
    else:
        measured = _measure_planes(result, images, channels, options)
    return replace(result, table=_with_known_columns(measured, result))


def _measure_planes(
    result: Result,
    images: Sequence[LazyImage],
    channels: Sequence[ImageChannel],
    options: MeasureOptions,
) -> pd.DataFrame:
    """Measure every plane by itself: a row for each nucleus and plane."""
    size = _find_size(plane_micrometers, result, images)
    if options.in_micrometers and size is None:
        raise UserError(
            f"Neither the labels {result.name} nor their image have a pixel size: give distances "
            "in pixels."
        )
    titles, tables = [channel.title for channel in channels], []
    for position, labels in result.planes():
        pixels = MeasuredPixels(
            read_channels(images, channels, position, labels.shape), titles, size
        )
        table = measure_plane(labels, pixels, options).drop(columns="confidence")
        tables.append(insert_position(table, position))
    return pd.concat(tables, ignore_index=True)


def _measure_volumes(
    result: Result,
    images: Sequence[LazyImage],
    channels: Sequence[ImageChannel],
    options: MeasureOptions,
) -> pd.DataFrame:
    """Measure every stack of slices: a row for each nucleus, and time point if there are such."""
    size = _find_size(voxel_micrometers, result, images)
    _check_distances(result, options, size)
    frame = replace(result.volume_frame, micrometers=size)
    titles, tables = [channel.title for channel in channels], []
    for position, labels in result.volumes():
        slices = [
            read_channels(images, channels, {**position, "z": frame.offset[0] + z}, plane.shape)
            for z, plane in enumerate(labels)
        ]
        image = np.stack(slices)
        pixels = image[..., 0] if titles == [""] else image
        table = measure_volume(labels, pixels, None, frame, titles).drop(columns="confidence")
        if options.neighbours is not None:
            centroids = table[["centroid_z_um", "centroid_y_um", "centroid_x_um"]].to_numpy()
            near = measure_neighbours(centroids, options.neighbours)
            table = table.join(near.rename(columns={"nearest_distance": "nearest_distance_um"}))
        tables.append(insert_position(table, position))
    return pd.concat(tables, ignore_index=True)


def _check_distances(
    result: Result, options: MeasureOptions, size: tuple[float, float, float] | None
) -> None:
    """Raise an error for distances that cannot be measured in volumes."""
    if options.ring is not None:
        raise UserError(
            f"The labels {result.name} are volumes, and rings are for planes only: leave "
            "`ring` out."
        )
    if options.neighbours is None:
        return
    if not options.in_micrometers:
        raise UserError(
            f"The labels {result.name} are volumes, whose voxels may not be cubes: give "
            "`neighbours` in micrometers."
        )
    if size is None:
        raise UserError(
            f"Neither the labels {result.name} nor their image have a pixel size and a z step: "
            "leave `neighbours` out."
        )


def _find_size(
    find_size: Callable[..., _Size | None], result: Result, images: Sequence[LazyImage]
) -> _Size | None:
    """Find the size of a pixel or voxel of the labels, or else of the first image that says it."""
    size = find_size(result.axes, result.spacing, result.units)  # plain TIFF has none
    others = (find_size(image_letters(image), image.scale, image.units) for image in images)
    return size or next((other for other in others if other is not None), None)


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
    nucleus : ndarray, shape (Y, X), floating or uint16, or None
        Predicted probability of nucleus.
    """

    values: NDArray[np.generic]
    titles: Sequence[str]
    micrometers: tuple[float, float] | None = None
    nucleus: NDArray[np.floating] | NDArray[np.uint16] | None = None


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
    keys = [*result.row_axes, "label"]
    if not set(keys) <= set(measured) or not set(keys) <= set(known):
        return measured  # they have other rows
    outdated = {*measured, *keys, *list_measured_columns(known)}
    others = [name for name in known if name not in outdated]
    return measured.merge(known[[*keys, *others]], on=keys, how="left")
