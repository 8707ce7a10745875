"""A training: what runs in the thread, and what the dock shows of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...io.atomic import check_writable
from ...memory import explain_out_of_memory
from ...models.library import find_free_model_path
from ...params import TrainParams
from ...progress import Step, Stop
from ..common.controller import Task
from ..common.job import load_engine
from ..common.notify import show_info, show_warning
from ..session.model_registry import MODEL_REGISTRY
from ..session.model_titles import title_file
from .resume import ResumeState

if TYPE_CHECKING:
    from ...training.evaluation import FineTuned
    from ...training.loop import Epoch
    from .curves import TrainingCurves
    from .layer_pairs import PairArrays
    from .model_library import ModelLibraryPanel
    from .run_panel import RunPanel
    from .score_table import ScoreTable
    from .use_model_panel import UseModelPanel


READING_STATUS = "Reading images and labels …"
# Batches after the first epoch until the remaining time is estimated.
BATCHES_BEFORE_ESTIMATE = 3


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """Values of the form when Train is clicked.

    Attributes
    ----------
    arrays : tuple of PairArrays
    model : str
        Model to start from: name or file; empty: random weights.
    params : TrainParams
    device : str
    folder : Path
        Folder of the user's models.
    threads_free : int
    resume_state : ResumeState
        State on disk, with the name of the new model.
    resume : bool
        Whether to resume from ``resume_state``, instead of the arrays.
    """

    arrays: tuple[PairArrays, ...]
    model: str
    params: TrainParams
    device: str
    folder: Path
    threads_free: int
    resume_state: ResumeState
    resume: bool = False


@dataclass(frozen=True, eq=False)
class TrainTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    result : FineTuned
    path : Path
        File of the new model.
    """

    result: FineTuned
    path: Path


def train_task_steps(request: TrainRequest) -> Generator[Step, Stop, TrainTaskOutput]:
    """Train a model; runs in the thread."""
    with request.resume_state.in_use():
        output = yield from _train_model_steps(request)
        request.resume_state.delete()
    return output


def _train_model_steps(request: TrainRequest) -> Generator[Step, Stop, TrainTaskOutput]:
    load_engine(request.threads_free)
    # torch is imported when it is needed: the dock opens faster
    from ...training.finetune import fine_tune_steps
    from ...training.finetune_data import FineTuneData, Pair, make_finetune_data
    from ...training.loop import TRAINING_MEMORY_SHORT

    yield Step(0, 1)
    state = request.resume_state
    check_writable(request.folder)  # fail before the training, not after it
    if request.resume:
        data = FineTuneData.load(state.data_path)
    else:
        with explain_out_of_memory(TRAINING_MEMORY_SHORT):
            pairs = [Pair(**vars(item)) for item in request.arrays]
            data = make_finetune_data(pairs, request.params)
        data.save(state.data_path)
    result = yield from fine_tune_steps(
        data, request.model or None, request.params, request.device, state.model, request.resume
    )
    yield Step(1, 1)  # the last moment to cancel
    path = find_free_model_path(request.folder, state.name)
    result.save(path)
    return TrainTaskOutput(result, path)


@dataclass(frozen=True, eq=False)
class TrainView:
    """The parts of the dock that show a training.

    Attributes
    ----------
    run_panel : RunPanel
    curves : TrainingCurves
    score_table : ScoreTable
    library : ModelLibraryPanel
        Where a new model is chosen.
    use_model : UseModelPanel
        Asks whether it is used.
    """

    run_panel: RunPanel
    curves: TrainingCurves
    score_table: ScoreTable
    library: ModelLibraryPanel
    use_model: UseModelPanel


class TrainTask(Task):
    """Trains a model, and shows its epochs, scores, and the new model.

    Parameters
    ----------
    request : TrainRequest
    view : TrainView
    """

    def __init__(self, request: TrainRequest, view: TrainView) -> None:
        self.title = f"Training {request.resume_state.name}"
        self._request, self._view = request, view
        self._last: Epoch | None = None
        self._first_done = 0  # batches that were done at the first epoch
        self._timed_since = time.monotonic()

    def steps(self) -> Generator[Step, Stop, TrainTaskOutput]:
        """Train a model; runs in the thread."""
        return (yield from train_task_steps(self._request))

    def on_step(self, step: Step) -> None:
        """Show an epoch as curves and a picture."""
        # loads torch, but the thread has done so before its first step
        from ...training.loop import Epoch

        self._view.run_panel.show_progress(step.done, step.total)
        if isinstance(step, Epoch):
            if self._last is None:
                self._first_done = step.done
            self._last = step
            self._view.curves.show_history(step.history)
            self._view.curves.show_picture(step.picture)
        elif self._last is None:
            self._timed_since = time.monotonic()

    def status(self, step: Step) -> str:
        """Return the epoch that is at work, and how long all of them take at most."""
        if self._last is None:
            if step.total == 1:
                return READING_STATUS
            return "Scoring the model as it is …" if step.done == 0 else "Next epoch …"
        if step.done >= step.total:
            return "Tuning thresholds and scoring …"
        epoch = f"Epoch {int(self._last.history[-1]['epoch']) + 1} of {self._last.epochs}"
        done = step.done - self._first_done
        if done < BATCHES_BEFORE_ESTIMATE:
            return epoch
        seconds = (time.monotonic() - self._timed_since) / done * (step.total - step.done)
        return f"{epoch} · {_format_duration(seconds)} left at most"

    def on_result(self, output: TrainTaskOutput) -> None:
        """Show the scores, add the new model to all lists, and use it or ask."""
        result, name = output.result, title_file(output.path)
        self._view.score_table.show_scores(result.card.scores, result.verdict)
        MODEL_REGISTRY.changed.emit()
        self._view.library.choose(output.path)
        self._view.use_model.show_result(output.path, result)
        if result.worse:
            show_warning(f"'{name}' is saved, but finds nuclei worse than the model before.")
        elif result.forgets:
            show_warning(f"'{name}' is saved, but finds nuclei worse on the reference images.")
        else:
            show_info(f"'{name}' is saved.")

    def on_end(self) -> None:
        """Show no status any more."""
        self._view.run_panel.show_message("")

    def on_cancelled(self, output: TrainTaskOutput | None) -> None:
        """Delete what the training could resume from, and its model if that was saved already."""
        if output is not None:
            output.path.unlink(missing_ok=True)
        self._request.resume_state.delete()
        self._view.run_panel.show_message("Cancelled; nothing was kept.")


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
