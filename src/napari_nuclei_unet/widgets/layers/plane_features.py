"""The nuclei of one plane, or of one volume, of a labels layer, as they were measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...arrays.boxes import Box
from .label_ids import LabelsIndex, plane_key
from .measurements import Measurable, box_columns, centroid_columns, size_column

if TYPE_CHECKING:
    import pandas as pd

UNREVIEWED, ACCEPTED, EDITED = "", "accepted", "edited"
# Columns that are not measured in pixels.
STATE_COLUMN, CONFIDENCE_COLUMN = "state", "confidence"


@dataclass(frozen=True)
class NucleusPlace:
    """Where a nucleus is shown: a plane, and its box there.

    Attributes
    ----------
    index : tuple of int and slice
        Of the plane.
    box : (slice, slice)
        In pixels of the plane.
    """

    index: LabelsIndex
    box: Box


@dataclass(eq=False)
class PlaneFeatures:
    """The nuclei of one plane, or of one volume, where a nucleus is one object along z.

    Attributes
    ----------
    index : tuple of int and slice
        In the labels: two slices of a plane, three of a volume.
    measurement_source : Measurable
    rows : pandas.DataFrame
        As from :func:`measure_box`, by ascending label, and the column ``state``.
    """

    index: LabelsIndex
    measurement_source: Measurable
    rows: pd.DataFrame

    @property
    def ndim(self) -> int:
        """Number of axes: 2 of a plane, 3 of a volume."""
        return len(self.measurement_source.shape)

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes of the nuclei, shape (n, 4) or (n, 6), as ``box_columns``."""
        return self.rows[box_columns(self.ndim)].to_numpy()

    def row(self, label: int) -> int | None:
        """Find the row of a nucleus, if there is one."""
        labels = self.rows["label"].to_numpy()
        row = int(np.searchsorted(labels, label))
        return row if row < labels.size and labels[row] == label else None

    def box(self, row: int) -> tuple[slice, ...]:
        """Return the box of the nucleus of a row."""
        first, last = np.split(self.boxes[row], 2)
        ends = zip(first.tolist(), last.tolist(), strict=True)
        return tuple(slice(low, high) for low, high in ends)

    def place(self, row: int) -> NucleusPlace:
        """Return where the nucleus of a row is shown: of a volume, in the slice of its centroid."""
        *through, rows, columns = self.box(row)
        index = self.index
        for part in through:
            centroid = round(float(self.rows[centroid_columns(self.ndim)[0]].iloc[row]))
            at = min(max(centroid, part.start), part.stop - 1)
            axis = next(n for n, one in enumerate(index) if isinstance(one, slice))
            index = (*index[:axis], at, *index[axis + 1 :])
        return NucleusPlace(index, (rows, columns))


def carry_over_states(before: PlaneFeatures, plane: PlaneFeatures, labels_are_new: bool) -> None:
    """Set the states, and lost measurements, of nuclei of a plane that were there before."""
    rows, old = plane.rows, before.rows
    if labels_are_new and not (old[STATE_COLUMN] == ACCEPTED).any():
        return
    known = old.set_axis(nucleus_keys(before, old))
    known = known[~known.index.duplicated(keep="last")].reindex(nucleus_keys(plane, rows))
    known.index = rows.index
    states = known[STATE_COLUMN]
    is_kept = states == ACCEPTED if labels_are_new else states.notna()
    rows[STATE_COLUMN] = states.where(is_kept, rows[STATE_COLUMN])
    if not labels_are_new:
        lost = [name for name in old if name not in rows or rows[name].isna().all()]
        rows[lost] = known[lost]


def find_changed_labels(before: PlaneFeatures, plane: PlaneFeatures) -> list[int]:
    """Return the labels of nuclei of before that are not the same nuclei now."""
    keys = set(nucleus_keys(plane, plane.rows))
    pairs = zip(before.rows["label"], nucleus_keys(before, before.rows), strict=True)
    return [label for label, key in pairs if key not in keys]


def sort_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by label, counted from 0."""
    return rows.sort_values("label", kind="stable", ignore_index=True)


def nucleus_keys(plane: PlaneFeatures, rows: pd.DataFrame) -> list[str]:
    """Return a key for each row, which changes with the pixels of the nucleus."""
    plane_at, pixel_size = plane_key(plane.index), np.prod(plane.measurement_source.spacing)
    sizes = (rows[size_column(plane.ndim)] / pixel_size).round().astype(int)
    columns = (rows["label"], sizes, *(rows[name] for name in centroid_columns(plane.ndim)))
    return [
        f"{plane_at} {label} {size} {' '.join(f'{at:.4f}' for at in centroid)}"
        for label, size, *centroid in zip(*columns, strict=True)
    ]
