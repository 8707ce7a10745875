"""Ranges of ids for the planes of a labels layer, so that no two nuclei share one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays.boxes import paste_labels
from ...errors import UserError
from .array_reference import ArrayReference

MAX_LABEL_ID = np.iinfo(np.int32).max
LabelsIndex = tuple[slice | int, ...]


class LabelIds:
    """Assigns the ids of one array of labels.

    Every plane has a range of its own. A plane that is rewritten keeps it, so that its nuclei
    keep their colours while a slider moves; it gets a new one, above all others, only where it
    needs more ids.

    Parameters
    ----------
    data : ndarray
    largest : int, optional
        Id in it; by default it is searched for when it is needed.
    """

    def __init__(self, data: NDArray[Any], largest: int | None = None) -> None:
        self._array = ArrayReference(data)
        self._max_id = largest
        # by plane: the id below its first one, and the number of ids
        self._id_ranges: dict[tuple[int | None, ...], tuple[int, int]] = {}

    def belongs_to(self, data: Any) -> bool:
        """Return whether these are the ids of an array, and not of one that it has replaced."""
        return self._array.is_to(data)

    def id_offset(self, index: LabelsIndex) -> int:
        """Return the offset that was added to the labels of a plane when it was written, or 0."""
        return self._id_ranges.get(plane_key(index), (0, 0))[0]

    def note_used_id(self, used_id: int) -> None:
        """Record an id that was used elsewhere."""
        if self._max_id is not None:
            self._max_id = max(self._max_id, used_id)

    def write(
        self,
        data: NDArray[np.int32],
        index: LabelsIndex,
        labels: NDArray[np.int32],
        inside: NDArray[np.bool_] | None,
    ) -> None:
        """Write the nuclei of a plane into the array.

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
        plane, count = data[index], int(labels.max(initial=0))
        if self._max_id is None:
            self._max_id = _max_id_outside_plane(data, plane)
        start, size = self._id_ranges.get(plane_key(index), (self._max_id, 0))
        max_outside = 0 if inside is None else int(plane.max(initial=0, where=~inside))
        offset = max(start, max_outside)
        if offset + count > start + size:
            if start + size != self._max_id:
                start = offset = self._max_id
            size = offset + count - start
        if start + size > MAX_LABEL_ID:
            raise UserError("These labels have used up all ids: segment into a new layer.")
        self._id_ranges[plane_key(index)] = start, size
        self._max_id = max(self._max_id, start + size)
        paste_labels(labels, inside, plane, offset)


def index_plane_axes(index: LabelsIndex) -> tuple[int, int]:
    """Return the two axes of the plane of an index; of a volume those of its slices."""
    *_, rows, columns = index_axes(index)
    return rows, columns


def index_axes(index: LabelsIndex) -> list[int]:
    """Return the axes that an index has whole: two of a plane, three of a volume."""
    return [axis for axis, at in enumerate(index) if isinstance(at, slice)]


def plane_key(index: LabelsIndex) -> tuple[int | None, ...]:
    """Convert an index to a key: None for the axes of the plane or volume."""
    return tuple(None if isinstance(at, slice) else at for at in index)


def crop_plane_index(index: LabelsIndex, box: tuple[slice, ...]) -> LabelsIndex:
    """Return the index of a box of a plane or volume."""
    parts = iter(box)
    return tuple(next(parts) if isinstance(at, slice) else at for at in index)


def _max_id_outside_plane(data: NDArray[Any], plane: NDArray[Any]) -> int:
    """Return the largest value of an array without one of its planes, which is a view of it."""
    saved = plane.copy()
    plane[...] = 0
    largest = int(data.max(initial=0))
    plane[...] = saved
    return largest
