"""The review queue: nuclei one by one, the least confident first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from ...errors import UserError
from ..common.controls import Panel, create_button, fill_grid
from ..common.disabled_button import disable
from ..common.notify import name_controls, show_warning
from ..layers.array_reference import ArrayReference
from ..layers.features import FeaturesTable
from ..layers.geometry import full_resolution_data
from ..layers.label_edits import check_editable
from ..layers.label_ids import plane_key
from ..layers.labels_state import LabelsState
from ..layers.navigate import navigate_to_box
from ..layers.plane_features import (
    ACCEPTED,
    CONFIDENCE_COLUMN,
    STATE_COLUMN,
    UNREVIEWED,
    PlaneFeatures,
)
from ..session.session import Session
from . import edits as _editing
from .target_form import LABELS_NEEDED, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...provenance.project import ReviewPosition

NOT_MEASURED = "These nuclei are not measured yet: click Measure."
NO_PREVIOUS_NUCLEUS = "There is no nucleus to go back to."
ALL_REVIEWED = "All nuclei have been reviewed."
NO_CURRENT_NUCLEUS = "No nucleus is being reviewed: press N for the next doubtful one."


class ReviewQueue(Panel):
    """Steps through the nuclei that were not reviewed, the least confident first.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
    """

    def __init__(self, viewer: ViewerModel, target: TargetForm) -> None:
        super().__init__()
        self._viewer, self._target = viewer, target
        self._state: LabelsState | None = None  # of the labels that are reviewed
        self._current_nucleus: tuple[PlaneFeatures, int] | None = None
        self._previous_nuclei: list[tuple[PlaneFeatures, int]] = []  # shown before, the latest last
        # by plane, the ids that were shown and skipped
        self._skipped: defaultdict[Any, list[int]] = defaultdict(list)
        specs = (
            ("next_doubtful", "Next doubtful (N)", "Go to the most doubtful nucleus that is not "
             "reviewed yet.", self.next),
            ("back", "Back (U)", "Go back to the nucleus before; its acceptance is undone.",
             self.back),
            ("accept", "Accept (Y)", "This nucleus is right; go to the next one.", self.accept),
            ("remove", "Delete (Backspace)", "Delete this nucleus; go to the next one.",
             self.delete),
        )  # fmt: skip
        self._buttons = [create_button(*spec) for spec in specs]
        fill_grid(self, self._buttons)
        target.changed.connect(self.start_over)
        self.start_over()
        session = Session.of(viewer)
        session.review_position.connect(self, ReviewQueue.position, ReviewQueue.go_on)
        self._tour = session.review_tour
        self._tour.begun.connect(self._begin_tour)
        if self._tour.layer is not None:
            self._begin_tour(self._tour.layer)

    @property
    def keys(self) -> dict[str, Callable[..., None]]:
        """Key bindings."""
        return {"N": self.next, "U": self.back, "Y": self.accept, "Backspace": self.delete}

    def start_over(self, *_: object) -> None:
        """Forget which nucleus is shown, and which were skipped: other labels are chosen."""
        labels = self._target.value().labels
        # a new state watches edits from now on
        self._state = None if labels is None else LabelsState.of(labels)
        self._array = ArrayReference(None if labels is None else full_resolution_data(labels))
        self._current_nucleus = None
        self._previous_nuclei.clear()
        self._skipped.clear()
        for button in self._buttons:
            disable(button, LABELS_NEEDED if labels is None else "")

    def _follow_array(self) -> None:
        """Start over if the labels have another array, in which nothing was skipped."""
        state = self._state
        if state is not None and not self._array.is_to(full_resolution_data(state.layer)):
            self.start_over()

    def position(self) -> ReviewPosition | None:
        """Return how far the review is; None: no labels are reviewed."""
        from ...provenance.project import ReviewPosition, SkippedNuclei  # imports pandas

        self._follow_array()
        if self._state is None:
            return None
        plane, label = self._current_nucleus or (None, 0)
        skipped = [SkippedNuclei(key, tuple(labels)) for key, labels in self._skipped.items()]
        return ReviewPosition(
            labels=self._state.layer.name,
            plane=None if plane is None else plane_key(plane.index),
            label=label,
            skipped=tuple(skipped),
        )

    def go_on(self, position: ReviewPosition) -> None:
        """Go on where a review was, if its labels are there."""
        layers = self._viewer.layers
        if position.labels not in layers or not isinstance(layers[position.labels], Labels):
            return
        layers.selection.active = layers[position.labels]
        self.start_over()
        if self._state is None or self._state.layer.name != position.labels:
            return
        for skipped in position.skipped:
            self._skipped[skipped.plane].extend(skipped.labels)
        plane = self._state.features.planes.get(position.plane or ())
        if plane is not None and plane.row(position.label) is not None:
            self._current_nucleus = plane, position.label
            self._report(self._state.features, plane, position.label)

    def _begin_tour(self, labels: Labels) -> None:
        """Review the doubtful nuclei of labels, one of many images."""
        self._viewer.layers.selection.active = labels
        if self._state is not None and self._tour.is_on(self._state.layer):
            self.next()

    def next(self, *_: object) -> None:
        """Show the least confident nucleus that has not been reviewed."""
        self._follow_array()
        if self._state is None:
            self.message.emit(LABELS_NEEDED)
            return
        table = self._state.features
        table.measure_now()
        if not table.planes:
            self.message.emit(NOT_MEASURED)
            return
        if self._current_nucleus is not None:
            self._previous_nuclei.append(self._current_nucleus)
        doubtful = self._least_confident(table)
        if doubtful is None and self._tour.is_on(table.layer):
            self._current_nucleus = None
            self._tour.end()  # the next image is opened
            return
        if doubtful is None and any(self._skipped.values()):
            self._skipped.clear()  # those that were skipped come again
            doubtful = self._least_confident(table)
        self._current_nucleus = doubtful
        if doubtful is None:
            self.message.emit(ALL_REVIEWED)
            return
        plane, label = doubtful
        self._skipped[plane_key(plane.index)].append(label)
        self._show(table, plane, label)

    def back(self, *_: object) -> None:
        """Show the previous nucleus again, and undo its acceptance."""
        self._follow_array()
        if self._state is not None:
            self._state.features.measure_now()
        while self._state is not None and self._previous_nuclei:
            (plane, label), table = self._previous_nuclei.pop(), self._state.features
            row = plane.row(label)
            if table.plane(plane.index) is not plane or row is None:
                continue
            if plane.rows.loc[row, STATE_COLUMN] == ACCEPTED:
                table.set_state(plane, label, UNREVIEWED)
            self._current_nucleus = plane, label
            self._show(table, plane, label)
            return
        self.message.emit(NO_PREVIOUS_NUCLEUS)

    def accept(self, *_: object) -> None:
        """Accept the nucleus on view, and show the next one."""
        if (current := self._current()) is None:
            return
        table, plane, label = current
        table.set_state(plane, label, ACCEPTED)
        self.next()

    def delete(self, *_: object) -> None:
        """Delete the nucleus on view, and show the next one."""
        if self._state is None or (current := self._current()) is None:
            return
        table, plane, label = current
        row = plane.row(label)
        assert row is not None
        try:
            check_editable(self._state)
            _editing.remove_nucleus(table.layer, plane.index, label, plane.box(row))
        except UserError as error:
            show_warning(name_controls(error))
            return
        self.next()

    def _current(self) -> tuple[FeaturesTable, PlaneFeatures, int] | None:
        """Return the nucleus on view, if it is still there."""
        self._follow_array()
        if self._state is not None and self._current_nucleus is not None:
            (plane, label), table = self._current_nucleus, self._state.features
            table.measure_now()
            # segmenting or measuring again replaces the plane
            if table.plane(plane.index) is plane and plane.row(label) is not None:
                return table, plane, label
        self.message.emit(NO_CURRENT_NUCLEUS)
        return None

    def _least_confident(self, table: FeaturesTable) -> tuple[PlaneFeatures, int] | None:
        best: tuple[float, PlaneFeatures, int] | None = None
        limit = self._tour.max_confidence if self._tour.is_on(table.layer) else np.inf
        for plane in table.planes.values():
            rows = plane.rows[plane.rows[STATE_COLUMN] == UNREVIEWED].set_index("label")
            rows = rows.drop(self._skipped[plane_key(plane.index)], errors="ignore")
            confidences = rows[CONFIDENCE_COLUMN].fillna(np.inf)
            confidences = confidences[confidences <= limit]
            if len(confidences) and (best is None or confidences.min() < best[0]):
                best = float(confidences.min()), plane, int(confidences.idxmin())
        return None if best is None else best[1:]

    def _show(self, table: FeaturesTable, plane: PlaneFeatures, label: int) -> None:
        row = plane.row(label)
        assert row is not None
        place = plane.place(row)
        navigate_to_box(self._viewer, table.layer, place.index, place.box)
        self._report(table, plane, label)

    def _report(self, table: FeaturesTable, plane: PlaneFeatures, label: int) -> None:
        layer, row = table.layer, plane.row(label)
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        is_on_tour, rows = self._tour.is_on(layer), [part.rows for part in table.planes.values()]
        if is_on_tour:
            rows = [part[part[CONFIDENCE_COLUMN] <= self._tour.max_confidence] for part in rows]
        title = f"{self._tour.title} · " if is_on_tour else ""
        total = sum(len(part) for part in rows)
        reviewed = sum(int((part[STATE_COLUMN] != UNREVIEWED).sum()) for part in rows)
        confidence = plane.rows.loc[row, CONFIDENCE_COLUMN]
        text = "" if np.isnan(confidence) else f"confidence {confidence:.2f} · "
        kind = "doubtful ones " if is_on_tour else ""
        self.message.emit(
            f"{_swatch(layer, label)} {title}Nucleus {label} · {text}{reviewed:,} of {total:,} "
            f"{kind}reviewed"
        )


def _swatch(layer: Labels, label: int) -> str:
    """Format a square in the colour of a nucleus as rich text."""
    color = layer.get_color(label)
    if color is None:
        return ""
    red, green, blue = (round(255 * float(channel)) for channel in color[:3])
    return f'<span style="color: rgb({red}, {green}, {blue})">■</span>'
