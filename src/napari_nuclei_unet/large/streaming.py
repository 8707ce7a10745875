"""Planes larger than memory: block by block into a store, and on from where a run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.core.blocks import place, surviving
from napari_nuclei_unet.core.planes import check_type_and_shape
from napari_nuclei_unet.devices import give_back_memory, plan
from napari_nuclei_unet.large.blockwise import Found, Source, Task, Wanted, blocks_of, find_steps
from napari_nuclei_unet.large.journals import Journal, Progress
from napari_nuclei_unet.large.surveys import Survey, survey_steps
from napari_nuclei_unet.models import load_model
from napari_nuclei_unet.prediction import Step, Wish, sticky

# What one plane adds to the total of a run.
PER_PLANE = 10_000
UNREADABLE = "A block could not be read and is empty"


class Writable(Protocol):
    """Labels that can be read and written in parts; a ``stores.LabelsStore`` is one."""

    labels: Any

    def write(self, place: tuple[int | slice, ...], values: NDArray[np.integer]) -> None:
        """Write labels."""


@dataclass(frozen=True)
class Layer:
    """One plane of a run.

    Attributes
    ----------
    source : Source
    index : tuple of int
        Of the plane in the labels: its position on the axes before Y and X.
    columns : dict of str to int
        What the table says of its place: name of an axis, and position on it.
    """

    source: Source
    index: tuple[int, ...] = ()
    columns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockStep(Step):
    """Progress of a run.

    Attributes
    ----------
    plane, planes, block, blocks : int
        At work, from 0, and how many there are; of blocks of this plane.
    nuclei : int
        Found so far.
    written : tuple of int or slice, or None
        Part of the labels that has just been written.
    """

    plane: int = 0
    planes: int = 1
    block: int = 0
    blocks: int = 1
    nuclei: int = 0
    written: tuple[int | slice, ...] | None = None


# Finds the nuclei of tasks and yields them in their order, as ``Answer``, between steps.
Compute = Callable[[Sequence[Task]], Generator[Step, Wish, None]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(Step):
    """A block is finished."""

    found: Found


def find_all_steps(tasks: Sequence[Task]) -> Generator[Step, Wish, None]:
    """Find the nuclei of blocks one after the other, in this process."""
    for task in tasks:
        found = yield from sticky(find_steps(task))
        if found is None or (yield Answer(done=1, total=1, found=found)):
            return


def stream_steps(
    layers: Sequence[Layer],
    store: Writable,
    journal: Journal,
    wanted: Wanted,
    compute: Compute = find_all_steps,
) -> Generator[Step, Wish, Progress]:
    """Segment planes into a store; what the journal says is finished is not done again.

    Blocks are written in their order, wherever they are computed, and each nucleus by the one block
    that has its centre. So a run that was broken off, or was done on many machines, gives the same
    labels as any other.

    Parameters
    ----------
    layers : sequence of Layer
    store : LabelsStore
    journal : Journal
        Has begun.
    wanted : Wanted
    compute : callable, optional
        Computes blocks, here or elsewhere.

    Yields
    ------
    Step
        With notices.
    BlockStep
        After each batch of tiles, and after each block. Sent True, the run stops: the block at work
        is dropped.

    Returns
    -------
    Progress
        Its ``plane`` is less than the number of planes if the run was stopped.

    Raises
    ------
    UserError
        If something cannot be used or written; the journal stays as it is.
    """
    model = load_model(wanted.model)
    how = plan(wanted.params, wanted.device, model.network.config)
    run = _Run(layers, store, journal)
    for number in range(journal.progress.plane, len(layers)):
        pixels = layers[number].source.open()
        check_type_and_shape(pixels)
        if (kept := journal.progress.survey) is not None:
            survey = Survey.from_json(kept)
        else:
            notices: list[str] = []
            steps = survey_steps(pixels, model, wanted.params.diameter, how, notices)
            looked = yield from sticky(steps, partial(run.wait, number))
            if looked is None:
                break
            survey = looked
            journal.commit(replace(journal.progress, survey=survey.as_json()))
            for notice in notices:
                yield Step(0, 1, notice)
        blocks = blocks_of(pixels.shape, survey.zoom)
        tasks = [Task(layers[number].source, one, survey, wanted) for one in blocks]
        if (yield from _plane_steps(run, number, tasks, compute)):
            break
    return journal.progress


def _plane_steps(
    run: _Run, number: int, tasks: list[Task], compute: Compute
) -> Generator[Step, Wish, bool]:
    """Segment what is left of one plane; whether it was stopped before the end."""
    block, blocks = run.journal.progress.block, len(tasks)
    wish = yield run.show(number, block, blocks, Step(0, 1))
    run.clear(number, tasks[block])
    work, since = compute(tasks[block:]), time.monotonic()
    try:
        step = None if wish else next(work, None)
        while step is not None:
            if isinstance(step, Answer):
                now = time.monotonic()
                shown = run.take(number, block, blocks, step.found, now - since)
                block, since = block + 1, now
            else:
                shown = run.show(number, block, blocks, step)
            wish = (yield shown) or wish
            step = _next(work, wish)
    finally:
        work.close()
    return block < blocks


def _next(work: Generator[Step, Wish, None], wish: Wish) -> Step | None:
    try:
        return work.send(wish)
    except StopIteration:
        return None


@dataclass(frozen=True, eq=False)
class _Run:
    """Writes what blocks give, and counts."""

    layers: Sequence[Layer]
    store: Writable
    journal: Journal

    def take(self, number: int, block: int, blocks: int, found: Found, seconds: float) -> BlockStep:
        """Write what was found in a block: first labels, then the table, then the journal."""
        layer, before = self.layers[number], self.journal.progress
        written: tuple[int | slice, ...] | None = None
        if found.labels.size:
            written = (*layer.index, found.at[0], found.at[1])
            window = np.asarray(self.store.labels[written])
            found = _surviving(found, window)
            place(found.labels, window, before.nuclei + 1)
            self.store.write(written, window)
        count = len(found.table["label"])
        rows = {name: np.full(count, at) for name, at in layer.columns.items()} | found.table
        rows["label"] = rows["label"] + before.nuclei
        last = block + 1 == blocks
        failed = (f"{_where(layer, block)}: {found.error}",) if found.error else ()
        after = Progress(
            plane=number + last,
            block=0 if last else block + 1,
            nuclei=before.nuclei + count,
            failed=before.failed + failed,
            survey=None if last else before.survey,
            seconds=before.seconds + seconds,
        )
        self.journal.add(rows, after)
        give_back_memory()
        notice = f"{UNREADABLE} ({failed[0]})." if failed else " ".join(found.notices)
        shown = self.show(number, block + 1, blocks, Step(0, 1, notice))
        return replace(shown, written=written)

    def clear(self, number: int, task: Task) -> None:
        """Remove what a run that was broken off has left of the block that is next."""
        rows, columns = task.block.seen
        place_of: tuple[int | slice, ...] = (*self.layers[number].index, rows, columns)
        window = np.asarray(self.store.labels[place_of])
        left = window > self.journal.progress.nuclei
        if left.any():
            window[left] = 0
            self.store.write(place_of, window)

    def wait(self, number: int, step: Step) -> BlockStep:
        """Show that a plane is looked at before its blocks are counted."""
        return self.show(number, 0, 1, Step(0, 1, step.notice))

    def show(self, number: int, block: int, blocks: int, step: Step) -> BlockStep:
        """Count a step among those of all."""
        part = (block + step.done / max(step.total, 1)) / blocks
        return BlockStep(
            done=round((number + min(part, 1)) * PER_PLANE),
            total=len(self.layers) * PER_PLANE,
            notice=step.notice,
            plane=number,
            planes=len(self.layers),
            block=min(block, blocks - 1),
            blocks=blocks,
            nuclei=self.journal.progress.nuclei,
        )


def _surviving(found: Found, window: NDArray[Any]) -> Found:
    """Leave out nuclei of which earlier blocks have taken every pixel."""
    ids = surviving(found.labels, window)
    if np.count_nonzero(ids) + 1 == ids.size:
        return found
    rows = np.flatnonzero(ids) - 1
    table = {name: column[rows] for name, column in found.table.items()}
    table["label"] = np.arange(1, rows.size + 1)
    return replace(found, labels=ids[found.labels], table=table)


def _where(layer: Layer, block: int) -> str:
    plane = "".join(f"{name} {at}, " for name, at in layer.columns.items())
    return f"{plane}block {block}"
