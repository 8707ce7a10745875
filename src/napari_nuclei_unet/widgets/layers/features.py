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
from napari_nuclei_unet.widgets.common.key_bindings import unwrap_proxy
from napari_nuclei_unet.widgets.layers.edit_history import (
    EditHistory,
    LayerEdit,
    box_intersects_plane,
)
from napari_nuclei_unet.widgets.layers.feature_rows import (
    FeatureRows,
    enclose_boxes,
    find_overlapping_boxes,
    merge_rows,
    select_rows,
    stack_boxes,
)
from napari_nuclei_unet.widgets.layers.geometry import pixel_to_world
from napari_nuclei_unet.widgets.layers.label_ids import LabelsIndex, index_plane_axes, plane_key
from napari_nuclei_unet.widgets.layers.measurements import (
    BoxMeasurements,
    MeasurementSource,
    measure_box,
)

UNREVIEWED, ACCEPTED, EDITED = "", "accepted", "edited"
# Columns that are no measurements of pixels.
STATE_COLUMN, CONFIDENCE_COLUMN = "state", "confidence"


@dataclass(eq=False)
class PlaneFeatures:
    """The nuclei of one plane.

    Attributes
    ----------
    index : tuple of int and slice
        In the labels.
    measurement_source : Behind
    rows : dict of str to ndarray, shape (n,)
        As from ``core.measure.measure``, by rising label, and the column ``state``.
    boxes : ndarray, shape (n, 4), int
        First row and column of each nucleus, and those after its last.
    """

    index: LabelsIndex
    measurement_source: MeasurementSource
    rows: FeatureRows
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


