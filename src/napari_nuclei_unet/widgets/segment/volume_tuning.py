"""Live tuning of volumes: a task of the dock, as it takes longer than a move of a slider."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from ..common.controls import with_properties
from .volume_task import RetuneVolumeTask

if TYPE_CHECKING:
    from ..common.controller import Task
    from ..layers.image_source import ImageSource
    from .current_plane import CurrentPlane
    from .plane_task import SegmentRequest
    from .plane_writer import PlaneWriter


class VolumeTuning(QObject):
    """Retunes the volume on view.

    Parameters
    ----------
    parent : QObject
    current_plane : CurrentPlane
    writer : PlaneWriter
    create_request : callable
        Returns the values of the form for a source.
    start : callable
        Starts a task.
    """

    def __init__(
        self,
        parent: QObject,
        current_plane: CurrentPlane,
        writer: PlaneWriter,
        create_request: Callable[[ImageSource], SegmentRequest],
        start: Callable[[Task], None],
    ) -> None:
        super().__init__(parent)
        self._current_plane, self._writer = current_plane, writer
        self._create_request, self._start = create_request, start
        self._task: RetuneVolumeTask | None = None
        # not at once: the retuner, which asks first, is stopped by the start of a task
        self._timer = with_properties(QTimer(self), singleShot=True, interval=0)
        self._timer.timeout.connect(self._start_task)

    @property
    def is_waiting(self) -> bool:
        """Whether a task is about to start."""
        return self._task is not None

    def request(self) -> bool:
        """Retune the volume on view soon; return whether there is one."""
        result = self._current_plane.volume_result()
        if result is None:
            return False
        request = self._create_request(result.sources[0])
        self._task = RetuneVolumeTask(request, result, self._writer)
        self._timer.start()
        return True

    def _start_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._start(task)
