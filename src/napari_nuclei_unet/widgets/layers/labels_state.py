"""The state of a labels layer: ids, table, what was written, and what was edited since."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.boxes import bounding_box
from ...errors import UserError
from ...provenance.left_out_counts import LeftOutCounts
from ..common.key_bindings import unwrap_proxy
from ..common.lifetime import delete_with
from .checksum import array_crc32
from .features import FeaturesTable
from .geometry import full_resolution_data
from .label_ids import LabelIds, LabelsIndex, plane_key
from .saved_table import adopt_saved_table


class PlaneState(Enum):
    """What is in a plane of labels."""

    EMPTY = auto()
    WRITTEN = auto()  # by a run, and unchanged since
    EDITED = auto()  # by the user, since a run or without one


@dataclass(eq=False)
class WrittenPart:
    """Labels that a run has written: a plane, or a region of it.

    Attributes
    ----------
    index : tuple of int and slice
        Of the plane.
    inside : ndarray, shape of the plane, bool, or None
        The region; None: the whole plane.
    checksum : int
        Of the labels there, less ``id_offset``.
    id_offset : int
        Was added to the labels.
    """

    index: LabelsIndex
    inside: NDArray[np.bool_] | None
    checksum: int = 0
    id_offset: int = 0

    def is_unedited(self, labels: NDArray[np.integer]) -> bool:
        """Return whether the labels of the plane are still those that were written."""
        return self.checksum == self.compute_checksum(labels)

    def compute_checksum(self, labels: NDArray[np.integer]) -> int:
        """Compute the checksum of what the labels of the plane have in this part."""
        if self.inside is not None and labels.shape == self.inside.shape:
            box = bounding_box(self.inside)
            labels = np.where(self.inside[box], labels[box], 0)
        return checksum_labels(labels, self.id_offset)

    def covers_same_pixels(self, other: WrittenPart) -> bool:
        """Return whether another part has the same pixels."""
        if self.inside is None or other.inside is None:
            return self.inside is other.inside
        return np.array_equal(self.inside, other.inside)


def checksum_labels(labels: NDArray[np.integer], id_offset: int = 0) -> int:
    """Compute a checksum of labels, less an offset that was added to them."""
    kind = repr((labels.shape, labels.dtype.str)).encode()
    if id_offset:
        labels = np.where(labels > 0, labels.astype(np.int64) - id_offset, 0).astype(labels.dtype)
    return zlib.crc32(kind, array_crc32(labels))


class LabelsState:
    """What is known of a labels layer beside its pixels; one for each layer, as from :meth:`of`.

    Parameters
    ----------
    layer : napari.layers.Labels
        Is not kept alive.

    Attributes
    ----------
    features : FeaturesTable
    busy : str
        What a program does with the labels that forbids changing them, in words such as
        "joining slices"; empty: nothing.
    """

    def __init__(self, layer: Labels) -> None:
        self._ids: LabelIds | None = None
        self._parts: dict[tuple[int | None, ...], list[WrittenPart]] = {}
        self._left_out: dict[tuple[int | None, ...], LeftOutCounts] = {}
        self._writes = 0
        self.features = FeaturesTable(layer)
        adopt_saved_table(self.features)
        self.busy = ""
        layer.events.paint.connect(self._on_paint)
        delete_with(layer, self.features.queue)

    @staticmethod
    def of(layer: Labels) -> LabelsState:
        """Return the state of a layer; a new one, if it has none."""
        layer = unwrap_proxy(layer)
        if layer not in _states:
            _states[layer] = LabelsState(layer)
        return _states[layer]

    @property
    def layer(self) -> Labels:
        """The labels layer."""
        return self.features.layer

    @property
    def ids(self) -> LabelIds:
        """The ids of labels in memory; new ones, if the array was replaced."""
        if self._ids is None or not self._ids.belongs_to(self.layer.data):
            self._ids = LabelIds(self.layer.data)
        return self._ids

    @ids.setter
    def ids(self, ids: LabelIds) -> None:
        self._ids = ids

    @property
    def revision(self) -> int:
        """Number of times that labels were changed: by a run, a tool, undo, redo or replacing."""
        return self._writes + self.features.history.revision

    # what may be done

    def check_writable(self) -> None:
        """Raise an error if labels must not be changed now.

        Raises
        ------
        UserError
            If a program is busy with them, the user has locked them, or their array is read-only.
        """
        name = self.layer.name
        if self.busy:
            raise UserError(
                f"The labels '{name}' are busy: {self.busy}. Wait until that is done, or click "
                "Cancel."
            )
        if not self.layer.editable:
            raise UserError(
                f"The labels '{name}' are locked: unlock them, or remove or duplicate the layer."
            )

    # what was written

    def plane_state(self, index: LabelsIndex) -> PlaneState:
        """Return what is in a plane."""
        plane, parts = self.read_plane(index), self._parts_on(index)
        if not all(part.is_unedited(plane) for part in parts):
            return PlaneState.EDITED
        if any(part.inside is None for part in parts):
            return PlaneState.WRITTEN
        if isinstance(self.layer.data, np.ndarray) and _has_labels_outside(plane, parts):
            return PlaneState.EDITED
        return PlaneState.WRITTEN if parts else PlaneState.EMPTY

    @property
    def has_edits(self) -> bool:
        """Whether any plane was edited since it was written, or without a run."""
        parts, data = self._parts_on(None), full_resolution_data(self.layer)
        if not all(part.is_unedited(self.read_plane(part.index)) for part in parts):
            return True
        unwritten = np.asarray(data) != 0
        for part in parts:
            unwritten[part.index] &= False if part.inside is None else ~part.inside
        return bool(unwritten.any())

    @property
    def unedited_planes(self) -> list[tuple[int | None, ...]]:
        """Planes that are wholly as a run has written them, with None for the axes of the plane."""
        return [
            key
            for key, parts in self._parts.items()
            if any(part.inside is None for part in parts)
            and self.plane_state(parts[0].index) is PlaneState.WRITTEN
        ]

    def forget_written(self) -> None:
        """Forget what was written; the array is another."""
        self._parts.clear()
        self._left_out.clear()

    def note_left_out(self, part: WrittenPart, counts: LeftOutCounts) -> None:
        """Note what was left out when a part was written: all that is known of its plane."""
        self._left_out[plane_key(part.index)] = counts
        is_on_others = any(not part.covers_same_pixels(one) for one in self._parts_on(part.index))
        if part.inside is not None and is_on_others:
            del self._left_out[plane_key(part.index)]  # of which nuclei the others are is not known

    def count_left_out(self, planes: Iterable[tuple[int | None, ...]]) -> LeftOutCounts | None:
        """Count what was left out of planes; None if it is not known of all of them."""
        counts = [self._left_out.get(plane) for plane in planes]
        known = [count for count in counts if count is not None]
        return sum(known, LeftOutCounts()) if len(known) == len(counts) else None

    def read_plane(self, index: LabelsIndex) -> NDArray[Any]:
        """Return a plane of the layer, not a copy; empty if the layer no longer has it."""
        return self.features.read_plane(index)

    @contextmanager
    def writing(
        self, index: LabelsIndex | None = None, own: WrittenPart | None = None
    ) -> Iterator[None]:
        """Write labels inside the block: what was unedited before it is so after it, too.

        Parameters
        ----------
        index : tuple of int and slice, optional
            Of the plane that is written; by default any are.
        own : WrittenPart, optional
            Is marked by :meth:`mark_written` afterwards.
        """
        unedited = [
            part for part in self._parts_on(index)
            if part is not own and part.is_unedited(self.read_plane(part.index))
        ]  # fmt: skip
        yield
        self._writes += 1
        self.features.history.update_known_values()
        for part in unedited:
            self.mark_written(part)

    def mark_written(self, part: WrittenPart, checksum: int | None = None) -> None:
        """Mark the present labels of a part as those that were written.

        Parameters
        ----------
        part : WrittenPart
            Replaces one with the same pixels.
        checksum : int, optional
            Of the labels, counted from 1, of a whole plane, where a thread has computed it.
        """
        parts = self._parts.setdefault(plane_key(part.index), [])
        if part not in parts:
            parts[:] = [one for one in parts if not one.covers_same_pixels(part)] + [part]
        part.id_offset = self.ids.id_offset(part.index)
        if checksum is None or part.inside is not None or self.layer.data.dtype != np.int32:
            checksum = part.compute_checksum(self.read_plane(part.index))
        part.checksum = checksum

    def forget_edits(self, index: LabelsIndex) -> None:
        """Clear the undo history if it has steps of a plane that was written."""
        if self.features.history.intersects_plane(index):
            self.features.history.clear()

    def _parts_on(self, index: LabelsIndex | None) -> list[WrittenPart]:
        """Return the parts of a plane, or of all."""
        if index is None:
            return [part for parts in self._parts.values() for part in parts]
        return self._parts.get(plane_key(index), [])

    def _on_paint(self, event: Any) -> None:
        """Record the ids that the user paints with."""
        values = [getattr(atom, "new_value", atom[-1]) for atom in event.value]
        if self._ids is not None:
            self._ids.note_used_id(max((int(np.max(one, initial=0)) for one in values), default=0))


def _has_labels_outside(plane: NDArray[np.integer], parts: list[WrittenPart]) -> bool:
    """Return whether a plane has labels outside of all parts."""
    free = np.ones(plane.shape, bool)
    for part in parts:
        if part.inside is not None and part.inside.shape == plane.shape:
            free &= ~part.inside
    return bool(plane.any(where=free))


_states: weakref.WeakKeyDictionary[Labels, LabelsState] = weakref.WeakKeyDictionary()
