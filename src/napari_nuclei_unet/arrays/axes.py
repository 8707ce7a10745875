"""Indexing of planes and channels in arrays with more axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, convert_read_errors
from .tiling import ArrayLike

CHANNEL_NAMES = ("c", "ch", "channel", "channels")
# An axis without a name is taken for channels up to this length, if all others are longer.
MAX_GUESSED_CHANNELS = 5
# Letters of axes without names, from the last one up.
UNNAMED_AXIS_LETTERS = "ZTQPRSUVWABCDEFGHIJKLMNO"
Channel = int | Literal["mean"]
# Colours of RGB by name; they are channels 0, 1 and 2 of such an image.
Colour = Literal["red", "green", "blue"]
COLOURS: tuple[Colour, ...] = ("red", "green", "blue")


def guess_channel_axis(shape: Sequence[int], names: Sequence[str] = ()) -> int | None:
    """Guess which axis of an array holds channels: by its name, else by its length.

    Parameters
    ----------
    shape : sequence of int
        Without the colours of RGB.
    names : sequence of str, optional
        Of the axes; napari's default names, such as "-1", are ignored.

    Returns
    -------
    int or None
        Never leaves fewer than two axes.
    """
    if len(shape) < 3:
        return None
    for axis, name in enumerate(names):
        if name.strip().lower() in CHANNEL_NAMES:
            return axis
    if any(name.strip().isalpha() for name in names):
        return None  # the others have names, and none is a channel
    shortest = int(np.argmin(shape))
    others = [length for axis, length in enumerate(shape) if axis != shortest]
    likely = 2 <= shape[shortest] <= MAX_GUESSED_CHANNELS < min(others)
    return shortest if likely else None


def axis_letters(names: Sequence[str], plane: tuple[int, int]) -> str:
    """Return a different letter for every axis of labels.

    Parameters
    ----------
    names : sequence of str
        Of the axes; napari's default names, such as "-1", are ignored.
    plane : (int, int)
        The two axes of a plane: these are Y and X.

    Returns
    -------
    str
        Of other axes the first letter of their name, else Z for the last and T for the one before.
    """
    letters = {plane[0]: "Y", plane[1]: "X"}
    others = [axis for axis in range(len(names)) if axis not in plane]
    for axis in others:
        letter = names[axis].strip()[:1].upper()
        if letter.isalpha() and letter.isascii() and letter not in {"Y", "X", *letters.values()}:
            letters[axis] = letter
    free = (letter for letter in UNNAMED_AXIS_LETTERS if letter not in letters.values())
    for axis in reversed(others):
        if axis not in letters:
            letters[axis] = next(free)
    return "".join(letters[axis] for axis in range(len(names)))


@dataclass(frozen=True)
class PlaneIndex:
    """Index of a plane in an array.

    Attributes
    ----------
    index : tuple of int or None
        For every axis but the colours of RGB its position; None for the two axes of the plane,
        and for the channel axis where the channels are averaged.
    channel_axis : int, optional
    """

    index: tuple[int | None, ...]
    channel_axis: int | None = None

    @property
    def mean(self) -> bool:
        """Whether the plane is the mean of all channels."""
        return self.channel_axis is not None and self.index[self.channel_axis] is None

    @property
    def channel(self) -> Channel | None:
        """Position on the channel axis, or "mean"; None: there is no such axis."""
        if self.channel_axis is None:
            return None
        at = self.index[self.channel_axis]
        return "mean" if at is None else at

    @property
    def slices(self) -> tuple[int | slice, ...]:
        """Index for numpy."""
        return tuple(slice(None) if at is None else at for at in self.index)

    @property
    def mean_axis(self) -> int:
        """Channel axis of ``array[slices]``."""
        return self.index[: self.channel_axis].count(None)

    def read(self, pixels: ArrayLike) -> NDArray[Any]:
        """Read the plane, and nothing else.

        Parameters
        ----------
        pixels : array-like
            Only sliced.

        Returns
        -------
        ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4)
            Of the array's dtype; a mean is floating.
        """
        part = np.asarray(pixels[self.slices])
        if not self.mean:
            return part
        return np.asarray(part.mean(axis=self.mean_axis, dtype=_mean_type(part.dtype)))


@dataclass(frozen=True, eq=False)
class PlaneView:
    """A plane of an array that is read only where, and when, it is sliced.

    Parameters
    ----------
    pixels : array-like
        Has a ``dtype``; only sliced.
    plane_index : PlaneIndex
    """

    pixels: Any
    plane_index: PlaneIndex

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X), and the number of colours of RGB."""
        n = len(self.plane_index.index)
        return tuple(self.pixels.shape[axis] for axis in (*self._plane_axes, *range(n, self._ndim)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels read; a mean is floating."""
        dtype = np.dtype(self.pixels.dtype)
        return _mean_type(dtype) if self.plane_index.mean else dtype

    @property
    def _ndim(self) -> int:
        return len(self.pixels.shape)

    @property
    def _plane_axes(self) -> list[int]:
        index, channel = self.plane_index.index, self.plane_index.channel_axis
        return [axis for axis, at in enumerate(index) if at is None and axis != channel]

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """Read rows and columns of the plane.

        Raises
        ------
        UserError
            If the file, server or graph behind the array fails.
        """
        index = list(self.plane_index.slices)
        for axis, extent in zip(self._plane_axes, part, strict=True):
            index[axis] = extent
        with convert_read_errors("Image or labels", MemoryError):
            read = np.asarray(self.pixels[tuple(index)])
        if not self.plane_index.mean:
            return read
        return np.asarray(read.mean(axis=self.plane_index.mean_axis, dtype=self.dtype))


def _mean_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


def pair_plane_indices(
    shape: Sequence[int], labels: Sequence[int], channel_axis: int | None, channel: Channel | None
) -> list[tuple[PlaneIndex, PlaneIndex]]:
    """Match the planes of a stack with the planes of its labels.

    Parameters
    ----------
    shape, labels : sequence of int
        Of the image, without the colours of RGB, and of its labels; these have no channel axis,
        or one of length 1. Planes are the last two other axes.
    channel_axis : int, optional
        That behind the last is the one of the colours of RGB.
    channel : int, "mean" or None
        None: the first.

    Returns
    -------
    list of (PlaneIndex, PlaneIndex)
        For every plane, in the image and in the labels.

    Raises
    ------
    UserError
        If the shapes do not belong together.
    """
    axes = [axis for axis in range(len(shape)) if axis != channel_axis]
    plane_shape = tuple(shape[axis] for axis in axes)
    has_channel_axis = (
        len(labels) == len(shape)
        and channel_axis is not None
        and channel_axis < len(labels)
        and labels[channel_axis] == 1
    )
    if plane_shape != (tuple(labels[axis] for axis in axes) if has_channel_axis else tuple(labels)):
        raise UserError(
            f"Image and labels do not match: their shapes are {tuple(shape)} and {tuple(labels)}."
        )
    pairs = []
    for position in np.ndindex(*plane_shape[:-2]):
        full = dict(zip(axes, (*position, None, None), strict=True))
        image: list[int | None] = [full.get(axis) for axis in range(len(shape))]
        truth = list(image) if has_channel_axis else [full[axis] for axis in axes]
        if channel_axis == len(shape):
            image.append(None if channel == "mean" else channel or 0)
        elif channel_axis is not None:
            image[channel_axis] = None if channel == "mean" else channel or 0
            if has_channel_axis:
                truth[channel_axis] = 0
        pairs.append((PlaneIndex(tuple(image), channel_axis), PlaneIndex(tuple(truth))))
    return pairs


def group_slices(indices: Sequence[PlaneIndex], axis: int) -> list[tuple[int, ...]]:
    """Group planes that differ on one axis only, along which they are slices.

    Parameters
    ----------
    indices : sequence of PlaneIndex
    axis : int
        Of the image.

    Returns
    -------
    list of tuple of int
        Numbers of the planes of each group, in their order.
    """
    groups: dict[tuple[int | None, ...], list[int]] = {}
    for number, plane in enumerate(indices):
        at = plane.index
        groups.setdefault((*at[:axis], *at[axis + 1 :]), []).append(number)
    return [tuple(numbers) for numbers in groups.values()]


def plane_index_from_axes(
    shape: Sequence[int], axes: str, planes: Sequence[int], channel: Channel | None
) -> PlaneIndex:
    """Return the index of a plane, given letters for the axes.

    Parameters
    ----------
    shape : sequence of int
        Of the array, without the colours of RGB.
    axes : str
        One letter an axis; Y and X are the plane, C are channels.
    planes : sequence of int
        Position on every other axis, in their order; none where all have length 1.
    channel : int, "mean" or None
        None: the only channel.

    Returns
    -------
    PlaneIndex

    Raises
    ------
    UserError
        If these do not fit together.
    """
    axes = axes.upper()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        raise UserError(
            f"The axes '{axes}' do not fit an image of shape {tuple(shape)}: one letter for each, "
            "with Y and X for the plane and C for channels."
        )
    free = [axis for axis, name in enumerate(axes) if name not in "CYX"]
    if not planes and all(shape[axis] == 1 for axis in free):
        planes = [0] * len(free)
    if len(planes) != len(free):
        names = ", ".join(axes[axis] for axis in free) or "none"
        raise UserError(
            f"This image of axes {axes} and shape {tuple(shape)} needs a position on each of its "
            f"axes other than plane and channel ({names}): give {len(free)} with `planes`."
        )
    index: list[int | None] = [None] * len(shape)
    for axis, position in zip(free, planes, strict=True):
        index[axis] = _checked(position, shape[axis], f"plane {position} on axis {axes[axis]}")
    where = axes.find("C")
    if where < 0 and channel is not None:
        raise UserError(f"An image of axes {axes} has no channels.")
    if where < 0:
        return PlaneIndex(tuple(index))
    if channel is None and shape[where] > 1:
        raise UserError(
            f"This image has {shape[where]} channels: choose one, counted from 0, or their mean, "
            "with `channel`."
        )
    if channel != "mean":
        index[where] = _checked(channel or 0, shape[where], f"channel {channel}")
    return PlaneIndex(tuple(index), where)


def _checked(position: int, length: int, what: str) -> int:
    if not 0 <= position < length:
        raise UserError(f"There is no {what}: positions go from 0 to {length - 1}.")
    return position
