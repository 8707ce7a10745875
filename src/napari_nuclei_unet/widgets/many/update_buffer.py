"""Updates of the window that wait a moment, so that many of them are drawn at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from qtpy.QtCore import QObject, QTimer

from ..common.controls import with_properties

# In milliseconds. Where the processor draws the canvas, each change of a dock draws that anew, too.
UPDATE_INTERVAL_MS = 300


class UpdateBuffer(QObject):
    """Keeps the last update of each kind, and makes all of them together.

    Parameters
    ----------
    parent : QObject
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._updates: dict[Hashable, Callable[[], object]] = {}
        self._timer = with_properties(QTimer(self), singleShot=True, interval=UPDATE_INTERVAL_MS)
        self._timer.timeout.connect(self.flush)

    def add(self, kind: Hashable, update: Callable[[], object]) -> None:
        """Make an update soon, instead of an earlier one of its kind."""
        self._updates[kind] = update
        if not self._timer.isActive():
            self._timer.start()

    def flush(self) -> None:
        """Make all updates now."""
        self._timer.stop()
        updates, self._updates = list(self._updates.values()), {}
        for update in updates:
            update()
