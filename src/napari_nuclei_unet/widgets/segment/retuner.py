"""Live tuning: the nuclei on view are recomputed when a slider moves, without the network."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from ...errors import UserError
from ...params import SegmentParams
from ...progress import Step
from ..common.controls import with_properties
from ..common.job import ThreadJob
from ..common.notify import report_user_errors, show_user_error
from ..session.plane_result import PlaneResult, RetunedPlane, retune_plane
from ..session.predictions import Predictions

if TYPE_CHECKING:
    from ...segmentation.segment import Prediction

# Delay after the last move of a slider, in milliseconds.
RETUNE_DELAY_MS = 40
LABELS_EDITED_BY_HAND = (
    "These labels were edited by hand, so the sliders leave them alone. "
    "Click Segment for others, in a layer of their own."
)
IMAGE_CHANGED = "The image has changed since it was segmented: click Segment."


class LabelsEditedError(UserError):
    """Labels were edited by hand, and are not replaced."""


class Retuner(QObject):
    """Retunes the plane on view; of moves that follow each other only the last counts.

    Parameters
    ----------
    parent : QObject
    predictions : Predictions
    find : callable
        Returns the result on view, and the values of the sliders; or None.

    Signals
    -------
    retuned : PlaneResult, RetunedPlane
        Shall be written.
    stepped : Step
        Of the thread.
    message : str
        A sentence for the user.
    finished
        Nothing is left to do.
    """

    retuned = Signal(object, object)
    stepped = Signal(object)
    message = Signal(str)
    finished = Signal()

    def __init__(
        self,
        parent: QObject,
        predictions: Predictions,
        find: Callable[[], tuple[PlaneResult, SegmentParams] | None],
    ) -> None:
        super().__init__(parent)
        self._predictions, self._find = predictions, find
        self._is_requested = False  # a move of a slider waits, for the timer or for the thread
        self._retuning: PlaneResult | None = None
        self._revision = 0  # of the labels that are being retuned
        self._relief: Relief | None = None  # of the plane that was retuned last
        self._timer = with_properties(QTimer(self), singleShot=True, interval=RETUNE_DELAY_MS)
        self._timer.timeout.connect(self._start)
        self._job = ThreadJob(self)
        self._job.stepped.connect(self.stepped)
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)

    @property
    def is_busy(self) -> bool:
        """Whether a plane is being retuned, or about to be."""
        return self._is_requested or self._job.is_running

    def request(self) -> None:
        """Retune the plane on view after a short delay."""
        self._is_requested = True
        self._timer.start()

    def stop(self) -> None:
        """Drop requests, and the result of a retuning that is under way."""
        self._timer.stop()
        self._is_requested, self._retuning, self._relief = False, None, None
        self._job.cancel()

    def _start(self) -> None:
        if self._job.is_running:
            return  # _on_finished calls this again
        self._is_requested = False
        with report_user_errors(self.message.emit):
            if (found := self._find()) is not None:
                result, params = found
                result.state.check_writable()
                result.state.features.queue.postpone()
                self._retuning, self._revision = result, result.state.revision
                if self._relief is None or not self._relief.belongs_to(result.prediction):
                    self._relief = Relief(result.prediction)
                labels = result.read_labels()
                self._job.start("", _retune_steps, result, labels, params, self._relief)
                return
        self.finished.emit()

    def _on_result(self, retuned: RetunedPlane | None) -> None:
        result, self._retuning = self._retuning, None
        if result is None or self._is_requested or not self._predictions.contains(result):
            return  # stale
        if retuned is None:
            self._predictions.remove_layer(result.source.image)
            self.message.emit(IMAGE_CHANGED)
        elif result.state.revision != self._revision and not result.is_unedited():
            self.message.emit(LABELS_EDITED_BY_HAND)
        else:
            with report_user_errors(self.message.emit):
                result.state.check_writable()
                self.retuned.emit(result, retuned)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, LabelsEditedError):
            self.message.emit(str(error))
        else:
            show_user_error(error)

    def _on_finished(self) -> None:
        self._retuning = None
        if not self._is_requested:
            self.finished.emit()
        elif not self._timer.isActive():
            self._start()


class Relief:
    """What every move of a slider needs of a plane, computed at the first.

    Parameters
    ----------
    prediction : Prediction
        Is not kept alive.
    """

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = weakref.ref(prediction)
        self._pixels: NDArray[np.floating] | None = None

    def belongs_to(self, prediction: Prediction) -> bool:
        """Return whether this is the relief of a prediction."""
        return self._prediction() is prediction

    def get(self, prediction: Prediction) -> NDArray[np.floating] | None:
        """Return the relief of its prediction; runs in the thread."""
        # it loads torch, which takes seconds
        from ...segmentation.segment import compute_relief

        if self._pixels is None:
            self._pixels = compute_relief(prediction)
        return self._pixels


def _retune_steps(
    plane_result: PlaneResult, labels: NDArray[np.integer], params: SegmentParams, relief: Relief
) -> Generator[Step, None, RetunedPlane | None]:
    yield Step(0, 1)
    if not plane_result.part.is_unedited(labels):
        raise LabelsEditedError(LABELS_EDITED_BY_HAND)
    retuned = retune_plane(plane_result, params, relief.get(plane_result.prediction))
    yield Step(1, 1)
    return retuned
