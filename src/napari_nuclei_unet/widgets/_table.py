"""The table of a labels layer: one row a nucleus, which follows what happens to the labels.

napari has no event for undo and redo. So the places of edits are remembered, with a checksum each,
and looked at again when the layer was drawn anew.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.core.regions import Box
from napari_nuclei_unet.widgets._behind import Behind, Found, measured
from napari_nuclei_unet.widgets._content import content_of
from napari_nuclei_unet.widgets._ids import Index, bare, key_of
from napari_nuclei_unet.widgets._rows import Rows, joined, meeting, spread, taken
from napari_nuclei_unet.widgets._view import world_of

# What napari can undo, and redo; fewer where each look reads a file.
STEPS, STEPS_IN_FILES = 200, 20
UNSEEN, ACCEPTED, EDITED = "", "accepted", "edited"
# Columns that are no measurements of pixels.
STATE, CONFIDENCE = "state", "confidence"


@dataclass(eq=False)
class Plane:
    """The nuclei of one plane.

    Attributes
    ----------
    index : tuple of int and slice
        In the labels.
    behind : Behind
    rows : dict of str to ndarray, shape (n,)
        As from ``core.measure.measure``, by rising label, and the column ``state``.
    boxes : ndarray, shape (n, 4), int
        First row and column of each nucleus, and those after its last.
    """

    index: Index
    behind: Behind
    rows: Rows
    boxes: NDArray[np.int64]

    def row(self, label: int) -> int | None:
        """Row of a nucleus, if there is one."""
        at = int(np.searchsorted(self.rows["label"], label))
        there = at < self.rows["label"].size and self.rows["label"][at] == label
        return at if there else None

    def box(self, row: int) -> Box:
        """Where the nucleus of a row is."""
        top, left, bottom, right = self.boxes[row].tolist()
        return slice(top, bottom), slice(left, right)


@dataclass(eq=False)
class _Touched:
    """A place that was edited, and what is there now."""

    index: Index
    box: Box
    content: int


class Table:
    """Keeps ``features`` of a labels layer in step with its labels.

    Parameters
    ----------
    layer : napari.layers.Labels
        Is not kept alive.

    Attributes
    ----------
    planes : dict
        What was measured.
    used : int
        An id up to which others may have been given.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)
        self.planes: dict[tuple[int | None, ...], Plane] = {}
        self.used = 0
        self._data = weakref.ref(layer.data)
        in_memory = isinstance(layer.data, np.ndarray)
        self._touched: deque[_Touched] = deque(maxlen=STEPS if in_memory else STEPS_IN_FILES)
        # rows of nuclei as they were, so that undo brings back all of them
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._awaited: list[_Touched] = []
        layer.events.paint.connect(self._on_paint)
        layer.events.labels_update.connect(self._on_updated)
        layer.events.set_data.connect(self._on_drawn)
        layer.events.data.connect(self._on_data)

    @property
    def layer(self) -> Labels:
        """The labels."""
        layer = self._layer()
        assert layer is not None
        return layer

    @property
    def largest(self) -> int:
        """Largest id that is known to be, or have been, in use; 0 without any."""
        each = (plane.rows["label"].max(initial=0) for plane in self.planes.values())
        return int(max(*each, self.used, 0))

    def plane(self, index: Index) -> Plane | None:
        """Give what was measured of a plane."""
        return self.planes.get(key_of(index))

    # what is measured

    def take(self, index: Index, behind: Behind, found: Found, above: int = 0) -> None:
        """Take the measurements of all nuclei of a plane; :meth:`publish` shows them.

        Parameters
        ----------
        index : tuple of int and slice
        behind : Behind
        found
            As from :func:`measured`.
        above : int, optional
            Is added to the labels.
        """
        rows, places = found
        states = np.full(rows["label"].size, UNSEEN, object)
        made = {**rows, "label": rows["label"] + above, STATE: states}
        before, plane = self.plane(index), Plane(index, behind, made, places)
        if before is not None and (before.rows[STATE] != UNSEEN).any():
            old = dict(zip(self._marks(before, before.rows), before.rows[STATE], strict=True))
            for row, mark in enumerate(self._marks(plane, made)):
                states[row] = old.get(mark, UNSEEN)
        self.planes[key_of(index)] = plane
        self._known.clear()  # the image may be another one

    def set_state(self, plane: Plane, label: int, state: str) -> None:
        """Say what has become of a nucleus."""
        if (row := plane.row(label)) is not None:
            plane.rows[STATE][row] = state
            self.publish()

    def relabel(self, index: Index, ids: NDArray[np.integer]) -> None:
        """Let the nuclei of a plane have other ids: ``ids[old]`` is the new one."""
        if (plane := self.plane(index)) is None:
            return
        labels = ids[plane.rows["label"]].astype(np.int64)
        order = np.argsort(labels, kind="stable")
        plane.rows = taken({**plane.rows, "label": labels}, order)
        plane.boxes = plane.boxes[order]

    def recheck(self, index: Index, box: Box) -> None:
        """Measure again what is, or was, in a box of a plane that has been measured."""
        plane = self.plane(index)
        if plane is None:
            return
        now = np.unique(self._read(index, box))
        near = plane.rows["label"][meeting(plane.boxes, box)]
        affected = np.union1d(now[now > 0], near)
        old = np.isin(plane.rows["label"], affected)
        region = spread(box, plane.boxes[old])
        labels = self._read(index, region)
        labels = np.where(np.isin(labels, affected), labels, 0)
        rows, places = measured(plane.behind, labels, region)
        rows = self._carried(plane, taken(plane.rows, old), rows)
        plane.rows, order = joined(taken(plane.rows, ~old), rows)
        plane.boxes = np.concatenate([plane.boxes[~old], places])[order]

    def _carried(self, plane: Plane, old: Rows, new: Rows) -> Rows:
        """Give rows that were measured again what is not measured, and what was known before."""
        for row, mark in enumerate(self._marks(plane, old)):
            self._known[mark] = {name: column[row] for name, column in old.items()}
        sure = dict(zip(old["label"].tolist(), old[CONFIDENCE], strict=True))
        new = {name: column.copy() for name, column in new.items()}
        new[STATE] = np.full(new["label"].size, EDITED, object)
        for name in old.keys() - new.keys():  # the image is gone
            new[name] = np.full(new["label"].size, np.nan)
        for row, mark in enumerate(self._marks(plane, new)):
            if np.isnan(new[CONFIDENCE][row]):
                new[CONFIDENCE][row] = sure.get(int(new["label"][row]), np.nan)
            for name, value in self._known.get(mark, {}).items():
                if name in new:
                    new[name][row] = value
        return new

    def _marks(self, plane: Plane, rows: Rows) -> Iterator[tuple[Any, ...]]:
        """Tell a nucleus with these pixels from the same one with others."""
        key, size = key_of(plane.index), np.prod(plane.behind.spacing)
        pixels = np.round(rows["area"] / size).astype(int)
        columns = (pixels, *(rows[name] for name in ("label", "centroid_y", "centroid_x")))
        for area, label, y, x in zip(*columns, strict=True):
            yield key, int(label), int(area), f"{y:.4f}", f"{x:.4f}"

    def _read(self, index: Index, box: Box) -> NDArray[Any]:
        return np.asarray(self.layer.data[within(index, box)])

    # what is shown

    def publish(self) -> None:
        """Fill ``features`` of the layer, if anything has been measured."""
        if self.planes:
            self.layer.features = self.columns()

    def columns(self) -> Rows:
        """Give the table: ``index`` first, then the place on axes of planes, then measurements.

        Centroids are in the world, in the layer's units.
        """
        planes = list(self.planes.values())
        if not planes:
            return {"index": np.zeros(0, np.int64)}
        origin, linear = world_of(self.layer)
        each = [self._in_world(plane, origin, linear) for plane in planes]
        names = list(dict.fromkeys(name for rows in each for name in rows))
        made: Rows = {}
        for name in names:
            parts = [rows.get(name, np.full(rows["index"].size, np.nan)) for rows in each]
            made[name] = np.concatenate(parts)
        return made

    def _in_world(
        self, plane: Plane, origin: NDArray[np.floating], linear: NDArray[np.floating]
    ) -> Rows:
        rows = dict(plane.rows)
        labels = rows.pop("label")
        hidden = [axis for axis, at in enumerate(plane.index) if not isinstance(at, slice)]
        axes = [axis for axis, at in enumerate(plane.index) if isinstance(at, slice)]
        place = np.zeros((labels.size, len(plane.index)))
        for axis, at in enumerate(plane.index):
            if not isinstance(at, slice):
                place[:, axis] = at
        place[:, axes] = np.stack([rows["centroid_y"], rows["centroid_x"]], axis=1)
        world = place @ linear.T + origin
        rows["centroid_y"], rows["centroid_x"] = world[:, axes[0]], world[:, axes[1]]
        shape = self.layer.data.shape
        where = {
            axis_letter(self.layer, axis): np.full(labels.size, plane.index[axis])
            for axis in hidden
            if shape[axis] > 1
        }
        return {"index": labels, **where, **rows}

    # what happens to the labels

    def _on_paint(self, event: Any) -> None:
        """Take note of an edit; napari may tell of it before it is made."""
        new = [
            _Touched(index, box, content_of(self._read(index, box)))
            for atom in event.value
            for index, box in places_of(atom, [plane.index for plane in self.planes.values()])
        ]
        made = all(_is_made(self.layer.data, atom) for atom in event.value)
        self._touched.extend(new)
        if made:
            self._check(new)
        else:
            self._awaited.extend(new)

    def _on_updated(self, _: Any) -> None:
        if self._awaited:
            new, self._awaited = self._awaited, []
            self._check(new)

    def _on_drawn(self, _: Any) -> None:
        """Look whether something was undone, or done again."""
        changed = [one for one in (*self._touched, *self._awaited) if self._differs(one)]
        self._awaited = []
        if changed:
            self._check(changed)

    def _differs(self, one: _Touched) -> bool:
        return content_of(self._read(one.index, one.box)) != one.content

    def _check(self, some: list[_Touched]) -> None:
        for one in some:
            self.recheck(one.index, one.box)
        for one in self._touched:  # boxes overlap
            one.content = content_of(self._read(one.index, one.box))
        self.publish()

    def _on_data(self, _: Any) -> None:
        """Forget everything about labels that were replaced."""
        if self.layer.data is self._data():
            return
        self._data = weakref.ref(self.layer.data)
        self._touched.clear()
        self._awaited = []
        if self.planes:
            self.planes.clear()
            self.layer.features = self.columns()


