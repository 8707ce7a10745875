"""Which ids belong to which plane of a labels layer, so that no two nuclei share one."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import paste
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.common.key_bindings import bare

LARGEST = np.iinfo(np.int32).max
Index = tuple[slice | int, ...]


class Ids:
    """Hands out the ids of one array of labels.

    Every plane has a range of its own. One that is written again keeps it, so that its nuclei
    keep their colours while a slider moves; it gets another above all others only where it needs
    more room.

    Parameters
    ----------
    data : ndarray
    largest : int, optional
        Id in it; without, it is looked for when it is needed.
    """

    def __init__(self, data: NDArray[Any], largest: int | None = None) -> None:
        self._data = weakref.ref(data)
        self._largest = largest
        self._own: dict[tuple[int | None, ...], tuple[int, int]] = {}  # ids above, and how many

    def of(self, data: Any) -> bool:
        """Whether these are the ids of an array, and not of one that it has replaced."""
        return self._data() is data

    def unwritten(self, index: Index) -> bool:
        """Whether a plane is known to hold nothing that :meth:`write` has put there."""
        return self._largest is not None and key_of(index) not in self._own

    def above(self, index: Index) -> int:
        """Give what was added to the numbers of the nuclei of a plane, when it was written."""
        return self._own[key_of(index)][0]

    def raise_to(self, used: int) -> None:
        """Take note of an id that somebody else has used."""
        if self._largest is not None:
            self._largest = max(self._largest, used)

    def write(
        self,
        data: NDArray[np.int32],
        index: Index,
        labels: NDArray[np.int32],
        inside: NDArray[np.bool_] | None,
    ) -> None:
        """Put the nuclei of a plane into the array.

        Parameters
        ----------
        data : ndarray, int32
        index : tuple of int and slice
            Of the plane.
        labels : ndarray, shape (Y, X), int32
            Numbered from 1.
        inside : ndarray, shape (Y, X), bool, or None
            Where they are written; None: everywhere.

        Raises
        ------
        UserError
            If there are more nuclei than ids.
        """
        onto, count = data[index], int(labels.max(initial=0))
        if self._largest is None:
            self._largest = _largest_elsewhere(data, onto)
        first, room = self._own.get(key_of(index), (self._largest, 0))
        left = 0 if inside is None else int(onto.max(initial=0, where=~inside))
        above = max(first, left)
        if above + count > first + room:
            if first + room != self._largest:
                first = above = self._largest
            room = above + count - first
        if first + room > LARGEST:
            raise UserError("These labels have used up all ids: segment into a new layer.")
        self._own[key_of(index)] = first, room
        self._largest = max(self._largest, first + room)
        paste(labels, inside, onto, above)


def axes_of(index: Index) -> tuple[int, int]:
    """Give the two axes of the plane that an index is of."""
    rows, columns = (axis for axis, at in enumerate(index) if isinstance(at, slice))
    return rows, columns


def key_of(index: Index) -> tuple[int | None, ...]:
    """Say which plane an index is of, as something that can be a key."""
    return tuple(None if isinstance(at, slice) else at for at in index)


def _largest_elsewhere(data: NDArray[Any], plane: NDArray[Any]) -> int:
    """Largest value of an array without one of its planes, which is a view of it."""
    before = plane.copy()
    plane[...] = 0
    largest = int(data.max(initial=0))
    plane[...] = before
    return largest


_known: weakref.WeakKeyDictionary[Labels, Ids] = weakref.WeakKeyDictionary()


def ids_of(layer: Labels) -> Ids:
    """Give the ids of a layer whose data is an array in memory; new ones, if it got other data."""
    layer = bare(layer)
    found = _known.get(layer)
    if found is None or not found.of(layer.data):
        found = Ids(layer.data)
        use_ids(layer, found)
    return found


def use_ids(layer: Labels, ids: Ids) -> None:
    """Let a layer have these ids, and take note of those that the user paints with."""
    layer = bare(layer)
    if layer not in _known:
        layer.events.paint.connect(_on_paint)
    _known[layer] = ids


def _on_paint(event: Any) -> None:
    layer = bare(event.source)
    new = [getattr(atom, "new_value", atom[-1]) for atom in event.value]  # masked, or a triple
    used = max((int(np.max(value, initial=0)) for value in new), default=0)
    if layer in _known:
        _known[layer].raise_to(used)
