"""The table of a labels layer: one row a nucleus, which follows what happens to the labels."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import axis_letters
from napari_nuclei_unet.arrays.boxes import Box
from napari_nuclei_unet.widgets.common.key_bindings import bare
from napari_nuclei_unet.widgets.layers.edit_history import Edit, History, crosses
from napari_nuclei_unet.widgets.layers.feature_rows import (
    Rows,
    as_boxes,
    joined,
    meeting,
    spread,
    taken,
)
from napari_nuclei_unet.widgets.layers.geometry import world_of
from napari_nuclei_unet.widgets.layers.label_ids import Index, axes_of, key_of
from napari_nuclei_unet.widgets.layers.measurements import Behind, Found, measured

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
    history : History
        Of the labels.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)
        self.planes: dict[tuple[int | None, ...], Plane] = {}
        self.history = History(layer, self._on_changed)
        self._data = weakref.ref(layer.data)
        # rows of nuclei as they were, so that undo brings back all of them
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._own: set[str] = set()  # columns that were published
        layer.events.data.connect(self._on_data)

    @property
    def layer(self) -> Labels:
        """The labels."""
        layer = self._layer()
        assert layer is not None
        return layer

    def plane(self, index: Index) -> Plane | None:
        """Give what was measured of a plane."""
        return self.planes.get(key_of(index))

    # what is measured

    def take(
        self, index: Index, behind: Behind, found: Found, above: int = 0, anew: bool = True
    ) -> None:
        """Take the measurements of all nuclei of a plane; :meth:`publish` shows them.

        Parameters
        ----------
        index : tuple of int and slice
        behind : Behind
        found
            As from :func:`measured`.
        above : int, optional
            Is added to the labels.
        anew : bool, optional
            Whether the labels are new: else what is known of nuclei that are as they were, and
            cannot be measured, stays.
        """
        rows, places = found
        states = np.full(rows["label"].size, UNSEEN, object)
        made = {**rows, "label": rows["label"] + above, STATE: states}
        before, plane = self.plane(index), Plane(index, behind, made, places)
        self.planes[key_of(index)] = plane
        self._known.clear()  # the image may be another one
        if before is not None:
            plane.rows = self._kept(before, plane, anew)
        self.history.settle()

    def _kept(self, before: Plane, plane: Plane, anew: bool) -> Rows:
        """Give rows of a plane the state, and lost measurements, of those of before."""
        rows, old = plane.rows, before.rows
        if anew and not (old[STATE] == ACCEPTED).any():
            return rows
        known = {mark: row for row, mark in enumerate(self._marks(before, old))}
        lost = [] if anew else [name for name in old if name not in rows or _unknown(rows[name])]
        rows = {**rows, **{name: np.full(rows["label"].size, np.nan) for name in lost}}
        for row, mark in enumerate(self._marks(plane, rows)):
            if (at := known.get(mark)) is None:
                continue
            if not anew or old[STATE][at] == ACCEPTED:
                rows[STATE][row] = old[STATE][at]
            for name in lost:
                rows[name][row] = old[name][at]
        return rows

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

    def recheck(
        self, index: Index, box: Box, ids: NDArray[np.integer] | None = None, state: str = EDITED
    ) -> None:
        """Measure nuclei of a plane again, if it has been measured.

        Parameters
        ----------
        index : tuple of int and slice
        box : (slice, slice)
            Around what has changed, in pixels of the plane.
        ids : ndarray, integer, optional
            Which nuclei; without, all that are, or were, in the box.
        state : str, optional
            Of those that are not as they were.
        """
        plane = self.plane(index)
        if plane is None:
            return
        if ids is None:
            now = np.unique(self._read(index, box))
            ids = np.union1d(now[now > 0], plane.rows["label"][meeting(plane.boxes, box)])
        old = np.isin(plane.rows["label"], ids)
        region = spread(box, plane.boxes[old])
        labels = self._read(index, region)
        labels = np.where(np.isin(labels, ids), labels, 0)
        rows, places = measured(plane.behind, labels, region)
        rows = self._carried(plane, taken(plane.rows, old), rows, state)
        plane.rows, order = joined(taken(plane.rows, ~old), rows)
        plane.boxes = np.concatenate([plane.boxes[~old], places])[order]

    def _carried(self, plane: Plane, old: Rows, new: Rows, state: str) -> Rows:
        """Give rows that were measured again what is not measured, and what was known before."""
        for row, mark in enumerate(self._marks(plane, old)):
            self._known[mark] = {name: column[row] for name, column in old.items()}
        sure = dict(zip(old["label"].tolist(), old[CONFIDENCE], strict=True))
        new = {name: column.copy() for name, column in new.items()}
        new[STATE] = np.full(new["label"].size, state, object)
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
        """Fill ``features`` of the layer, if anything has been measured; columns of others stay."""
        if not self.planes:
            return
        layer, made = self.layer, self.columns()
        before = layer.features
        others = [name for name in before if name not in made and name not in self._own]
        self._own = set(made)
        if others and "index" in before:
            rows = before.drop_duplicates("index").set_index("index")[others]
            found = rows.reindex(made["index"])
            made |= {name: found[name].to_numpy() for name in others}
        layer.features = made

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
        axes = axes_of(plane.index)
        hidden = {axis: at for axis, at in enumerate(plane.index) if not isinstance(at, slice)}
        place = np.zeros((labels.size, len(plane.index)))
        for axis, at in hidden.items():
            place[:, axis] = at
        place[:, axes] = np.stack([rows["centroid_y"], rows["centroid_x"]], axis=1)
        world = place @ linear.T + origin
        rows["centroid_y"], rows["centroid_x"] = world[:, axes[0]], world[:, axes[1]]
        shape = self.layer.data.shape
        letters = axis_letters(self.layer.axis_labels, axes).lower()
        where = {
            letters[axis]: np.full(labels.size, at)
            for axis, at in hidden.items()
            if shape[axis] > 1
        }
        return {"index": labels, **where, **rows}

    # what happens to the labels

    def _on_changed(self, edits: Sequence[Edit]) -> None:
        """Measure again what was edited, undone, or done again."""
        crossed = False
        for plane in list(self.planes.values()):
            crossing = [edit for edit in edits if crosses(edit.box, plane.index)]
            if not crossing:
                continue
            crossed = True
            ids = np.array(sorted(frozenset().union(*(edit.ids for edit in crossing))))
            parts = [_in_plane(edit.box, plane.index) for edit in crossing]
            self.recheck(plane.index, spread(parts[0], as_boxes(parts)), ids[ids > 0])
        if crossed:
            self.publish()

    def _on_data(self, _: Any) -> None:
        """Forget everything about labels that were replaced."""
        if self.layer.data is self._data():
            return
        self._data = weakref.ref(self.layer.data)
        self.history.clear()
        if self.planes:
            self.planes.clear()
            self.layer.features = self.columns()


def _in_plane(box: tuple[slice, ...], index: Index) -> Box:
    rows, columns = axes_of(index)
    return box[rows], box[columns]


def within(index: Index, box: Box) -> Index:
    """Index of a box of a plane."""
    parts = iter(box)
    return tuple(next(parts) if isinstance(at, slice) else at for at in index)


def _unknown(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all()) and column.size > 0


_tables: weakref.WeakKeyDictionary[Labels, Table] = weakref.WeakKeyDictionary()


def table_of(layer: Labels) -> Table:
    """Give the table of a labels layer; a new one, if it has none."""
    layer = bare(layer)
    if layer not in _tables:
        _tables[layer] = Table(layer)
    return _tables[layer]
