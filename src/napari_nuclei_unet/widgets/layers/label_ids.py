"""Which ids belong to which plane of a labels layer, so that no two nuclei share one."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import paste_labels
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.common.key_bindings import unwrap_proxy

MAX_LABEL_ID = np.iinfo(np.int32).max
LabelsIndex = tuple[slice | int, ...]


class LabelIds:
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
        self._max_id = largest
        self._id_ranges: dict[
            tuple[int | None, ...], tuple[int, int]
        ] = {}  # ids above, and how many

    def belongs_to(self, data: Any) -> bool:
        """Whether these are the ids of an array, and not of one that it has replaced."""
        return self._data() is data

    def is_unwritten(self, index: LabelsIndex) -> bool:
        """Whether a plane is known to hold nothing that :meth:`write` has put there."""
        return self._max_id is not None and plane_key(index) not in self._id_ranges

    def id_offset(self, index: LabelsIndex) -> int:
        """Give what was added to the numbers of the nuclei of a plane, when it was written."""
        return self._id_ranges[plane_key(index)][0]

    def note_used_id(self, used_id: int) -> None:
        """Take note of an id that somebody else has used."""
        if self._max_id is not None:
            self._max_id = max(self._max_id, used_id)

    def write(
        self,
        data: NDArray[np.int32],
        index: LabelsIndex,
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
        if self._max_id is None:
            self._max_id = _max_id_outside_plane(data, onto)
        first, room = self._id_ranges.get(plane_key(index), (self._max_id, 0))
        left = 0 if inside is None else int(onto.max(initial=0, where=~inside))
        above = max(first, left)
        if above + count > first + room:
            if first + room != self._max_id:
                first = above = self._max_id
            room = above + count - first
        if first + room > MAX_LABEL_ID:
            raise UserError("These labels have used up all ids: segment into a new layer.")
        self._id_ranges[plane_key(index)] = first, room
        self._max_id = max(self._max_id, first + room)
        paste_labels(labels, inside, onto, above)


def index_plane_axes(index: LabelsIndex) -> tuple[int, int]:
    """Give the two axes of the plane that an index is of."""
    rows, columns = (axis for axis, at in enumerate(index) if isinstance(at, slice))
    return rows, columns


def plane_key(index: LabelsIndex) -> tuple[int | None, ...]:
    """Say which plane an index is of, as something that can be a key."""
    return tuple(None if isinstance(at, slice) else at for at in index)


def _max_id_outside_plane(data: NDArray[Any], plane: NDArray[Any]) -> int:
    """Largest value of an array without one of its planes, which is a view of it."""
    before = plane.copy()
    plane[...] = 0
    largest = int(data.max(initial=0))
    plane[...] = before
    return largest


_label_ids: weakref.WeakKeyDictionary[Labels, LabelIds] = weakref.WeakKeyDictionary()


def get_label_ids(layer: Labels) -> LabelIds:
    """Give the ids of a layer whose data is an array in memory; new ones, if it got other data."""
    layer = unwrap_proxy(layer)
    found = _label_ids.get(layer)
    if found is None or not found.belongs_to(layer.data):
        found = LabelIds(layer.data)
        set_label_ids(layer, found)
    return found


def set_label_ids(layer: Labels, ids: LabelIds) -> None:
    """Let a layer have these ids, and take note of those that the user paints with."""
    layer = unwrap_proxy(layer)
    if layer not in _label_ids:
        layer.events.paint.connect(_on_paint)
    _label_ids[layer] = ids


def _on_paint(event: Any) -> None:
    layer = unwrap_proxy(event.source)
    new = [getattr(atom, "new_value", atom[-1]) for atom in event.value]  # masked, or a triple
    used = max((int(np.max(value, initial=0)) for value in new), default=0)
    if layer in _label_ids:
        _label_ids[layer].note_used_id(used)
