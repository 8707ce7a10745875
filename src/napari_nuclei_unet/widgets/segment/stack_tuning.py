"""Live tuning of volumes, and of all planes or volumes of a stack: tasks of the dock.

They take longer than a move of a slider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from ..common.controls import with_properties
from .retune_task import RetuneTask
from .volume_retune_task import RetuneVolumesTask

if TYPE_CHECKING:
    from ..common.controller import Task
    from ..layers.image_source import ImageSource
    from ..session.predictions import Predictions
    from .current_plane import CurrentPlane
    from .plane_task import SegmentRequest
    from .plane_writer import PlaneWriter
    from .tuning_panel import TuningPanel


class StackTuning(QObject):
    """Retunes the volume on view, and all planes or volumes.

    Parameters
    ----------
    current_plane : CurrentPlane
    predictions : Predictions
    writer : PlaneWriter
    create_request : callable
        Returns the values of the form for a source.
    start : callable
        Starts a task.
    """

    def __init__(
        self,
        current_plane: CurrentPlane,
        predictions: Predictions,
        writer: PlaneWriter,
        create_request: Callable[[ImageSource], SegmentRequest],
        start: Callable[[Task], None],
    ) -> None:
        super().__init__()
        self._current_plane, self._predictions = current_plane, predictions
        self._writer, self._create_request, self._start = writer, create_request, start
        self._task: RetuneVolumesTask | None = None
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
        others = len(self._current_plane.volumes()) - 1
        self._task = RetuneVolumesTask(request, [result], self._writer, others)
        self._timer.start()
        return True

    def offer_all(self, panel: TuningPanel) -> None:
        """Offer to retune all planes, or volumes, of the stack on view, if there are several."""
        volumes = len(self._current_plane.volumes())
        if volumes:
            panel.offer_all(volumes > 1, "volumes")
        else:
            panel.offer_all(len(self._current_plane.planes()) > 1, "planes")

    def tune_all(self) -> None:
        """Retune all cached planes, or volumes, of the stack on view."""
        if volumes := self._current_plane.volumes():
            request = self._create_request(volumes[-1].sources[0])
            self._start(RetuneVolumesTask(request, volumes, self._writer))
        elif planes := self._current_plane.planes():
            request = self._create_request(planes[-1].source)
            self._start(RetuneTask(request, planes, self._predictions, self._writer))

    def _start_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._start(task)