def within(index: Index, box: Box) -> Index:
    """Index of a box of a plane."""
    parts = iter(box)
    return tuple(next(parts) if isinstance(at, slice) else at for at in index)


def axis_letter(layer: Labels, axis: int) -> str:
    """Give an axis its own name, or the letter that the command line would give it."""
    name = layer.axis_labels[axis]
    if name.isalpha():
        return str(name).lower()
    return "tzpqrsuvw"[axis if layer.ndim > 3 else axis + 1]


def places_of(atom: Any, planes: list[Index]) -> Iterator[tuple[Index, Box]]:
    """Say which boxes of which planes a step of napari's history is of."""
    if hasattr(atom, "slice_key"):
        parts = atom.slice_key
    else:
        parts = [slice(int(np.min(at)), int(np.max(at)) + 1) for at in atom[0]]
    for index in planes:
        box = tuple(part for part, at in zip(parts, index, strict=True) if isinstance(at, slice))
        crossed = all(
            isinstance(at, slice) or part.start <= at < part.stop
            for part, at in zip(parts, index, strict=True)
        )
        if crossed:
            yield index, (box[0], box[1])


def _is_made(data: Any, atom: Any) -> bool:
    """Whether a step of napari's history is in the labels already."""
    if hasattr(atom, "slice_key"):
        here = np.asarray(data[atom.slice_key])
        return bool((here[... if atom.mask is None else atom.mask] == atom.new_value).all())
    return bool((np.asarray(data[atom[0]]) == atom[2]).all())


_tables: weakref.WeakKeyDictionary[Labels, Table] = weakref.WeakKeyDictionary()


def table_of(layer: Labels) -> Table:
    """Give the table of a labels layer; a new one, if it has none."""
    layer = bare(layer)
    if layer not in _tables:
        _tables[layer] = Table(layer)
    return _tables[layer]
