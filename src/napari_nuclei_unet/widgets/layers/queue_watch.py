"""The queues of labels that are not measured yet."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtCore import QObject, Signal

from .measure_queue import MeasureQueue


class QueueWatch(QObject):
    """Waits until all labels that somebody has written are measured.

    Signals
    -------
    emptied
        One more of the queues is empty, or gone with its labels.
    """

    emptied = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._queues: set[MeasureQueue] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be measured."""
        for queue in [queue for queue in self._queues if queue.is_empty]:
            with suppress(RuntimeError):  # it was deleted with its labels
                queue.emptied.disconnect(self._on_emptied)
                queue.destroyed.disconnect(self._on_emptied)
            self._queues.discard(queue)
        return not self._queues

    def add(self, queue: MeasureQueue) -> None:
        """Wait for a queue, if there is something in it."""
        if not queue.is_empty and queue not in self._queues:
            self._queues.add(queue)
            for signal in (queue.emptied, queue.destroyed):
                signal.connect(self._on_emptied)

    def _on_emptied(self, *_: object) -> None:
        self.emptied.emit()
