"""The review queue: nuclei one after the other, the least confident first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.common.controls import button
from napari_nuclei_unet.widgets.layers.features import (
    ACCEPTED,
    CONFIDENCE,
    STATE,
    UNSEEN,
    Plane,
    Table,
    table_of,
)
from napari_nuclei_unet.widgets.layers.label_ids import key_of
from napari_nuclei_unet.widgets.layers.navigate import look_at
from napari_nuclei_unet.widgets.review import edits as _editing
from napari_nuclei_unet.widgets.review.target_form import NO_LABELS, Target

if TYPE_CHECKING:
    from napari.components import ViewerModel

NOT_MEASURED = "Nothing is known of these nuclei yet: click Measure."
NO_OTHER = "No other nucleus was shown before."
NONE_LEFT = "All nuclei have been reviewed."
NO_CURRENT = "No nucleus is being reviewed: press N for the next doubtful one."


class Queue(QWidget):
    """Walks the nuclei that nobody has looked at, the least confident first.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : Target

    Signals
    -------
    said : str
        A sentence for the user.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel, target: Target) -> None:
        super().__init__()
        self._viewer, self._target = viewer, target
        self._at: tuple[Plane, int] | None = None
        self._shown: list[tuple[Plane, int]] = []  # before that, the last one at the end
        # ids by plane that were shown, and left as they are
        self._passed: defaultdict[Any, list[int]] = defaultdict(list)
        next_ = button(
            "next_doubtful", "Next doubtful (N)", "Go to the least confident nucleus not reviewed."
        )
        accept = button("accept", "Accept (Y)", "This nucleus is right; go to the next.")
        remove = button("remove", "Delete (Backspace)", "Delete this nucleus; go to the next.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        back = button(
            "back", "Back (U)", "Go back to the nucleus of before; it is not accepted any more."
        )
        layout.addWidget(next_, 0, 0)
        layout.addWidget(back, 0, 1)
        layout.addWidget(accept, 1, 0)
        layout.addWidget(remove, 1, 1)
        next_.clicked.connect(self.next)
        back.clicked.connect(self.back)
        accept.clicked.connect(self.accept)
        remove.clicked.connect(self.delete)
        target.changed.connect(self.start_over)

    @property
    def keys(self) -> dict[str, Callable[..., None]]:
        """What keys do."""
        return {"N": self.next, "U": self.back, "Y": self.accept, "Backspace": self.delete}

    def start_over(self, *_: object) -> None:
        """Forget which nucleus is shown, and which were passed over."""
        self._at = None
        self._shown.clear()
        self._passed.clear()

    def next(self, *_: object) -> None:
        """Show the least confident nucleus that has not been reviewed."""
        layer = self._target.labels
        table = None if layer is None else table_of(layer)
        if layer is None or table is None or not table.planes:
            self.said.emit(NO_LABELS if layer is None else NOT_MEASURED)
            return
        if self._at is not None:
            self._shown.append(self._at)
        found = self._least(table)
        if found is None and any(self._passed.values()):
            self._passed.clear()  # those that were passed over come again
            found = self._least(table)
        self._at = found
        if found is None:
            self.said.emit(NONE_LEFT)
            return
        plane, label = found
        self._passed[key_of(plane.index)].append(label)
        self._show(layer, table, plane, label)

    def back(self, *_: object) -> None:
        """Show the nucleus of before once more, and take back that it was accepted."""
        layer = self._target.labels
        while layer is not None and self._shown:
            (plane, label), table = self._shown.pop(), table_of(layer)
            row = plane.row(label)
            if table.plane(plane.index) is not plane or row is None:
                continue
            if plane.rows[STATE][row] == ACCEPTED:
                table.set_state(plane, label, UNSEEN)
            self._at = plane, label
            self._show(layer, table, plane, label)
            return
        self.said.emit(NO_OTHER)

    def accept(self, *_: object) -> None:
        """Say that the nucleus on view is right, and go on."""
        if (current := self._current()) is None:
            return
        table, plane, label = current
        table.set_state(plane, label, ACCEPTED)
        self.next()

    def delete(self, *_: object) -> None:
        """Delete the nucleus on view, and go on."""
        if (current := self._current()) is None:
            return
        table, plane, label = current
        row = plane.row(label)
        assert row is not None
        try:
            _editing.plane_to_edit(self._viewer, table.layer)
            _editing.remove(table.layer, plane.index, label, plane.box(row))
        except UserError as error:
            show_warning(str(error))
            return
        self.next()

    def _current(self) -> tuple[Table, Plane, int] | None:
        """Nucleus on view, if it is still there."""
        layer = self._target.labels
        if layer is not None and self._at is not None:
            (plane, label), table = self._at, table_of(layer)
            # a plane that was segmented or measured again is another one
            if table.plane(plane.index) is plane and plane.row(label) is not None:
                return table, plane, label
        self.said.emit(NO_CURRENT)
        return None

    def _least(self, table: Table) -> tuple[Plane, int] | None:
        best: tuple[float, Plane, int] | None = None
        for plane in table.planes.values():
            rows = plane.rows
            open_ = (rows[STATE] == UNSEEN) & ~np.isin(
                rows["label"], self._passed[key_of(plane.index)]
            )
            if not open_.any():
                continue
            sure = np.where(np.isnan(rows[CONFIDENCE]), np.inf, rows[CONFIDENCE])
            at = int(np.flatnonzero(open_)[np.argmin(sure[open_])])
            if best is None or sure[at] < best[0]:
                best = float(sure[at]), plane, int(rows["label"][at])
        return None if best is None else best[1:]

    def _show(self, layer: Labels, table: Table, plane: Plane, label: int) -> None:
        row = plane.row(label)
        assert row is not None
        look_at(self._viewer, layer, plane.index, plane.box(row))
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        states: Any = [one.rows[STATE] for one in table.planes.values()]
        total = sum(len(one) for one in states)
        seen = sum(int((one != UNSEEN).sum()) for one in states)
        sure = float(plane.rows[CONFIDENCE][row])
        words = "" if np.isnan(sure) else f"confidence {sure:.2f} · "
        self.said.emit(
            f"{_swatch(layer, label)} Nucleus {label} · {words}{seen:,} of {total:,} reviewed"
        )


def _swatch(layer: Labels, label: int) -> str:
    """Give a square in the colour of a nucleus, as rich text, so that the eye finds it."""
    colour = layer.get_color(label)
    if colour is None:
        return ""
    red, green, blue = (round(255 * float(one)) for one in colour[:3])
    return f'<span style="color: rgb({red}, {green}, {blue})">■</span>'
