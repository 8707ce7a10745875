"""What of a training runs in the thread: looking at labels, training, keeping the result."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.places import unfinished_folder
from napari_nuclei_unet.writing import check_writable

if TYPE_CHECKING:
    from napari_nuclei_unet.core.regions import Box
    from napari_nuclei_unet.lessons import Pair, Place
    from napari_nuclei_unet.outcomes import FineTuned
    from napari_nuclei_unet.prediction import Step, Wish

UNFINISHED = "training.safetensors"


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


def look_at(pairs: Sequence[Pair], params: TrainParams) -> Generator[Step, Wish, Looked]:
    """Run in the thread: count nuclei, and choose what is held back."""
    from napari_nuclei_unet.core.annotated import hold_back
    from napari_nuclei_unet.prediction import Step

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
    pairs : tuple of Pair
    model : str
        Where it begins: name or file; empty: random weights.
    params : TrainParams
    device : str
    name : str
        Of the result.
    folder : Path
        Where models are kept.
    threads_free : int
    resume : bool
        Go on with what was interrupted, instead of the pairs.
    """

    pairs: tuple[Pair, ...]
    model: str
    params: TrainParams
    device: str
    name: str
    folder: Path
    threads_free: int
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
    from napari_nuclei_unet.finetuning import fine_tune_steps
    from napari_nuclei_unet.lessons import Lesson, lesson_of
    from napari_nuclei_unet.library import free_path
    from napari_nuclei_unet.prediction import Step
    from napari_nuclei_unet.widgets._run import use_threads

    use_threads(wanted.threads_free)
    yield Step(0, 1)
    out, kept = unfinished_folder() / UNFINISHED, lesson_path()
    check_writable(wanted.folder)  # told before the work, and not after
    if wanted.resume:
        lesson = Lesson.load(kept)
    else:
        lesson = lesson_of(wanted.pairs, wanted.params)
        forget_unfinished()
        lesson.save(kept)
    steps = fine_tune_steps(
        lesson, wanted.model or None, wanted.params, wanted.device, out, wanted.resume
    )
    result = yield from steps
    path = free_path(wanted.folder, wanted.name)
    result.save(path)
    forget_unfinished()
    return Learnt(result, path)


def lesson_path() -> Path:
    """File with what an unfinished training learns from."""
    return unfinished_folder() / "training.lesson"


@dataclass(frozen=True)
class Unfinished:
    """A training that was interrupted.

    Attributes
    ----------
    params : TrainParams
    done : int
        Epochs.
    name : str
        Of the model that it began with.
    when : str
        In words.
    """

    params: TrainParams
    done: int
    name: str
    when: str


def unfinished() -> Unfinished | None:
    """Find a training that can go on, without loading torch."""
    import json

    from safetensors import SafetensorError, safe_open

    from napari_nuclei_unet.models import read_card

    out = unfinished_folder() / UNFINISHED
    checkpoint = out.with_suffix(".checkpoint")
    try:
        if not lesson_path().is_file():
            return None
        with safe_open(checkpoint, framework="np") as opened:
            card = json.loads(opened.metadata()["training"])
        params = TrainParams(**card["params"])
        parent = read_card(out).parent.get("name", "random weights")
        when = time.strftime("%d %b, %H:%M", time.localtime(checkpoint.stat().st_mtime))
        return Unfinished(params, int(card["history"][-1]["epoch"]), parent, when)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, UserError):
        return None  # not far enough to go on, or of another version


def forget_unfinished() -> None:
    """Remove what an interrupted training has left."""
    out = unfinished_folder() / UNFINISHED
    for path in (out.with_suffix(".checkpoint"), out, lesson_path()):
        with suppress(OSError):
            path.unlink(missing_ok=True)
