"""What happens to the labels of a layer: edits, and that these are undone or done again.

napari has no event for undo and redo. So a few pixels of every step of its history are remembered,
and looked at again whenever the layer was drawn anew: an undo changes all pixels of its step.
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

from napari_nuclei_unet.widgets.layers.label_ids import Index

# What napari can undo, and redo; fewer where each look reads a file.
STEPS, STEPS_IN_FILES = 200, 20
# Pixels that are remembered of a step: of so many of its parts, so many each.
PARTS, EACH = 16, 4


@dataclass(eq=False)
class Edit:
    """A step of napari's history.

    Attributes
    ----------
    box : tuple of slice
        Around all of it, on every axis of the labels.
    ids : frozenset of int
        That pixels had before, or have after it.
    at : tuple of ndarray, shape (n,), int
        Some of its pixels.
    new, now : ndarray, shape (n,)
        What these got, and what is there.
    """

    box: tuple[slice, ...]
    ids: frozenset[int]
    at: tuple[NDArray[np.intp], ...]
    new: NDArray[Any]
    now: NDArray[Any]


class History:
    """Watches a layer.

    Parameters
    ----------
    layer : napari.layers.Labels
        Is not kept alive.
    changed : callable
        Is given the edits that were made, undone or done again.

    Attributes
    ----------
    used : int
        Largest id that was painted.
    complete : bool
        Whether ``used`` is at least every id that there is; who looks for these says so.
    """

    def __init__(self, layer: Labels, changed: Callable[[Sequence[Edit]], None]) -> None:
        self._layer, self._changed = weakref.ref(layer), changed
        in_memory = isinstance(layer.data, np.ndarray)
        self._edits: deque[Edit] = deque(maxlen=STEPS if in_memory else STEPS_IN_FILES)
        self._awaited: list[Edit] = []
        self.used, self.complete = 0, False
        layer.events.paint.connect(self._on_paint)
        layer.events.labels_update.connect(self._on_updated)
        layer.events.set_data.connect(self._on_drawn)

    def crosses(self, index: Index) -> bool:
        """Whether a plane has been edited."""
        return any(crosses(edit.box, index) for edit in self._edits)

    def settle(self) -> None:
        """Take what is there now for known: the program has written it."""
        self._awaited = []
        for edit in self._edits:
            edit.now = self._read(edit)

    def clear(self) -> None:
        """Forget all edits."""
        self._edits.clear()
        self._awaited = []

    @property
    def _data(self) -> Any:
        layer = self._layer()
        assert layer is not None
        return layer.data

    def _read(self, edit: Edit) -> NDArray[Any]:
        return np.asarray(self._data[edit.at])

    def _on_paint(self, event: Any) -> None:
        """Take note of an edit; napari may tell of it before it is made."""
        edit = _edit_of(event.value, self._data.shape)
        edit.now = self._read(edit)
        self.used = max(self.used, *edit.ids, 0)
        self._edits.append(edit)
        if np.array_equal(edit.now, edit.new):
            self._tell([edit])
        else:
            self._awaited.append(edit)

    def _on_updated(self, _: Any) -> None:
        if self._awaited:
            self._tell(self._awaited)

    def _on_drawn(self, _: Any) -> None:
        self._tell(self._awaited)

    def _tell(self, some: list[Edit]) -> None:
        """Tell of edits, and of those that are not as they were seen last."""
        others = [one for one in self._edits if one not in some and self._differs(one)]
        self._awaited = []
        if some or others:
            self.settle()
            self._changed([*some, *others])

    def _differs(self, edit: Edit) -> bool:
        return not np.array_equal(self._read(edit), edit.now)


def crosses(box: tuple[slice, ...], index: Index) -> bool:
    """Whether a box of the labels has pixels of a plane."""
    return all(
        isinstance(at, slice) or part.start <= at < part.stop
        for part, at in zip(box, index, strict=True)
    )


def _edit_of(atoms: Sequence[Any], shape: tuple[int, ...]) -> Edit:
    """Make one edit of what napari did at once."""
    boxes = [_box_of(atom, shape) for atom in atoms]
    box = tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
    ids = frozenset().union(*(_ids_of(atom) for atom in atoms))
    chosen = _evenly(len(atoms), PARTS)
    pixels = [_pixels_of(atoms[number], shape) for number in chosen]
    at = tuple(np.concatenate(axis) for axis in zip(*(one[0] for one in pixels), strict=True))
    new = np.concatenate([one[1] for one in pixels])
    return Edit(box, ids, at, new, new)


def _box_of(atom: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    if hasattr(atom, "slice_key"):
        return tuple(slice(*part.indices(n)) for part, n in zip(atom.slice_key, shape, strict=True))
    low_high = [(np.min(axis), np.max(axis)) for axis in _positive(atom[0], shape)]
    return tuple(slice(int(low), int(high) + 1) for low, high in low_high)


def _ids_of(atom: Any) -> set[int]:
    if hasattr(atom, "slice_key"):
        return {*_different(atom.old_values), int(atom.new_value)}
    return {*_different(atom[1]), *_different(atom[2])}


def _different(values: Any) -> set[int]:
    """Values that occur; fast where there is only one."""
    values = np.asarray(values)
    if not values.size:
        return set()
    low, high = values.min(), values.max()
    return {int(low)} if low == high else set(np.unique(values).tolist())


def _pixels_of(
    atom: Any, shape: tuple[int, ...]
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[Any]]:
    """Give some pixels of a part, and what they get."""
    if hasattr(atom, "slice_key"):
        starts = [part.start for part in _box_of(atom, shape)]
        wide = [part.stop - part.start for part in _box_of(atom, shape)]
        inside = np.arange(np.prod(wide)) if atom.mask is None else np.flatnonzero(atom.mask)
        flat = inside[_evenly(inside.size, EACH)]
        places = zip(np.unravel_index(flat, wide), starts, strict=True)
        return tuple(axis + start for axis, start in places), np.full(flat.size, atom.new_value)
    indices = _positive(atom[0], shape)
    chosen = _evenly(len(indices[0]), EACH)
    new = np.broadcast_to(atom[2], len(indices[0]))[chosen]
    return tuple(axis[chosen] for axis in indices), new


def _positive(indices: Any, shape: tuple[int, ...]) -> list[NDArray[np.intp]]:
    return [np.asarray(axis) % n for axis, n in zip(indices, shape, strict=True)]


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of the first ``count`` whole numbers, the first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))
