"""Selection of planes of an image, and the axes of their labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import UserError
from .axes import COLOURS, MAX_GUESSED_CHANNELS, Channel, Colour, PlaneIndex, plane_index_from_axes

# Selected positions on an axis: one, some, or None for all.
Positions = int | Sequence[int] | None
# Of more planes, or of larger ones, there is no list in memory; no microscope makes so many.
MAX_PLANES, MAX_PLANE_PIXELS, MAX_PLANE_EDGE = 1_000_000, 10**12, 2**24
# Letters of axes without names; the plane is always last.
DEFAULT_AXES, DEFAULT_AXES_WITH_CHANNELS = "HMPTZYX", "HMPTZCYX"

# Without names, a last axis up to this length, if the two before it are so many times as long, may
# be that of channels as well as a side of narrow planes.
MAX_AMBIGUOUS_LENGTH, NARROW_PLANE_RATIO = 16, 8


@dataclass(frozen=True)
class PlaneSelection:
    """Planes of an image.

    Attributes
    ----------
    axes : str
        A letter for every axis of the image but the colours of RGB.
    first_plane : PlaneIndex
    lead : str
        Letters of the axes of the labels before those of the plane, without those of which a
        single position was selected.
    positions : tuple of tuple of int
        On each of these axes, in the image.
    size : (int, int)
        Of a plane.
    """

    axes: str
    first_plane: PlaneIndex
    lead: str
    positions: tuple[tuple[int, ...], ...]
    size: tuple[int, int]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the labels' axes before those of the plane."""
        return tuple(len(places) for places in self.positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels."""
        return (*self.lengths, *self.size)

    @property
    def label_axes(self) -> str:
        """A letter for each axis of the labels."""
        return self.lead + "".join(name for name in self.axes if name in "YX")

    @cached_property
    def plane_indices(self) -> list[PlaneIndex]:
        """All planes, in the order of the labels: the last axis runs fastest."""
        indices = []
        for positions in itertools.product(*self.positions):
            index = list(self.first_plane.index)
            for letter, position in zip(self.lead, positions, strict=True):
                index[self.axes.index(letter)] = position
            indices.append(PlaneIndex(tuple(index), self.first_plane.channel_axis))
        return indices

    @property
    def label_indices(self) -> list[tuple[int, ...]]:
        """Index of each plane in the labels."""
        return list(itertools.product(*map(range, self.lengths)))

    @property
    def plane_columns(self) -> list[dict[str, int]]:
        """Columns of a table for each plane: names of axes, and positions in the image."""
        names = self.lead.lower()
        positions = itertools.product(*self.positions)
        return [dict(zip(names, position, strict=True)) for position in positions]

    def reordered(self, order: str) -> PlaneSelection:
        """Return the same planes, with the leading axes of the labels in another order."""
        places = dict(zip(self.lead, self.positions, strict=True))
        return replace(self, lead=order, positions=tuple(places[letter] for letter in order))


def select_planes(
    shape: Sequence[int],
    axes: str | None = None,
    planes: Sequence[Positions] = (),
    channel: Channel | Colour | None = None,
    file_axes: str | None = None,
    is_rgb: bool | None = None,
) -> PlaneSelection:
    """Select planes of an image.

    Parameters
    ----------
    shape : sequence of int
        Of the image; the last may be the colours of RGB or RGBA.
    axes : str, optional
        A letter for each axis but that of colours, Y and X for the plane, C for channels.
    planes : sequence of int, sequence of int or None, optional
        Positions on every other axis, in their order; all planes if not given.
    channel : int, "mean", "red", "green", "blue" or None
        None: the only one, or the colours of RGB together.
    file_axes : str, optional
        Axes as stored in the file; used where ``axes`` is not given.
    is_rgb : bool, optional
        Whether the last axis is that of colours; None: if its length is 3 or 4.

    Returns
    -------
    PlaneSelection

    Raises
    ------
    UserError
        If the image is empty, or these do not fit together.
    """
    shape = tuple(shape)
    if 0 in shape:
        raise UserError(f"The image is empty: its shape is {shape}.")
    if len(shape) < 2:
        raise UserError(f"An image has at least the axes Y and X; this one has the shape {shape}.")
    default = axes is None and not planes and channel is None
    if default and _is_plane(shape, file_axes, is_rgb):
        _check_size((), (), shape[:2])
        return PlaneSelection("YX", PlaneIndex((None, None)), "", (), (shape[0], shape[1]))
    if not (axes or file_axes):
        _check_last_axis(shape, is_rgb)
    letters = _resolve_letters(shape, axes or file_axes, channel is not None, is_rgb)
    coloured = _has_colours(shape, letters, is_rgb)
    if coloured and channel is not None and "C" not in letters:
        _check_colour(channel, shape[-1])
        letters, coloured = letters + "C", False
    number = _number_channel(channel, is_rgb, shape)
    free = [axis for axis, name in enumerate(letters) if name not in "CYX"]
    # the first plane shows whether axes and channel fit, whichever planes are selected
    indexed = shape[:-1] if coloured else shape
    plane_index = plane_index_from_axes(indexed, letters, [0] * len(free), number)
    single = all(shape[axis] == 1 for axis in free)
    selections = list(planes) or ([0] if single else [None]) * len(free)
    if len(selections) != len(free):
        names = ", ".join(letters[axis] for axis in free) or "none"
        raise UserError(
            f"This image of axes {letters} and shape {shape} needs a position, a range or 'all' "
            f"for each of its axes other than plane and channel ({names}): give {len(free)} with "
            "`planes`, or leave it out for all."
        )
    height, width = (shape[axis] for axis, name in enumerate(letters) if name in "YX")
    _check_size(selections, [shape[axis] for axis in free], (height, width))
    index, lead, positions = list(plane_index.index), "", []
    for axis, selected in zip(free, selections, strict=True):
        places = _resolve_positions(selected, shape[axis], letters[axis])
        index[axis] = places[0]
        if not isinstance(selected, int):
            lead += letters[axis]
            positions.append(places)
    first_plane = PlaneIndex(tuple(index), plane_index.channel_axis)
    return PlaneSelection(letters, first_plane, lead, tuple(positions), (height, width))


def _check_size(
    selections: Sequence[Positions], lengths: Sequence[int], size: Sequence[int]
) -> None:
    """Raise an error for more planes, or larger ones, than an image can have."""
    counts = [
        length if selected is None else 1 if isinstance(selected, int) else len(selected)
        for selected, length in zip(selections, lengths, strict=True)
    ]
    if (planes := math.prod(counts)) > MAX_PLANES:
        raise UserError(
            f"According to its file the image has {planes:,} planes: check that it is whole, or "
            "choose some of them with `planes`."
        )
    if math.prod(size) > MAX_PLANE_PIXELS or max(size) > MAX_PLANE_EDGE:
        raise UserError(
            f"According to its file a plane of the image has {size[0]:,} x {size[1]:,} pixels: "
            "check that it is whole, or choose another `level`."
        )


def _is_plane(shape: tuple[int, ...], file_axes: str | None, is_rgb: bool | None) -> bool:
    """Return whether an array is one plane, grey or RGB, by default."""
    if len(shape) != 3:
        return len(shape) == 2
    if is_rgb is None:
        return shape[2] in (1, 3, 4) and file_axes in (None, "YX", "YXC")
    return (is_rgb and file_axes in (None, "YX")) or (shape[2] == 1 and file_axes is None)


def has_channels(
    shape: Sequence[int], axes: str | None, file_axes: str | None, is_rgb: bool | None = None
) -> bool:
    """Return whether there are channels to choose from; grey and RGB images have none.

    Parameters
    ----------
    shape, axes, file_axes, is_rgb
        As in :func:`select_planes`.
    """
    channel_axis = _resolve_letters(tuple(shape), axes or file_axes, True, is_rgb).find("C")
    return 0 <= channel_axis < len(shape) and shape[channel_axis] > 1


def number_colour(channel: Channel | Colour | None) -> Channel | None:
    """Return the number of a colour of RGB; what is none stays as it is."""
    return COLOURS.index(channel) if channel in COLOURS else channel  # type: ignore[return-value]


def _number_channel(
    channel: Channel | Colour | None, is_rgb: bool | None, shape: tuple[int, ...]
) -> Channel | None:
    """Return the number of a channel that may be a colour; raise an error if there are none."""
    if channel in COLOURS and not (shape[-1] in (3, 4) if is_rgb is None else is_rgb):
        raise UserError(
            "This image is not RGB: choose a channel by its number, counted from 0, or mean, with "
            "`channel`."
        )
    return number_colour(channel)


def _check_colour(channel: Channel | Colour, count: int) -> None:
    number = number_colour(channel)
    if not isinstance(number, int) or not 0 <= number < count:
        raise UserError(
            "This image is RGB, and its colours are used together: leave `channel` out, or "
            "choose red, green or blue."
        )


def _has_colours(shape: tuple[int, ...], letters: str, is_rgb: bool | None) -> bool:
    """Return whether the last axis is that of colours, and has no letter."""
    coloured = shape[-1] in (3, 4) if is_rgb is None else is_rgb
    return coloured and len(shape) == len(letters) + 1


def _resolve_letters(
    shape: tuple[int, ...], named: str | None, channels: bool, is_rgb: bool | None
) -> str:
    """Return a letter for each axis but that of colours, by default if they have no names."""
    if named:
        return named.upper()
    # no plane is three or four pixels wide: these are colours, or channels where the file denies it
    coloured = len(shape) > 2 and (shape[-1] in (3, 4) if is_rgb is None else is_rgb)
    if is_rgb is False and len(shape) > 2 and 1 < shape[-1] <= MAX_GUESSED_CHANNELS < shape[-2]:
        return DEFAULT_AXES[1 - len(shape) :] + "C"
    letters = DEFAULT_AXES_WITH_CHANNELS if channels and not coloured else DEFAULT_AXES
    return letters[-(len(shape) - coloured) :]


def _check_last_axis(shape: tuple[int, ...], is_rgb: bool | None) -> None:
    """Raise an error if the last axis, which has no name, may be that of channels or of planes."""
    length = shape[-1]
    if len(shape) < 3 or not 1 < length <= MAX_AMBIGUOUS_LENGTH:
        return
    is_known = length in (3, 4) if is_rgb is None else is_rgb or length <= MAX_GUESSED_CHANNELS
    if is_known or NARROW_PLANE_RATIO * length > min(shape[-3:-1]):
        return
    planes, channels = DEFAULT_AXES[-len(shape) :], DEFAULT_AXES[1 - len(shape) :] + "C"
    raise UserError(
        f"The last axis of an image of shape {shape} may be channels or a side of narrow planes: "
        f"say with `axes` what it is, {channels} or {planes}."
    )


def _resolve_positions(selected: Positions, length: int, letter: str) -> tuple[int, ...]:
    """Return the selected positions on an axis, checked."""
    if selected is None:
        return tuple(range(length))
    places = (selected,) if isinstance(selected, int) else tuple(selected)
    for place in places:
        if not 0 <= place < length:
            raise UserError(
                f"There is no plane {place} on axis {letter}: positions go from 0 to {length - 1}."
            )
    if not places:
        raise UserError(f"No plane of axis {letter} is selected: give at least one position.")
    return places
