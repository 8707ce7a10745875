"""Planes larger than memory: block by block into a store, and on from where a run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import Block, number_surviving_labels, write_block_labels
from ..arrays.boxes import full_box
from ..io.tables import insert_position
from ..models.model import Model, load_model
from ..params import SegmentParams
from ..progress import Step, Stop, forward_stop
from ..provenance.record import Provenance
from ..segmentation.device import plan_inference, release_memory
from ..segmentation.normalization import check_type_and_shape, shape_without_alpha
from .block import (
    BlockParams,
    BlockResult,
    BlockTask,
    PlaneSource,
    empty_block_result,
    plan_blocks_at_zoom,
    segment_block_steps,
)
from .journal import Journal
from .retry import ReadFailure, RunProgress
from .survey import Survey, UnreadablePlaneError, survey_steps

# What one plane adds to the total of a run.
BLOCKWISE_PROGRESS_PER_PLANE = 10_000
PART_EMPTY = "A part is empty"
PlanePosition = tuple[int | slice, ...]


class WritableLabels(Protocol):
    """Labels that can be read and written in parts; an ``io.ome_zarr.LabelsStore`` is one."""

    labels: Any

    def write(self, place: PlanePosition, values: NDArray[np.integer]) -> None:
        """Write labels."""


@dataclass(frozen=True)
class BlockwisePlane:
    """One plane of a run.

    Attributes
    ----------
    source : PlaneSource
    index : tuple of int
        Of the plane in the labels: its position on the axes before Y and X.
    columns : dict of str to int
        What the table says of its place: name of an axis, and position on it.
    """

    source: PlaneSource
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
    written: PlanePosition | None = None


# Finds the nuclei of tasks and yields them in their order, as ``SegmentedBlockStep``.
ComputeBlocks = Callable[[Sequence[BlockTask]], Generator[Step, Stop, None]]
# Is told whether reading has failed; raises where that is no wonder, as the image is gone.
CheckSource = Callable[[bool], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedBlockStep(Step):
    """A block is finished."""

    found: BlockResult


def compute_locally_steps(tasks: Sequence[BlockTask]) -> Generator[Step, Stop, None]:
    """Find the nuclei of blocks one after the other, in this process."""
    for task in tasks:
        found = yield from forward_stop(segment_block_steps(task))
        if found is None or (yield SegmentedBlockStep(done=1, total=1, found=found)):
            return


def _skip_check(_: bool) -> None:
    """Take the image to be there."""


def segment_blockwise_steps(
    planes: Sequence[BlockwisePlane],
    store: WritableLabels,
    journal: Journal,
    block_params: BlockParams,
    compute: ComputeBlocks = compute_locally_steps,
    check: CheckSource = _skip_check,
) -> Generator[Step, Stop, RunProgress]:
    """Segment planes into a store; what the journal says is finished is not done again.

    Blocks are written in their order, wherever they are computed, and each nucleus by the one block
    that has its centre. So a run that was broken off, or was done on many machines, gives the same
    labels as any other. What an earlier run could not read is tried again in the end, and its
    nuclei get ids above all others.

    Parameters
    ----------
    planes : sequence of BlockwisePlane
    store : LabelsStore
    journal : Journal
        Has begun.
    block_params : BlockParams
    compute : callable, optional
        Computes blocks, here or elsewhere.
    check : callable, optional
        Is called before anything that was read is believed, and told whether reading has failed. It
        raises a UserError if the image is gone.

    Yields
    ------
    Step
        With notices.
    BlockStep
        After each batch of tiles, and after each block. Sent True, the run stops: the block at work
        is dropped.

    Returns
    -------
    RunProgress
        Its ``next_plane`` is not None if the run was stopped.

    Raises
    ------
    UserError
        If something cannot be used or written; the journal stays as it is.
    """
    run = _BlockwiseRun(planes, store, journal, check)
    while (number := journal.progress.next_plane(len(planes))) is not None:
        if str(number) not in journal.progress.surveys:
            stopped = yield from _survey_steps(run, number, block_params)
        else:
            stopped = yield from _plane_steps(run, number, block_params, compute)
        if stopped:
            break
    return journal.progress


def _survey_steps(
    run: _BlockwiseRun, number: int, block_params: BlockParams
) -> Generator[Step, Stop, bool]:
    """Look at a plane before its blocks; whether it was stopped before the end."""
    model = load_model(block_params.model)
    how = plan_inference(block_params.params, block_params.device, model.network.config)
    pixels, notices = run.planes[number].source.open(), list[str]()
    check_type_and_shape(pixels)

    def checked(step: Step) -> BlockStep:
        run.check(bool(notices))
        return run.count_step(number, 0, 1, Step(0, 1, step.notice))

    try:
        steps = survey_steps(pixels, model, block_params.params.diameter, how, notices)
        survey = yield from forward_stop(steps, checked)
    except UnreadablePlaneError as error:
        notice, _ = run.write_result(
            number, None, _unreadable_plane_result(pixels.shape, str(error)), 0.0, True
        )
        return bool((yield run.count_step(number, 1, 1, Step(0, 1, notice))))
    if survey is None:
        return True
    run.check(bool(notices))
    blocks = plan_blocks_at_zoom(pixels.shape, survey.zoom, block_params.size)
    run.record_survey(number, survey, len(blocks))
    for notice in notices:
        yield Step(0, 1, notice)
    return False


def _unreadable_plane_result(shape: tuple[int, ...], error: str) -> BlockResult:
    """Return the result of a plane of which nothing could be read."""
    whole = full_box(shape)
    return empty_block_result(Block(whole, whole), shape_without_alpha(shape), error)


def _plane_steps(
    run: _BlockwiseRun, number: int, block_params: BlockParams, compute: ComputeBlocks
) -> Generator[Step, Stop, bool]:
    """Segment what is left of a plane that was looked at; whether it was stopped before the end."""
    progress, source = run.journal.progress, run.planes[number].source
    survey = Survey.from_json(progress.surveys[str(number)])
    tasks = [
        BlockTask(source, one, survey, block_params)
        for one in plan_blocks_at_zoom(source.open().shape, survey.zoom, block_params.size)
    ]
    left = progress.remaining_blocks(number, len(tasks))
    blocks = len(left) if number < progress.plane else len(tasks)
    block = first = blocks - len(left)
    stopped = yield run.count_step(number, block, blocks, Step(0, 1))
    run.clear_leftovers(number, tasks[left[0]])
    since = time.monotonic()

    def written_down(step: Step) -> Step:
        nonlocal block, since
        if not isinstance(step, SegmentedBlockStep):
            return run.count_step(number, block, blocks, step)
        now, at, last = time.monotonic(), left[block - first], block + 1 == blocks
        notice, written = run.write_result(number, at, step.found, now - since, last)
        block, since = block + 1, now
        return run.count_step(number, block, blocks, Step(0, 1, notice), written)

    if not stopped:
        yield from forward_stop(compute([tasks[one] for one in left]), written_down)
    return block < blocks


@dataclass(frozen=True, eq=False)
class _BlockwiseRun:
    """Writes what blocks give, and counts."""

    planes: Sequence[BlockwisePlane]
    store: WritableLabels
    journal: Journal
    check: CheckSource

    def record_survey(self, number: int, survey: Survey, blocks: int) -> None:
        """Write down what was seen of a plane."""
        before = self.journal.progress
        if number < before.plane:
            before = before.split_into_blocks(blocks)
        surveys = before.surveys | {str(number): survey.to_json()}
        self.journal.commit(replace(before, surveys=surveys))

    def write_result(
        self, number: int, block: int | None, found: BlockResult, seconds: float, last: bool
    ) -> tuple[str, PlanePosition | None]:
        """Write what was found: first labels, then the table, then the journal.

        What the user has to know, and where labels were written.
        """
        self.check(bool(found.error))
        layer, before = self.planes[number], self.journal.progress
        written: PlanePosition | None = None
        if found.labels.size:
            written = (*layer.index, found.box[0], found.box[1])
            window = np.asarray(self.store.labels[written])
            found = _drop_overwritten(found, window)
            write_block_labels(found.labels, window, before.nuclei + 1)
            self.store.write(written, window)
        count = len(found.table)
        table = found.table.assign(label=found.table["label"] + before.nuclei)
        told = f"{_describe_position(layer, block)}: {found.error}"
        failed = (ReadFailure(number, block, told),) if found.error else ()
        after = before.advance(number, last, failed)
        nuclei, seconds = before.nuclei + count, before.seconds + seconds
        self.journal.add(
            insert_position(table, layer.columns), replace(after, nuclei=nuclei, seconds=seconds)
        )
        release_memory()
        return f"{PART_EMPTY} ({told})." if failed else " ".join(found.notices), written

    def clear_leftovers(self, number: int, task: BlockTask) -> None:
        """Remove what a run that was broken off has left of the block that is next."""
        rows, columns = task.block.read
        place_of: PlanePosition = (*self.planes[number].index, rows, columns)
        window = np.asarray(self.store.labels[place_of])
        left = window > self.journal.progress.nuclei
        if left.any():
            window[left] = 0
            self.store.write(place_of, window)

    def count_step(
        self, number: int, block: int, blocks: int, step: Step, written: PlanePosition | None = None
    ) -> BlockStep:
        """Count a step among those of all."""
        part = (block + step.done / max(step.total, 1)) / blocks
        return BlockStep(
            done=round((number + min(part, 1)) * BLOCKWISE_PROGRESS_PER_PLANE),
            total=len(self.planes) * BLOCKWISE_PROGRESS_PER_PLANE,
            notice=step.notice,
            plane=number,
            planes=len(self.planes),
            block=min(block, blocks - 1),
            blocks=blocks,
            nuclei=self.journal.progress.nuclei,
            written=written,
        )


def _drop_overwritten(found: BlockResult, window: NDArray[Any]) -> BlockResult:
    """Leave out nuclei of which earlier blocks have taken every pixel."""
    ids = number_surviving_labels(found.labels, window)
    if np.count_nonzero(ids) + 1 == ids.size:
        return found
    rows = np.flatnonzero(ids) - 1
    table = found.table.iloc[rows].assign(label=np.arange(1, rows.size + 1))
    return replace(found, labels=ids[found.labels], table=table)


def _describe_position(layer: BlockwisePlane, block: int | None) -> str:
    parts = [f"{name} {at}" for name, at in layer.columns.items()]
    if block is not None:
        parts.append(f"block {block}")
    return ", ".join(parts) or "the whole plane"


def describe_run(
    model: Model, params: SegmentParams, device: str, progress: RunProgress
) -> Provenance:
    """Return the provenance of a run into an OME-Zarr, as far as blocks and planes share it."""
    return Provenance.of_run(
        model=model.card.name,
        model_sha256=model.card.sha256,
        params=params,
        device=device,
        ran_on=plan_inference(params, device, model.network.config),
        seconds=round(progress.seconds, 3),
        format="zarr",
        nuclei=progress.nuclei,
        failed=tuple(block.message for block in progress.failed),
    )
