"""The features table of a labels layer: one row per nucleus, kept up to date with its labels."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

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
from napari_nuclei_unet.widgets.layers.label_ids import LabelsIndex, index_plane_axes, plane_key
from napari_nuclei_unet.widgets.layers.measurements import (
    BoxMeasurements,
    MeasurementSource,
    measure_box,
)
from napari_nuclei_unet.widgets.layers.world_rows import build_world_table

UNREVIEWED, ACCEPTED, EDITED = "", "accepted", "edited"
# Columns that are not measured in pixels.
STATE_COLUMN, CONFIDENCE_COLUMN = "state", "confidence"


@dataclass(eq=False)
class PlaneFeatures:
    """The nuclei of one plane.

    Attributes
    ----------
    index : tuple of int and slice
        In the labels.
    measurement_source : MeasurementSource
    rows : dict of str to ndarray, shape (n,)
        As from :func:`~napari_nuclei_unet.labels.regionprops.measure`, by ascending label, and the
        column ``state``.
    boxes : ndarray, shape (n, 4), int
        First row and column of each nucleus, and those after its last.
    """

    index: LabelsIndex
    measurement_source: MeasurementSource
    rows: FeatureRows
    boxes: NDArray[np.int64]

    def row(self, label: int) -> int | None:
        """Find the row of a nucleus, if there is one."""
        labels = self.rows["label"]
        row = int(np.searchsorted(labels, label))
        return row if row < labels.size and labels[row] == label else None

    def box(self, row: int) -> Box:
        """Return the box of the nucleus of a row."""
        top, left, bottom, right = self.boxes[row].tolist()
        return slice(top, bottom), slice(left, right)


class FeaturesTable:
    """Keeps ``features`` of a labels layer up to date with its labels.

    Parameters
    ----------
    layer : napari.layers.Labels
        Is not kept alive.

    Attributes
    ----------
    planes : dict of tuple to PlaneFeatures
        Planes that were measured.
    history : EditHistory
        Of the labels.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)
        self.planes: dict[tuple[int | None, ...], PlaneFeatures] = {}
        self.history = EditHistory(layer, self._on_changed)
        self._data = weakref.ref(layer.data)
        # rows of nuclei before edits, so that undo restores every column
        self._known_rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._published_columns: set[str] = set()
        layer.events.data.connect(self._on_data)

    @property
    def layer(self) -> Labels:
        """The labels layer."""
        layer = self._layer()
        assert layer is not None
        return layer

    def plane(self, index: LabelsIndex) -> PlaneFeatures | None:
        """Return the features of a plane, if it was measured."""
        return self.planes.get(plane_key(index))

    # measuring

    def set_measurements(
        self,
        index: LabelsIndex,
        measurement_source: MeasurementSource,
        found: BoxMeasurements,
        id_offset: int = 0,
        labels_are_new: bool = True,
    ) -> None:
        """Set the measurements of all nuclei of a plane; :meth:`publish` shows them.

        Parameters
        ----------
        index : tuple of int and slice
        measurement_source : MeasurementSource
        found : tuple
            As from :func:`measure_box`.
        id_offset : int, optional
            Is added to the labels.
        labels_are_new : bool, optional
            Whether the labels are new; else unchanged nuclei keep the values that cannot be
            measured.
        """
        rows, boxes = found
        states = np.full(rows["label"].size, UNREVIEWED, object)
        rows = {**rows, "label": rows["label"] + id_offset, STATE_COLUMN: states}
        before, plane = self.plane(index), PlaneFeatures(index, measurement_source, rows, boxes)
        self.planes[plane_key(index)] = plane
        self._known_rows.clear()  # the image may be a different one
        if before is not None:
            plane.rows = self._carry_over_states(before, plane, labels_are_new)
        self.history.update_known_values()

    def _carry_over_states(
        self, before: PlaneFeatures, plane: PlaneFeatures, labels_are_new: bool
    ) -> FeatureRows:
        """Return rows of a plane with the states, and lost measurements, of those before."""
        rows, old = plane.rows, before.rows
        if labels_are_new and not (old[STATE_COLUMN] == ACCEPTED).any():
            return rows
        old_rows = {key: row for row, key in enumerate(_nucleus_keys(before, old))}
        lost = (
            []
            if labels_are_new
            else [name for name in old if name not in rows or _is_all_nan(rows[name])]
        )
        rows = {**rows, **{name: np.full(rows["label"].size, np.nan) for name in lost}}
        for row, key in enumerate(_nucleus_keys(plane, rows)):
            if (old_row := old_rows.get(key)) is None:
                continue
            if not labels_are_new or old[STATE_COLUMN][old_row] == ACCEPTED:
                rows[STATE_COLUMN][row] = old[STATE_COLUMN][old_row]
            for name in lost:
                rows[name][row] = old[name][old_row]
        return rows

    def set_state(self, plane: PlaneFeatures, label: int, state: str) -> None:
        """Set the state of a nucleus."""
        if (row := plane.row(label)) is not None:
            plane.rows[STATE_COLUMN][row] = state
            self.publish()

    def relabel(self, index: LabelsIndex, ids: NDArray[np.integer]) -> None:
        """Relabel the nuclei of a plane: ``ids[old]`` is the new id."""
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
            Around the changed pixels, in pixels of the plane.
        ids : ndarray, integer, optional
            Nuclei to measure; by default all that are, or were, in the box.
        state : str, optional
            Of nuclei that have changed.
        """
        plane = self.plane(index)
        if plane is None:
            return
        if ids is None:
            present = np.unique(self._read(index, box))
            ids = np.union1d(
                present[present > 0], plane.rows["label"][find_overlapping_boxes(plane.boxes, box)]
            )
        old = np.isin(plane.rows["label"], ids)
        region = enclose_boxes(box, plane.boxes[old])
        labels = self._read(index, region)
        labels = np.where(np.isin(labels, ids), labels, 0)
        rows, boxes = measure_box(plane.measurement_source, labels, region)
        rows = self._carry_over_values(plane, select_rows(plane.rows, old), rows, state)
        plane.rows, order = merge_rows(select_rows(plane.rows, ~old), rows)
        plane.boxes = np.concatenate([plane.boxes[~old], boxes])[order]

    def _carry_over_values(
        self, plane: PlaneFeatures, old: FeatureRows, new: FeatureRows, state: str
    ) -> FeatureRows:
        """Return remeasured rows with the columns that are not measured, or known from before."""
        for row, key in enumerate(_nucleus_keys(plane, old)):
            self._known_rows[key] = {name: column[row] for name, column in old.items()}
        confidences = dict(zip(old["label"].tolist(), old[CONFIDENCE_COLUMN], strict=True))
        new = {name: column.copy() for name, column in new.items()}
        new[STATE_COLUMN] = np.full(new["label"].size, state, object)
        for name in old.keys() - new.keys():  # the image is gone
            new[name] = np.full(new["label"].size, np.nan)
        for row, key in enumerate(_nucleus_keys(plane, new)):
            if np.isnan(new[CONFIDENCE_COLUMN][row]):
                new[CONFIDENCE_COLUMN][row] = confidences.get(int(new["label"][row]), np.nan)
            for name, value in self._known_rows.get(key, {}).items():
                if name in new:
                    new[name][row] = value
        return new

    def _read(self, index: LabelsIndex, box: Box) -> NDArray[Any]:
        return np.asarray(self.layer.data[crop_plane_index(index, box)])

    # publishing

    def publish(self) -> None:
        """Set ``features`` of the layer, if any plane was measured; foreign columns stay."""
        if not self.planes:
            return
        layer, columns = self.layer, self.columns()
        before = layer.features
        ours = self._published_columns | set(columns)
        foreign = [name for name in before if name not in ours]
        self._published_columns = set(columns)
        if foreign and "index" in before:
            rows = before.drop_duplicates("index").set_index("index")[foreign]
            rows = rows.reindex(columns["index"])
            columns |= {name: rows[name].to_numpy() for name in foreign}
        layer.features = columns

    def columns(self) -> FeatureRows:
        """Build the table that :meth:`publish` shows."""
        planes = [(plane.index, plane.rows) for plane in self.planes.values()]
        return build_world_table(self.layer, planes)

    # events of the labels

    def _on_changed(self, edits: Sequence[LayerEdit]) -> None:
        """Measure again the nuclei of edits that were made, undone or redone."""
        remeasured = False
        for plane in list(self.planes.values()):
            own_edits = [edit for edit in edits if box_intersects_plane(edit.box, plane.index)]
            if not own_edits:
                continue
            remeasured = True
            ids = np.array(sorted(frozenset().union(*(edit.ids for edit in own_edits))))
            boxes = [_plane_box(edit.box, plane.index) for edit in own_edits]
            self.remeasure(plane.index, enclose_boxes(boxes[0], stack_boxes(boxes)), ids[ids > 0])
        if remeasured:
            self.publish()

    def _on_data(self, _: Any) -> None:
        """Drop the features of labels that were replaced."""
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
    """Return the index of a box of a plane."""
    parts = iter(box)
    return tuple(next(parts) if isinstance(at, slice) else at for at in index)


def _nucleus_keys(plane: PlaneFeatures, rows: FeatureRows) -> Iterator[tuple[Any, ...]]:
    """Yield a key for each row, which changes with the pixels of the nucleus."""
    key, pixel_area = plane_key(plane.index), np.prod(plane.measurement_source.spacing)
    areas = np.round(rows["area"] / pixel_area).astype(int)
    columns = (areas, *(rows[name] for name in ("label", "centroid_y", "centroid_x")))
    for area, label, y, x in zip(*columns, strict=True):
        yield key, int(label), int(area), f"{y:.4f}", f"{x:.4f}"


def _is_all_nan(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all()) and column.size > 0


_tables: weakref.WeakKeyDictionary[Labels, FeaturesTable] = weakref.WeakKeyDictionary()


def get_features_table(layer: Labels) -> FeaturesTable:
    """Return the table of a labels layer; a new one, if it has none."""
    layer = unwrap_proxy(layer)
    if layer not in _tables:
        _tables[layer] = FeaturesTable(layer)
    return _tables[layer]
