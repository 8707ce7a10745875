"""Corrections of the image that is shown, saved into its result."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from ...errors import UserError
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.export_result import build_export_result
from ..layers.labels_record import get_record_entries, set_record_entries
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import MAX_MEASURED_PIXELS
from ..layers.plane_features import STATE_COLUMN, UNREVIEWED
from ..project.projects import Projects
from .read_row import RowContent, checksum_planes

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...batch.corrections import SavedCorrections, StackPosition
    from ...batch.inputs import FileStamp


@dataclass(frozen=True)
class _SavedState:
    """What is in the files of a result: the planes of its labels, and the states of nuclei."""

    checksums: dict[StackPosition, int]
    states: dict[int, str]


class ShownResult:
    """Labels that were read from a result, and whether they were corrected since.

    Parameters
    ----------
    labels : napari.layers.Labels
    content : RowContent
        As they were read.
    """

    def __init__(self, labels: Labels, content: RowContent) -> None:
        assert content.stamp is not None
        self.labels, self.content = labels, content
        self.stamp: FileStamp = content.stamp  # of their file, as it was read or saved last
        self._state = LabelsState.of(labels)
        self._opened = content.checksums or {}
        self._saved = _SavedState(self._opened, self._read_states())

    @property
    def revision(self) -> int:
        """Changes with every edit."""
        return self._state.revision

    @property
    def needs_saving(self) -> bool:
        """Whether labels, or states of nuclei, are others than those in the files."""
        return isinstance(self.labels.data, np.ndarray) and self.read_state() != self._saved

    @property
    def corrected_planes(self) -> list[StackPosition]:
        """Planes that were corrected, now or before; that of a single plane has no position."""
        from ...batch.corrections import read_corrected_planes  # imports pandas
        from ...batch.ownership import CORRECTED_MARK

        record, present = get_record_entries(self.labels), checksum_planes(self.labels.data)
        changed = {at for at, checksum in present.items() if self._opened.get(at) != checksum}
        is_corrected_before = self.labels.ndim == 2 and record.get(CORRECTED_MARK)
        before = read_corrected_planes(record) | ({()} if is_corrected_before else set())
        return sorted(changed | before)

    def read_state(self) -> _SavedState:
        """Return the present state, for when it is saved."""
        return _SavedState(checksum_planes(self.labels.data), self._read_states())

    def note_saved(self, state: _SavedState, saved: SavedCorrections) -> None:
        """Note what is in the files by now."""
        self._saved, self.stamp = state, saved.stamp

    def _read_states(self) -> dict[int, str]:
        """Return the states of reviewed nuclei, by row: most have none."""
        states = self.labels.features.get(STATE_COLUMN)
        if states is None:
            return {}
        states = states.fillna(UNREVIEWED)
        return {int(row): str(states[row]) for row in states.index[states != UNREVIEWED]}


class SaveCorrectionsTask(Task):
    """Saves corrected labels, measured again, into the files that they were read from.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    shown : ShownResult

    Attributes
    ----------
    saved : SavedCorrections or None
        None: they were not saved.

    Raises
    ------
    UserError
        If the labels have another shape by now: they are none of the image.
    """

    has_parts = False

    def __init__(self, viewer: ViewerModel, shown: ShownResult) -> None:
        from ...batch.corrections import describe_corrections  # imports pandas

        row, read = shown.content.row, shown.content.labels
        if read is not None and tuple(shown.labels.data.shape) != tuple(read[0].shape):
            raise UserError(
                f"The labels of {row.short_title} have another shape now, so they are not saved "
                "into its result: save them in 'Review nuclei', and remove the layer."
            )
        self.title, self.begins = "", f"Saving the corrections of {row.short_title} …"
        self.saved: SavedCorrections | None = None
        self._viewer, self._shown, self._row = viewer, shown, row
        self._state = shown.read_state()
        result = build_export_result(viewer, shown.labels)
        labels = np.array(result.labels)  # a copy, as somebody may paint meanwhile
        planes = shown.corrected_planes
        self._entries = describe_corrections(labels, planes) if planes else {}
        self._result = replace(result, labels=labels, record=result.record | self._entries)

    def steps(self) -> Generator[Step, Stop, SavedCorrections]:
        """Write the files; runs in the thread."""
        from ...batch.corrections import save_corrections
        from ...batch.summary import SummaryRow
        from ...export.result import with_shapes

        yield Step(0, 1)
        row, result = self._row, self._result
        assert row.results is not None  # or there are no labels
        if math.prod(result.labels.shape) <= MAX_MEASURED_PIXELS:
            result = with_shapes(result)
        summary = row.summary or SummaryRow(str(row.item.location), str(row.results.known_labels))
        return save_corrections(row.results, result, self._shown.stamp, summary)

    def on_result(self, result: SavedCorrections) -> None:
        """Note that they are saved."""
        self.saved = result
        self._shown.note_saved(self._state, result)
        if self._entries:
            set_record_entries(self._shown.labels, **self._entries)
        journal = Projects.of(self._viewer).journal
        if not self._shown.needs_saving:  # or somebody has gone on meanwhile
            journal.mark_file_saved(self._shown.labels, has_labels=True, has_table=True)
        what = "Corrections" if self._entries else "Review"
        self.message = f"{what} of {self._row.short_title} saved."
        if result.notice:
            self.message += f" {result.notice}"
