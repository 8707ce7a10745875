"""What runs in the thread: counting labels, training, and saving the model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...io.atomic import check_writable
from ...models.library import find_free_model_path
from ...params import TrainParams
from ...progress import Step, Stop
from ..common.job import reserve_threads
from .resume import ResumeState

if TYPE_CHECKING:
    from ...arrays.boxes import Box
    from ...training.evaluation import FineTuned
    from ...training.finetune_data import AnnotatedPosition


@dataclass(frozen=True, eq=False)
class AnnotationCount:
    """Number of annotated nuclei, and validation areas, of the pairs.

    Attributes
    ----------
    nuclei : list of int
        Of each pair.
    validation_areas : list of dict of AnnotatedPosition to list of (slice, slice)
        Of each pair; empty if there is a ``problem``.
    problem : str
        Why training is not possible yet; empty: it is.
    """

    nuclei: list[int]
    validation_areas: list[dict[AnnotatedPosition, list[Box]]]
    problem: str = ""


def annotation_count_steps(
    arrays: Sequence[dict[str, Any]], params: TrainParams
) -> Generator[Step, Stop, AnnotationCount]:
    """Count nuclei, and choose validation areas; runs in the thread."""
    # torch is imported when it is needed: the dock opens faster
    from ...training.annotation import choose_validation_areas
    from ...training.finetune_data import Pair

    pairs = [Pair(**item) for item in arrays]
    if not pairs:
        return AnnotationCount([], [])
    nuclei, places, planes = [0] * len(pairs), [], []
    areas: list[dict[AnnotatedPosition, list[Box]]] = [{} for _ in pairs]
    try:
        for index, pair in enumerate(pairs):
            yield Step(index, len(pairs))
            for place, plane in pair.planes(params.margin):
                nuclei[index] += int(plane.is_counted.sum())
                places.append((index, place))
                planes.append(plane)
        chosen = choose_validation_areas(planes, params.validation, params.seed)
    except UserError as error:
        return AnnotationCount(nuclei, areas, str(error))
    for (index, place), boxes in zip(places, chosen, strict=True):
        if boxes:
            areas[index][place] = boxes
    return AnnotationCount(nuclei, areas)


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """Values of the form when Train is clicked.

    Attributes
    ----------
    arrays : tuple of dict
        Arguments of ``finetune_data.Pair``.
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

    arrays: tuple[dict[str, Any], ...]
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
    from ...segmentation.device import explain_out_of_memory
    from ...training.finetune import fine_tune_steps
    from ...training.finetune_data import FineTuneData, Pair, make_finetune_data

    reserve_threads(request.threads_free)
    yield Step(0, 1)
    state = request.resume_state
    check_writable(request.folder)  # fail before the training, not after it
    if request.resume:
        data = FineTuneData.load(state.data_path)
    else:
        with explain_out_of_memory():
            data = make_finetune_data([Pair(**item) for item in request.arrays], request.params)
        data.save(state.data_path)
    result = yield from fine_tune_steps(
        data, request.model or None, request.params, request.device, state.model, request.resume
    )
    yield Step(1, 1)  # the last moment to cancel
    path = find_free_model_path(request.folder, state.name)
    result.save(path)
    return TrainTaskOutput(result, path)
