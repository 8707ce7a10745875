"""The features table of a labels layer: one row per nucleus, kept up to date with its labels."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...arrays.boxes import enclose_boxes, stack_boxes
from .edit_history import EditHistory, LayerEdit, box_intersects_plane
from .foreign_columns import ForeignColumns
from .geometry import full_resolution_data, pixel_to_world
from .label_ids import LabelsIndex, crop_plane_index, index_axes, plane_key
from .measure_queue import MeasureQueue, UnmeasuredPlane
from .measurements import Measurable, box_columns, measure_box
from .placement import GEOMETRY_ATTRIBUTES
from .plane_features import (
    CONFIDENCE_COLUMN,
    EDITED,
    STATE_COLUMN,
    UNREVIEWED,
    PlaneFeatures,
    carry_over_states,
    find_changed_labels,
    nucleus_keys,
    sort_rows,
)
from .world_rows import build_world_table

if TYPE_CHECKING:
    import pandas as pd


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
    queue : MeasureQueue
        Planes that are not measured yet; who asks for their rows measures them.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)
        self.planes: dict[tuple[int | None, ...], PlaneFeatures] = {}
        self.history = EditHistory(layer, self._on_changed, self._on_replaced)
        self.queue = MeasureQueue(self)
        # rows of nuclei before edits, so that undo restores every column
        self._known_rows: dict[str, dict[str, Any]] = {}
        self._foreign = ForeignColumns()
        self._published: pd.DataFrame | None = None  # None: it is outdated
        for name in GEOMETRY_ATTRIBUTES:
            layer.events[name].connect(self._on_moved)

    @property
    def layer(self) -> Labels:
        """The labels layer."""
        layer = self._layer()
        assert layer is not None
        return layer

    @property
    def is_gone(self) -> bool:
        """Whether the labels were removed and collected; Qt may still deliver events of theirs."""
        return self._layer() is None

    def plane(self, index: LabelsIndex) -> PlaneFeatures | None:
        """Return the features of a plane, if it was measured, or waits for it."""
        self._flush(index)
        return self.planes.get(plane_key(index))

    def measure_now(self) -> None:
        """Measure the planes that wait, and show the table, before somebody acts on its rows."""
        self._flush()
        self.publish_changes()

    def _flush(self, index: LabelsIndex | None = None) -> None:
        if self.queue.waiting:
            self.queue.flush(index)

    def read_plane(self, index: LabelsIndex) -> NDArray[Any]:
        """Return the labels of a plane, not a copy; empty if the layer no longer has it."""
        data = full_resolution_data(self.layer)
        try:
            if data.ndim == len(index):
                return np.asarray(data[index])
        except IndexError:
            pass  # its axes are shorter
        return np.zeros((0, 0), np.int32)

    # measuring

    def set_measurements(
        self,
        index: LabelsIndex,
        measurement_source: Measurable,
        rows: pd.DataFrame,
        id_offset: int = 0,
        labels_are_new: bool = True,
    ) -> None:
        """Set the measurements of all nuclei of a plane, which need not wait any more.

        :meth:`publish` shows them.

        Parameters
        ----------
        index : tuple of int and slice
        measurement_source : Measurable
        rows : pandas.DataFrame
            As from :func:`measure_box`.
        id_offset : int, optional
            Is added to the labels.
        labels_are_new : bool, optional
            Whether the labels are new; else unchanged nuclei keep the values that cannot be
            measured.
        """
        states = rows[STATE_COLUMN].fillna(UNREVIEWED) if STATE_COLUMN in rows else UNREVIEWED
        columns = {"label": rows["label"] + id_offset, STATE_COLUMN: states}
        plane = PlaneFeatures(index, measurement_source, rows.assign(**columns))
        before = self.planes.get(plane_key(index))
        self.planes[plane_key(index)] = plane
        self.queue.discard(index)
        self._published = None
        self._known_rows.clear()  # the image may be a different one
        if before is not None:
            carry_over_states(before, plane, labels_are_new)
            if labels_are_new and self._foreign.are_in(self.layer.features, plane.rows):
                self._foreign.forget(find_changed_labels(before, plane))
        self.history.update_known_values()

    def set_state(self, plane: PlaneFeatures, label: int, state: str) -> None:
        """Set the state of a nucleus."""
        if (row := plane.row(label)) is not None:
            plane.rows.loc[row, STATE_COLUMN] = state
            self.publish()

    def relabel(self, index: LabelsIndex, ids: NDArray[np.integer]) -> None:
        """Relabel the nuclei of a plane: ``ids[old]`` is the new id, and 0 of those that go."""
        if (plane := self.plane(index)) is None:
            return
        labels = ids[plane.rows["label"]].astype(np.int64)
        self._foreign.relabel(dict(zip(plane.rows["label"], labels.tolist(), strict=True)))
        rows = plane.rows.assign(label=labels)
        plane.rows, self._published = sort_rows(rows[rows["label"] > 0]), None

    def measure_again(self, index: LabelsIndex) -> None:
        """Measure a plane again soon, which has new nuclei beside its own."""
        if (plane := self.planes.get(plane_key(index))) is not None:
            self.queue.put(self._again(plane), delay=0)

    @staticmethod
    def _again(plane: PlaneFeatures) -> UnmeasuredPlane:
        source = plane.measurement_source
        return UnmeasuredPlane(plane.index, source, source, labels_are_new=False)

    def _remeasure(
        self, plane: PlaneFeatures, box: tuple[slice, ...], ids: NDArray[np.integer]
    ) -> None:
        """Measure nuclei again, around the box of pixels that have changed."""
        import pandas as pd  # takes longer to load than a dock

        old = plane.rows["label"].isin(ids)
        region = enclose_boxes(box, plane.boxes[old])
        labels = self._read(plane.index, region)
        labels = np.where(np.isin(labels, ids), labels, 0)
        rows = measure_box(plane.measurement_source, labels, region)
        rows = self._carry_over_values(plane, plane.rows[old], rows)
        plane.rows, self._published = sort_rows(pd.concat([plane.rows[~old], rows])), None

    def _carry_over_values(
        self, plane: PlaneFeatures, old: pd.DataFrame, new: pd.DataFrame
    ) -> pd.DataFrame:
        """Return remeasured rows with the columns that are not measured, or known from before."""
        import pandas as pd  # takes longer to load than a dock

        self._remember(plane, old)
        lost = [name for name in old if name not in new]  # the image is gone
        new = new.reindex(columns=[*new, *lost]).assign(**{STATE_COLUMN: EDITED})
        confidences = dict(zip(old["label"], old[CONFIDENCE_COLUMN], strict=True))
        new[CONFIDENCE_COLUMN] = new[CONFIDENCE_COLUMN].fillna(new["label"].map(confidences))
        rows = [
            row | self._known_rows.get(key, {})
            for key, row in zip(nucleus_keys(plane, new), new.to_dict("records"), strict=True)
        ]
        return pd.DataFrame(rows, columns=new.columns).astype(new.dtypes)

    def _remember(self, plane: PlaneFeatures, rows: pd.DataFrame) -> None:
        """Keep rows that are about to change, for an undo."""
        records = rows.drop(columns=box_columns(plane.ndim)).to_dict("records")
        self._known_rows |= zip(nucleus_keys(plane, rows), records, strict=True)

    def _read(self, index: LabelsIndex, box: tuple[slice, ...]) -> NDArray[Any]:
        return np.asarray(self.layer.data[crop_plane_index(index, box)])

    # publishing

    def publish(self) -> None:
        """Set ``features`` of the layer, if any plane was measured; foreign columns stay."""
        if not self.planes:
            return
        layer = self.layer
        layer.features = self._foreign.join(self._build_table(), layer.features)
        self._published = layer.features

    def publish_changes(self) -> None:
        """Set ``features`` of the layer, if they are outdated."""
        if self._published is None and not self.is_gone:
            self.publish()

    def _publish_kept(self, is_kept: NDArray[np.bool_]) -> None:
        """Drop rows of the published table, where that is what building it anew would give."""
        layer, published = self.layer, self._published
        if published is None or layer.features is not published:
            self.publish()
            return
        layer.features = published[is_kept].reset_index(drop=True)
        self._published = layer.features

    def world_table(self) -> pd.DataFrame:
        """Build the table of all planes, with the columns of others; measure those that wait."""
        self.measure_now()
        return self._foreign.join(self._build_table(), self.layer.features)

    def _build_table(self) -> pd.DataFrame:
        planes = [(plane.index, plane.rows) for plane in self.planes.values()]
        return build_world_table(self.layer, planes)

    # events of the labels

    def _on_changed(self, edits: Sequence[LayerEdit]) -> None:
        """Update the rows of the nuclei of edits that were made, undone or redone."""
        self._flush()
        kept = [self._update_rows(plane, edits) for plane in list(self.planes.values())]
        masks = [mask for mask in kept if mask is not None]
        if len(masks) < len(kept):
            self.publish()
        elif masks and not (is_kept := np.concatenate(masks)).all():
            self._publish_kept(is_kept)

    def _update_rows(
        self, plane: PlaneFeatures, edits: Sequence[LayerEdit]
    ) -> NDArray[np.bool_] | None:
        """Update the rows of a plane; return which were kept, or None if some were measured."""
        own_edits = [edit for edit in edits if box_intersects_plane(edit.box, plane.index)]
        is_kept = np.ones(len(plane.rows), bool)
        if not own_edits:
            return is_kept
        ids = sorted(frozenset().union(*(edit.ids for edit in own_edits)) - {0})
        if all(edit.erases for edit in own_edits) and (rows := self._rows_of_gone(plane, ids)):
            is_kept[rows] = False
            self._remember(plane, plane.rows[~is_kept])
            plane.rows = plane.rows[is_kept].reset_index(drop=True)
            return is_kept
        boxes = [_own_box(edit.box, plane.index) for edit in own_edits]
        self._remeasure(plane, enclose_boxes(boxes[0], stack_boxes(boxes)), np.array(ids, int))
        return None

    def _rows_of_gone(self, plane: PlaneFeatures, ids: list[int]) -> list[int]:
        """Return the rows of nuclei that have no pixel left; none, if any nucleus has some."""
        labels = plane.rows["label"].to_numpy()
        rows = np.searchsorted(labels, ids)
        if rows.max(initial=0) == labels.size or (labels[rows] != ids).any():
            return []
        for label, row in zip(ids, rows.tolist(), strict=True):
            if (self._read(plane.index, plane.box(row)) == label).any():
                return []
        return rows.tolist()

    def _on_moved(self, _: Any) -> None:
        self._published = None  # its centroids are where the layer was
        edges = np.linalg.norm(pixel_to_world(self.layer)[1], axis=0)
        known = {key: self._again(plane) for key, plane in self.planes.items()}
        for plane in (known | self.queue.waiting).values():
            spacing = tuple(edges[list(index_axes(plane.index))].tolist())
            if not np.allclose(spacing, plane.measurement_source.spacing, atol=0):
                self.queue.put(plane.with_spacing(spacing))

    def _on_replaced(self) -> None:
        """Drop the features of labels that were replaced."""
        self.queue.clear()
        self._known_rows.clear()
        if self.planes:
            self.planes.clear()
            self.layer.features = self._build_table()


def _own_box(box: tuple[slice, ...], index: LabelsIndex) -> tuple[slice, ...]:
    """Return the part of a box of the labels along the axes of a plane or volume."""
    return tuple(box[axis] for axis in index_axes(index))