class FeaturesTable:
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
        self.planes: dict[tuple[int | None, ...], PlaneFeatures] = {}
        self.history = EditHistory(layer, self._on_changed)
        self._data = weakref.ref(layer.data)
        # rows of nuclei as they were, so that undo brings back all of them
        self._known_rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._published_columns: set[str] = set()  # columns that were published
        layer.events.data.connect(self._on_data)

    @property
    def layer(self) -> Labels:
        """The labels."""
        layer = self._layer()
        assert layer is not None
        return layer

    def plane(self, index: LabelsIndex) -> PlaneFeatures | None:
        """Give what was measured of a plane."""
        return self.planes.get(plane_key(index))

    # what is measured

    def set_measurements(
        self,
        index: LabelsIndex,
        measurement_source: MeasurementSource,
        found: BoxMeasurements,
        id_offset: int = 0,
        labels_are_new: bool = True,
    ) -> None:
        """Take the measurements of all nuclei of a plane; :meth:`publish` shows them.

        Parameters
        ----------
        index : tuple of int and slice
        measurement_source : Behind
        found
            As from :func:`measure_box`.
        id_offset : int, optional
            Is added to the labels.
        labels_are_new : bool, optional
            Whether the labels are new: else what is known of nuclei that are as they were, and
            cannot be measured, stays.
        """
        rows, places = found
        states = np.full(rows["label"].size, UNREVIEWED, object)
        made = {**rows, "label": rows["label"] + id_offset, STATE_COLUMN: states}
        before, plane = self.plane(index), PlaneFeatures(index, measurement_source, made, places)
        self.planes[plane_key(index)] = plane
        self._known_rows.clear()  # the image may be another one
        if before is not None:
            plane.rows = self._carry_over_states(before, plane, labels_are_new)
        self.history.update_known_values()

    def _carry_over_states(
        self, before: PlaneFeatures, plane: PlaneFeatures, labels_are_new: bool
    ) -> FeatureRows:
        """Give rows of a plane the state, and lost measurements, of those of before."""
        rows, old = plane.rows, before.rows
        if labels_are_new and not (old[STATE_COLUMN] == ACCEPTED).any():
            return rows
        known = {mark: row for row, mark in enumerate(self._nucleus_keys(before, old))}
        lost = (
            []
            if labels_are_new
            else [name for name in old if name not in rows or _is_all_nan(rows[name])]
        )
        rows = {**rows, **{name: np.full(rows["label"].size, np.nan) for name in lost}}
        for row, mark in enumerate(self._nucleus_keys(plane, rows)):
            if (at := known.get(mark)) is None:
                continue
            if not labels_are_new or old[STATE_COLUMN][at] == ACCEPTED:
                rows[STATE_COLUMN][row] = old[STATE_COLUMN][at]
            for name in lost:
                rows[name][row] = old[name][at]
        return rows

    def set_state(self, plane: PlaneFeatures, label: int, state: str) -> None:
        """Say what has become of a nucleus."""
        if (row := plane.row(label)) is not None:
            plane.rows[STATE_COLUMN][row] = state
            self.publish()

    def relabel(self, index: LabelsIndex, ids: NDArray[np.integer]) -> None:
        """Let the nuclei of a plane have other ids: ``ids[old]`` is the new one."""
        if (plane := self.plane(index)) is None:
            return
        labels = ids[plane.rows["label"]].astype(np.int64)
        order = np.argsort(labels, kind="stable")
        plane.rows = select_rows({**plane.rows, "label": labels}, order)
        plane.boxes = plane.boxes[order]

    def remeasure(
        self,
        index: LabelsIndex,
        box: Box,
        ids: NDArray[np.integer] | None = None,
        state: str = EDITED,
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
            ids = np.union1d(
                now[now > 0], plane.rows["label"][find_overlapping_boxes(plane.boxes, box)]
            )
        old = np.isin(plane.rows["label"], ids)
        region = enclose_boxes(box, plane.boxes[old])
        labels = self._read(index, region)
        labels = np.where(np.isin(labels, ids), labels, 0)
        rows, places = measure_box(plane.measurement_source, labels, region)
        rows = self._carry_over_values(plane, select_rows(plane.rows, old), rows, state)
        plane.rows, order = merge_rows(select_rows(plane.rows, ~old), rows)
        plane.boxes = np.concatenate([plane.boxes[~old], places])[order]

    def _carry_over_values(
        self, plane: PlaneFeatures, old: FeatureRows, new: FeatureRows, state: str
    ) -> FeatureRows:
        """Give rows that were measured again what is not measured, and what was known before."""
        for row, mark in enumerate(self._nucleus_keys(plane, old)):
            self._known_rows[mark] = {name: column[row] for name, column in old.items()}
        sure = dict(zip(old["label"].tolist(), old[CONFIDENCE_COLUMN], strict=True))
        new = {name: column.copy() for name, column in new.items()}
        new[STATE_COLUMN] = np.full(new["label"].size, state, object)
        for name in old.keys() - new.keys():  # the image is gone
            new[name] = np.full(new["label"].size, np.nan)
        for row, mark in enumerate(self._nucleus_keys(plane, new)):
            if np.isnan(new[CONFIDENCE_COLUMN][row]):
                new[CONFIDENCE_COLUMN][row] = sure.get(int(new["label"][row]), np.nan)
            for name, value in self._known_rows.get(mark, {}).items():
                if name in new:
                    new[name][row] = value
        return new

    def _nucleus_keys(self, plane: PlaneFeatures, rows: FeatureRows) -> Iterator[tuple[Any, ...]]:
        """Tell a nucleus with these pixels from the same one with others."""
        key, size = plane_key(plane.index), np.prod(plane.measurement_source.spacing)
        pixels = np.round(rows["area"] / size).astype(int)
        columns = (pixels, *(rows[name] for name in ("label", "centroid_y", "centroid_x")))
        for area, label, y, x in zip(*columns, strict=True):
            yield key, int(label), int(area), f"{y:.4f}", f"{x:.4f}"

    def _read(self, index: LabelsIndex, box: Box) -> NDArray[Any]:
        return np.asarray(self.layer.data[crop_plane_index(index, box)])

    # what is shown

    def publish(self) -> None:
        """Fill ``features`` of the layer, if anything has been measured; columns of others stay."""
        if not self.planes:
            return
        layer, made = self.layer, self.columns()
        before = layer.features
        others = [
            name for name in before if name not in made and name not in self._published_columns
        ]
        self._published_columns = set(made)
        if others and "index" in before:
            rows = before.drop_duplicates("index").set_index("index")[others]
            found = rows.reindex(made["index"])
            made |= {name: found[name].to_numpy() for name in others}
        layer.features = made

    def columns(self) -> FeatureRows:
        """Give the table: ``index`` first, then the place on axes of planes, then measurements.

        Centroids are in the world, in the layer's units.
        """
        planes = list(self.planes.values())
        if not planes:
            return {"index": np.zeros(0, np.int64)}
        origin, linear = pixel_to_world(self.layer)
        each = [self._world_rows(plane, origin, linear) for plane in planes]
        names = list(dict.fromkeys(name for rows in each for name in rows))
        made: FeatureRows = {}
        for name in names:
            parts = [rows.get(name, np.full(rows["index"].size, np.nan)) for rows in each]
            made[name] = np.concatenate(parts)
        return made

    def _world_rows(
        self, plane: PlaneFeatures, origin: NDArray[np.floating], linear: NDArray[np.floating]
    ) -> FeatureRows:
        rows = dict(plane.rows)
        labels = rows.pop("label")
        axes = index_plane_axes(plane.index)
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

    def _on_changed(self, edits: Sequence[LayerEdit]) -> None:
        """Measure again what was edited, undone, or done again."""
        crossed = False
        for plane in list(self.planes.values()):
            crossing = [edit for edit in edits if box_intersects_plane(edit.box, plane.index)]
            if not crossing:
                continue
            crossed = True
            ids = np.array(sorted(frozenset().union(*(edit.ids for edit in crossing))))
            parts = [_plane_box(edit.box, plane.index) for edit in crossing]
            self.remeasure(plane.index, enclose_boxes(parts[0], stack_boxes(parts)), ids[ids > 0])
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


def _plane_box(box: tuple[slice, ...], index: LabelsIndex) -> Box:
    rows, columns = index_plane_axes(index)
    return box[rows], box[columns]


def crop_plane_index(index: LabelsIndex, box: Box) -> LabelsIndex:
    """Index of a box of a plane."""
    parts = iter(box)
    return tuple(next(parts) if isinstance(at, slice) else at for at in index)


def _is_all_nan(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all()) and column.size > 0


_tables: weakref.WeakKeyDictionary[Labels, FeaturesTable] = weakref.WeakKeyDictionary()


def get_features_table(layer: Labels) -> FeaturesTable:
    """Give the table of a labels layer; a new one, if it has none."""
    layer = unwrap_proxy(layer)
    if layer not in _tables:
        _tables[layer] = FeaturesTable(layer)
    return _tables[layer]
