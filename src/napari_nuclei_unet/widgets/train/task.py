"""What of a training runs in the thread: looking at labels, training, keeping the result."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import check_writable
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.progress import Step, Wish
from napari_nuclei_unet.widgets.train.resume import Draft

if TYPE_CHECKING:
    from napari_nuclei_unet.arrays.boxes import Box
    from napari_nuclei_unet.training.evaluation import FineTuned
    from napari_nuclei_unet.training.finetune_data import Place


@dataclass(frozen=True, eq=False)
class Looked:
    """What the labels of the pairs hold.

    Attributes
    ----------
    nuclei : list of int
        Of each pair.
    held : list of dict of Place to list of (slice, slice)
        What is to be held back of each pair; none where ``problem`` says why.
    problem : str
        Why nothing can be learnt yet; empty: it can.
    """

    nuclei: list[int]
    held: list[dict[Place, list[Box]]]
    problem: str = ""


def look_at(arrays: Sequence[dict[str, Any]], params: TrainParams) -> Generator[Step, Wish, Looked]:
    """Run in the thread: count nuclei, and choose what is held back."""
    from napari_nuclei_unet.training.annotation import hold_back
    from napari_nuclei_unet.training.finetune_data import Pair

    pairs = [Pair(**one) for one in arrays]
    if not pairs:
        return Looked([], [])
    nuclei, places, planes = [0] * len(pairs), [], []
    held: list[dict[Place, list[Box]]] = [{} for _ in pairs]
    try:
        for index, pair in enumerate(pairs):
            yield Step(index, len(pairs))
            for place, plane in pair.planes(params.margin):
                nuclei[index] += int(plane.counted.sum())
                places.append((index, place))
                planes.append(plane)
        chosen = hold_back(planes, params.validation, params.seed)
    except UserError as error:
        return Looked(nuclei, held, str(error))
    for (index, place), boxes in zip(places, chosen, strict=True):
        if boxes:
            held[index][place] = boxes
    return Looked(nuclei, held)


@dataclass(frozen=True, eq=False)
class Training:
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
    draft : Draft
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
    draft: Draft
    resume: bool = False


@dataclass(frozen=True, eq=False)
class Learnt:
    """What the thread returns.

    Attributes
    ----------
    result : FineTuned
    path : Path
        File of the new model.
    """

    result: FineTuned
    path: Path


def train(wanted: Training) -> Generator[Step, Wish, Learnt]:
    """Run in the thread; torch is imported here, not when the widget opens."""
    with wanted.draft.in_use():
        learnt = yield from _train(wanted)
        wanted.draft.forget()
    return learnt


def _train(wanted: Training) -> Generator[Step, Wish, Learnt]:
    from napari_nuclei_unet.models.library import free_path
    from napari_nuclei_unet.segmentation.device import memory_told
    from napari_nuclei_unet.training.finetune import fine_tune_steps
    from napari_nuclei_unet.training.finetune_data import Lesson, Pair, lesson_of
    from napari_nuclei_unet.widgets.common.job import use_threads

    use_threads(wanted.threads_free)
    yield Step(0, 1)
    draft = wanted.draft
    check_writable(wanted.folder)  # told before the work, and not after
    if wanted.resume:
        lesson = Lesson.load(draft.lesson)
    else:
        with memory_told():
            lesson = lesson_of([Pair(**one) for one in wanted.arrays], wanted.params)
        lesson.save(draft.lesson)
    result = yield from fine_tune_steps(
        lesson, wanted.model or None, wanted.params, wanted.device, draft.model, wanted.resume
    )
    yield Step(1, 1)  # the last moment to cancel
    path = free_path(wanted.folder, draft.name)
    result.save(path)
    return Learnt(result, path)
