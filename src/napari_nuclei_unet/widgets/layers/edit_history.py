"""Edits of the labels of a layer, and their undo and redo.

napari has no event for undo and redo. So a few pixels of every step of its history are remembered,
and compared whenever the layer is redrawn: an undo changes all pixels of its step.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from .array_reference import ArrayReference
from .geometry import full_resolution_data
from .label_ids import LabelsIndex

# Steps that napari can undo and redo; fewer where each comparison reads a file.
MAX_UNDO_STEPS, MAX_UNDO_STEPS_IN_FILES = 200, 20
# Of a step, at most so many parts are sampled, and at most so many pixels of each.
SAMPLED_PARTS_PER_EDIT, SAMPLED_PIXELS_PER_PART = 16, 4


@dataclass(eq=False)
class LayerEdit:
    """A step of napari's history.

    Attributes
    ----------
    box : tuple of slice
        Encloses the step, on every axis of the labels.
    ids : frozenset of int
        Of its pixels, before and after.
    erases : bool
        Whether all of its pixels became background.
    indices : tuple of ndarray, shape (n,), int
        Sampled pixels.
    new_values, current_values : ndarray, shape (n,)
        The values that the step wrote there, and the present ones.
    """

    box: tuple[slice, ...]
    ids: frozenset[int]
    erases: bool
    indices: tuple[NDArray[np.intp], ...]
    new_values: NDArray[Any]
    current_values: NDArray[Any]


class EditHistory:
    """Watches the edits of a labels layer.

    Parameters
    ----------
    layer : napari.layers.Labels
        Is not kept alive.
    changed : callable
        Is called with the edits that were made, undone or redone.
    replaced : callable
        Is called when the array of the layer is another, with nothing of the old one left here.

    Attributes
    ----------
    max_used_id : int
        Largest id that was painted.
    is_complete : bool
        Whether ``max_used_id`` is at least every id in the labels; set by whoever searches them.
    revision : int
        Number of times that labels were edited, by a tool, undo or redo, or replaced.
    """

    def __init__(
        self,
        layer: Labels,
        changed: Callable[[Sequence[LayerEdit]], None],
        replaced: Callable[[], None],
    ) -> None:
        self._layer, self._changed, self._replaced = weakref.ref(layer), changed, replaced
        self.revision = 0
        self._watch(full_resolution_data(layer))
        layer.events.paint.connect(self._on_paint)
        layer.events.labels_update.connect(self._on_updated)
        layer.events.set_data.connect(self._on_drawn)
        layer.events.data.connect(self._follow_array)

    def _watch(self, data: Any) -> None:
        """Begin with an array, of which no edit is known."""
        self._array = ArrayReference(data)
        in_memory = isinstance(data, np.ndarray)
        self._edits: deque[LayerEdit] = deque(
            maxlen=MAX_UNDO_STEPS if in_memory else MAX_UNDO_STEPS_IN_FILES
        )
        self._pending: list[LayerEdit] = []
        self.max_used_id, self.is_complete = 0, False

    def intersects_plane(self, index: LabelsIndex) -> bool:
        """Return whether a plane was edited."""
        self._follow_array()
        return any(box_intersects_plane(edit.box, index) for edit in self._edits)

    def update_known_values(self) -> None:
        """Read the present values again, after the program itself has written labels."""
        self._follow_array()
        self._pending = []
        for edit in self._edits:
            edit.current_values = self._read(edit)

    def clear(self) -> None:
        """Discard all edits, also for napari: undo would mix them with what was written since.

        Locking a layer for a moment is napari's way to do that.
        """
        layer, self.revision = self._layer(), self.revision + 1
        if layer is not None and layer.editable:
            mode = layer.mode
            layer.editable = False
            layer.editable = True
            layer.mode = mode
        self._edits.clear()
        self._pending = []

    def _follow_array(self, *_: object) -> None:
        """Begin anew, if the array of the layer is another: the steps of undo belong to the old.

        A layer is drawn before it says that it has other data: whatever happens asks here first.
        """
        layer = self._layer()
        if layer is None or self._array.is_to(data := full_resolution_data(layer)):
            return
        self._array = ArrayReference(data)  # first: what follows may draw the layer again
        self.clear()
        self._watch(data)
        self._replaced()

    @property
    def _data(self) -> Any:
        layer = self._layer()
        assert layer is not None
        return layer.data

    def _read(self, edit: LayerEdit) -> NDArray[Any]:
        return np.asarray(self._data[edit.indices])

    def _on_paint(self, event: Any) -> None:
        """Record an edit; napari may send the event before it is made."""
        self._follow_array()
        self.revision += 1
        edit = _merge_atoms(event.value, self._data.shape)
        edit.current_values = self._read(edit)
        self.max_used_id = max(self.max_used_id, *edit.ids, 0)
        self._edits.append(edit)
        if np.array_equal(edit.current_values, edit.new_values):
            self._report([edit])
        else:
            self._pending.append(edit)

    def _on_updated(self, _: Any) -> None:
        self._follow_array()
        if self._pending:
            self._report(self._pending)

    def _on_drawn(self, _: Any) -> None:
        self._follow_array()
        self._report(self._pending)

    def _report(self, new: list[LayerEdit]) -> None:
        """Report new edits, and those whose pixels have changed since."""
        changed = [edit for edit in self._edits if edit not in new and self._differs(edit)]
        self._pending = []
        if new or changed:
            self.revision += 1
            self.update_known_values()
            self._changed([*new, *changed])

    def _differs(self, edit: LayerEdit) -> bool:
        return not np.array_equal(self._read(edit), edit.current_values)


def box_intersects_plane(box: tuple[slice, ...], index: LabelsIndex) -> bool:
    """Return whether a box of the labels has pixels of a plane."""
    return all(
        isinstance(at, slice) or part.start <= at < part.stop
        for part, at in zip(box, index, strict=True)
    )


def _merge_atoms(atoms: Sequence[Any], shape: tuple[int, ...]) -> LayerEdit:
    """Merge the parts of one step of napari into an edit."""
    boxes = [_atom_box(atom, shape) for atom in atoms]
    box = tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
    new_ids = frozenset().union(*(_new_atom_ids(atom) for atom in atoms))
    ids = new_ids.union(*(_old_atom_ids(atom) for atom in atoms))
    samples = [
        _sample_atom(atoms[number], shape)
        for number in _sample_evenly(len(atoms), SAMPLED_PARTS_PER_EDIT)
    ]
    indices, values = zip(*samples, strict=True)
    merged = tuple(np.concatenate(axis) for axis in zip(*indices, strict=True))
    new = np.concatenate(values)
    return LayerEdit(box, ids, new_ids == {0}, merged, new, new)


def _atom_box(atom: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    if hasattr(atom, "slice_key"):
        return tuple(slice(*part.indices(n)) for part, n in zip(atom.slice_key, shape, strict=True))
    low_high = [(np.min(axis), np.max(axis)) for axis in _wrap_indices(atom[0], shape)]
    return tuple(slice(int(low), int(high) + 1) for low, high in low_high)


def _old_atom_ids(atom: Any) -> set[int]:
    return _unique_values(atom.old_values if hasattr(atom, "slice_key") else atom[1])


def _new_atom_ids(atom: Any) -> set[int]:
    return _unique_values(atom.new_value if hasattr(atom, "slice_key") else atom[2])


def _unique_values(values: Any) -> set[int]:
    """Return the distinct values; fast where there is only one."""
    values = np.asarray(values)
    if not values.size:
        return set()
    low, high = values.min(), values.max()
    return {int(low)} if low == high else set(np.unique(values).tolist())


def _sample_atom(
    atom: Any, shape: tuple[int, ...]
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[Any]]:
    """Return the indices of some pixels of a part, and their new values."""
    if hasattr(atom, "slice_key"):
        starts = [part.start for part in _atom_box(atom, shape)]
        extent = [part.stop - part.start for part in _atom_box(atom, shape)]
        inside = np.arange(np.prod(extent)) if atom.mask is None else np.flatnonzero(atom.mask)
        flat = inside[_sample_evenly(inside.size, SAMPLED_PIXELS_PER_PART)]
        offsets = zip(np.unravel_index(flat, extent), starts, strict=True)
        return tuple(axis + start for axis, start in offsets), np.full(flat.size, atom.new_value)
    indices = _wrap_indices(atom[0], shape)
    chosen = _sample_evenly(len(indices[0]), SAMPLED_PIXELS_PER_PART)
    new = np.broadcast_to(atom[2], len(indices[0]))[chosen]
    return tuple(axis[chosen] for axis in indices), new


def _wrap_indices(indices: Any, shape: tuple[int, ...]) -> list[NDArray[np.intp]]:
    return [np.asarray(axis) % n for axis, n in zip(indices, shape, strict=True)]


def _sample_evenly(count: int, max_count: int) -> NDArray[np.intp]:
    """Return at most ``max_count`` of the numbers below ``count``, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, max_count)).astype(np.intp))
