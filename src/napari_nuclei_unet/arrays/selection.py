"""Which planes of an image are wanted, and the array that their labels make."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from napari_nuclei_unet.arrays.axes import Channel, PlaneIndex, resolve_plane_index
from napari_nuclei_unet.errors import UserError

# What is wanted of an axis: one position, some, or None for all.
Positions = int | Sequence[int] | None
# Letters of axes that nobody has named; the plane is always last.
DEFAULT_AXES, DEFAULT_AXES_WITH_CHANNELS = "HMPTZYX", "HMPTZCYX"


@dataclass(frozen=True)
class PlaneSelection:
    """Planes of an image.

    Attributes
    ----------
    axes : str
        A letter for every axis of the image but the colours of RGB.
    first_plane : Cut
        The first plane.
    lead : str
        Letters of the axes of the labels before those of the plane. An axis of which one position
        was asked for is none of them.
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
        """Of the labels' axes before those of the plane."""
        return tuple(len(places) for places in self.positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the labels."""
        return (*self.lengths, *self.size)

    @property
    def label_axes(self) -> str:
        """A letter for each axis of the labels."""
        return self.lead + "".join(name for name in self.axes if name in "YX")

    @cached_property
    def plane_indices(self) -> list[PlaneIndex]:
        """All planes, in the order of the labels: the last axis runs fastest."""
        made = []
        for places in itertools.product(*self.positions):
            index = list(self.first_plane.index)
            for letter, place in zip(self.lead, places, strict=True):
                index[self.axes.index(letter)] = place
            made.append(PlaneIndex(tuple(index), self.first_plane.channel_axis))
        return made

    @property
    def label_indices(self) -> list[tuple[int, ...]]:
        """Where each plane is in the labels."""
        return list(itertools.product(*map(range, self.lengths)))

    @property
    def plane_columns(self) -> list[dict[str, int]]:
        """What a table says of each plane: names of axes, and positions in the image."""
        names = self.lead.lower()
        places = itertools.product(*self.positions)
        return [dict(zip(names, one, strict=True)) for one in places]

    def reordered(self, order: str) -> PlaneSelection:
        """Give the same planes, with the labels' axes before the plane in another order."""
        places = dict(zip(self.lead, self.positions, strict=True))
        return replace(self, lead=order, positions=tuple(places[letter] for letter in order))


def select_planes(
    shape: Sequence[int],
    axes: str | None = None,
    planes: Sequence[Positions] = (),
    channel: Channel | None = None,
    file_axes: str | None = None,
) -> PlaneSelection:
    """Pick planes of an image.

    Parameters
    ----------
    shape : sequence of int
        Of the image; the last may be the colours of RGB or RGBA.
    axes : str, optional
        A letter for each axis but that of colours, Y and X for the plane, C for channels.
    planes : sequence of int, sequence of int or None, optional
        What is wanted of every other axis, in their order. Without: all planes.
    channel : int, "mean" or None
        None: the only one.
    file_axes : str, optional
        Axes as the file says them; taken where the user gives none.

    Returns
    -------
    Picked

    Raises
    ------
    UserError
        If the image is empty, or these do not fit together.
    """
    shape = tuple(shape)
    if 0 in shape:
        raise UserError(f"The image is empty: its shape is {shape}.")
    if axes is None and not planes and channel is None and _is_plane(shape, file_axes):
        return PlaneSelection("YX", PlaneIndex((None, None)), "", (), (shape[0], shape[1]))
    letters = _letters(shape, axes or file_axes, channel is not None)
    free = [axis for axis, name in enumerate(letters) if name not in "CYX"]
    # whether axes and channel fit is found out with the first plane, whichever are wanted
    first, _ = resolve_plane_index(shape, letters, [0] * len(free), channel)
    single = all(shape[axis] == 1 for axis in free)
    wanted = list(planes) or ([0] if single else [None]) * len(free)
    if len(wanted) != len(free):
        names = ", ".join(letters[axis] for axis in free) or "none"
        raise UserError(
            f"This image of axes {letters} and shape {shape} needs a position, a range or 'all' "
            f"for each of its axes beside plane and channel ({names}): give {len(free)} with "
            "`planes`, or leave it out for all."
        )
    index, lead, positions = list(first.index), "", []
    for axis, want in zip(free, wanted, strict=True):
        places = _places(want, shape[axis], letters[axis])
        index[axis] = places[0]
        if not isinstance(want, int):
            lead += letters[axis]
            positions.append(places)
    height, width = (shape[axis] for axis, name in enumerate(letters) if name in "YX")
    like = PlaneIndex(tuple(index), first.channel_axis)
    return PlaneSelection(letters, like, lead, tuple(positions), (height, width))


def _is_plane(shape: tuple[int, ...], file_axes: str | None) -> bool:
    """Whether an array is one plane, grey or in colours, if nobody says otherwise."""
    if len(shape) == 3:
        return shape[2] in (1, 3, 4) and file_axes in (None, "YX", "YXC")
    return len(shape) == 2


def has_channels(shape: Sequence[int], axes: str | None, file_axes: str | None) -> bool:
    """Whether there are channels to choose from; grey and RGB images have none.

    Parameters
    ----------
    shape, axes, file_axes
        As in :func:`select_planes`.
    """
    where = _letters(tuple(shape), axes or file_axes, True).find("C")
    return 0 <= where < len(shape) and shape[where] > 1


def _letters(shape: tuple[int, ...], named: str | None, channels: bool) -> str:
    """Give a letter for each axis but that of colours, whether or not somebody has named them."""
    if named:
        return named.upper()
    # nobody has planes three or four pixels wide: these are the colours of RGB
    coloured = len(shape) > 2 and shape[-1] in (3, 4)
    letters = DEFAULT_AXES_WITH_CHANNELS if channels and not coloured else DEFAULT_AXES
    return letters[-(len(shape) - coloured) :]


def _places(want: Positions, length: int, letter: str) -> tuple[int, ...]:
    """Positions on an axis, checked."""
    if want is None:
        return tuple(range(length))
    places = (want,) if isinstance(want, int) else tuple(want)
    for place in places:
        if not 0 <= place < length:
            raise UserError(
                f"There is no plane {place} on axis {letter}: they count from 0 to {length - 1}."
            )
    if not places:
        raise UserError(f"No plane of axis {letter} is wanted: give at least one position.")
    return places
