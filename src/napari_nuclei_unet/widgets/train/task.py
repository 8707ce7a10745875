"""What of a training runs in the thread: looking at labels, training, keeping the result."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import check_writable
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.progress import Step, Stop
from napari_nuclei_unet.widgets.train.resume import ResumeState

if TYPE_CHECKING:
    from napari_nuclei_unet.arrays.boxes import Box
    from napari_nuclei_unet.training.evaluation import FineTuned
    from napari_nuclei_unet.training.finetune_data import AnnotatedPosition


@dataclass(frozen=True, eq=False)
class AnnotationCount:
    """What the labels of the pairs hold.

    Attributes
    ----------
    nuclei : list of int
        Of each pair.
    validation_areas : list of dict of Place to list of (slice, slice)
        What is to be held back of each pair; none where ``problem`` says why.
    problem : str
        Why nothing can be learnt yet; empty: it can.
    """

    nuclei: list[int]
    validation_areas: list[dict[AnnotatedPosition, list[Box]]]
    problem: str = ""


def annotation_count_steps(
    arrays: Sequence[dict[str, Any]], params: TrainParams
) -> Generator[Step, Stop, AnnotationCount]:
    """Run in the thread: count nuclei, and choose what is held back."""
    from napari_nuclei_unet.training.annotation import choose_validation_areas
    from napari_nuclei_unet.training.finetune_data import Pair

    pairs = [Pair(**one) for one in arrays]
    if not pairs:
        return AnnotationCount([], [])
    nuclei, places, planes = [0] * len(pairs), [], []
    held: list[dict[AnnotatedPosition, list[Box]]] = [{} for _ in pairs]
    try:
        for index, pair in enumerate(pairs):
            yield Step(index, len(pairs))
            for place, plane in pair.planes(params.margin):
                nuclei[index] += int(plane.is_counted.sum())
                places.append((index, place))
                planes.append(plane)
        chosen = choose_validation_areas(planes, params.validation, params.seed)
    except UserError as error:
        return AnnotationCount(nuclei, held, str(error))
    for (index, place), boxes in zip(places, chosen, strict=True):
        if boxes:
            held[index][place] = boxes
    return AnnotationCount(nuclei, held)


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """What the form says, when Train is clicked.

    Attributes
    ----------
    arrays : tuple of dict
        Arguments of ``lessons.Pair``.
    model : str
        Where it begins: name or file; empty: random weights.
    params : TrainParams
    device : str
    folder : Path
        Where models are kept.
    threads_free : int
    resume_state : Draft
        Where what it needs to go on is kept; has the name of the new model.
    resume : bool
        Go on with what is there, instead of the arrays.
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
    """Run in the thread; torch is imported here, not when the widget opens."""
    with request.resume_state.in_use():
        learnt = yield from _train_model_steps(request)
        request.resume_state.delete()
    return learnt


def _train_model_steps(request: TrainRequest) -> Generator[Step, Stop, TrainTaskOutput]:
    from napari_nuclei_unet.models.library import find_free_model_path
    from napari_nuclei_unet.segmentation.device import explain_out_of_memory
    from napari_nuclei_unet.training.finetune import fine_tune_steps
    from napari_nuclei_unet.training.finetune_data import FineTuneData, Pair, make_finetune_data
    from napari_nuclei_unet.widgets.common.job import reserve_threads

    reserve_threads(request.threads_free)
    yield Step(0, 1)
    draft = request.resume_state
    check_writable(request.folder)  # told before the work, and not after
    if request.resume:
        lesson = FineTuneData.load(draft.data_path)
    else:
        with explain_out_of_memory():
            lesson = make_finetune_data([Pair(**one) for one in request.arrays], request.params)
        lesson.save(draft.data_path)
    result = yield from fine_tune_steps(
        lesson, request.model or None, request.params, request.device, draft.model, request.resume
    )
    yield Step(1, 1)  # the last moment to cancel
    path = find_free_model_path(request.folder, draft.name)
    result.save(path)
    return TrainTaskOutput(result, path)
