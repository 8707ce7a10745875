"""Survey and blocks of the planes of a run, and where what they give is written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import Block, number_surviving_labels, write_block_labels
from ..arrays.boxes import full_box
from ..io.store_repair import RepairableLabels, clear_unreadable, read_written_chunks
from ..io.tables import insert_position
from ..io.zarr_levels import DamagedChunkError
from ..models.model import load_model
from ..progress import Step, Stop
from ..segmentation.device import plan_inference, release_memory
from ..segmentation.intensity_range import automatic_gamma
from ..segmentation.normalization import check_type_and_shape, shape_without_alpha
from .block import BlockParams, BlockResult, BlockTask, PlaneSource, empty_block_result
from .block_size import fit_block_size, plan_blocks_at_zoom, require_survey_memory
from .journal import Journal
from .retry import ReadFailure
from .survey import Survey, survey_steps

# What one plane adds to the total of a run.
BLOCKWISE_PROGRESS_PER_PLANE = 10_000
PART_EMPTY = "A part is empty"
PlanePosition = tuple[int | slice, ...]


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


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedBlockStep(Step):
    """A block is finished."""

    found: BlockResult


# Is told whether reading has failed; raises where that is no wonder, as the image is gone.
CheckSource = Callable[[bool], None]


@dataclass(frozen=True, eq=False)
class BlockwiseRun:
    """Writes what blocks give, and counts."""

    planes: Sequence[BlockwisePlane]
    store: RepairableLabels
    journal: Journal
    block_params: BlockParams
    check: CheckSource
    processes: int = 0

    def record_survey(self, number: int, survey: Survey, blocks: int) -> None:
        """Write down what was seen of a plane."""
        before = self.journal.progress
        if number < before.plane:
            before = before.split_into_blocks(blocks)
        surveys = before.surveys | {str(number): survey.to_json()}
        gamma = automatic_gamma(survey.gamma, self.block_params.params)
        gammas = before.gammas | ({} if gamma is None else {str(number): gamma})
        self.journal.commit(replace(before, surveys=surveys, gammas=gammas))

    def write_result(
        self, number: int, block: int | None, found: BlockResult, seconds: float, last: bool
    ) -> tuple[str, PlanePosition | None]:
        """Write what was found: first labels, then the table, then the journal.

        What the user has to know, and where labels were written.
        """
        self.check(bool(found.error))
        self.journal.check_unchanged()
        layer, before = self.planes[number], self.journal.progress
        written: PlanePosition | None = None
        if found.labels.size:
            written = (*layer.index, found.box[0], found.box[1])
            window = self.store.read(written)
            found = _drop_overwritten(found, window)
            write_block_labels(found.labels, window, before.nuclei + 1)
            self.store.write(written, window)
        count = len(found.table)
        table = found.table.assign(label=found.table["label"] + before.nuclei)
        told = f"{_describe_position(layer, block)}: {found.error}"
        failed = (ReadFailure(number, block, told),) if found.error else ()
        after = before.advance(number, last, failed)
        after = replace(
            after,
            nuclei=before.nuclei + count,
            seconds=before.seconds + seconds,
            left_out=before.add_left_out(found.left_out),
        )
        chunks = {} if written is None else read_written_chunks(self.store, written)
        self.journal.add(insert_position(table, layer.columns), after, chunks)
        release_memory()
        return f"{PART_EMPTY} ({told})." if failed else " ".join(found.notices), written

    def clear_leftovers(self, number: int, block: Block) -> None:
        """Remove what a run that was broken off has left of the block that is next.

        Chunks that it has not written to their end become background.
        """
        index = self.planes[number].index
        place_of: PlanePosition = (*index, *block.read)
        try:
            window = self.store.read(place_of)
        except DamagedChunkError:
            clear_unreadable(self.store, place_of)
            window = self.store.read(place_of)
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


class PlaneSurvey:
    """Looks at a plane before its blocks."""

    def __init__(self, run: BlockwiseRun, number: int) -> None:
        self._run, self._number = run, number
        self._pixels = run.planes[number].source.open()
        self._notices: list[str] = []

    def steps(self) -> Generator[Step, Stop, Survey | None]:
        """Return the steps of the survey; its result is None if it was stopped."""
        params = self._run.block_params
        model = load_model(params.model)
        plan = plan_inference(params.params, params.device, model)
        check_type_and_shape(self._pixels)
        require_survey_memory(self._pixels.shape)
        return survey_steps(self._pixels, model, params.params, plan, self._notices)

    def count(self, step: Step) -> BlockStep:
        """Count a step of the survey among those of the run, where it is no part of the work."""
        self._run.check(bool(self._notices))
        return self._run.count_step(self._number, 0, 1, Step(0, 1, step.notice))

    def record(self, survey: Survey) -> list[str]:
        """Write down what was seen; return what the user has to know."""
        self._run.check(bool(self._notices))
        shape, size = self._pixels.shape, self._run.block_params.size
        fitting = fit_block_size(size, shape, survey.zoom, self._run.processes)
        survey = replace(survey, block_size=fitting)
        blocks = plan_blocks_at_zoom(shape, survey.zoom, survey.block_size)
        self._run.record_survey(self._number, survey, len(blocks))
        return self._notices

    def record_unreadable(self, reason: str) -> BlockStep:
        """Write down that nothing could be read."""
        shape = self._pixels.shape
        whole = full_box(shape)
        found = empty_block_result(
            Block(whole, whole), shape_without_alpha(shape), self._run.block_params, reason
        )
        notice, _ = self._run.write_result(self._number, None, found, 0.0, True)
        return self._run.count_step(self._number, 1, 1, Step(0, 1, notice))


class RemainingBlocks:
    """Segments what is left of a plane that was looked at.

    Attributes
    ----------
    block, blocks : int
        The next, from 0, and how many there are.
    """

    def __init__(self, run: BlockwiseRun, number: int) -> None:
        self._run, self._number = run, number
        progress, source = run.journal.progress, run.planes[number].source
        survey = Survey.from_json(progress.surveys[str(number)])
        # a run that is resumed has the same blocks, however much memory is free now
        size = survey.block_size or run.block_params.size
        blocks = plan_blocks_at_zoom(source.open().shape, survey.zoom, size)
        self._left = progress.remaining_blocks(number, len(blocks))
        self._tasks = [
            BlockTask(source, blocks[one], survey, run.block_params) for one in self._left
        ]
        self.blocks = len(self._left) if number < progress.plane else len(blocks)
        self.block = self._first = self.blocks - len(self._left)
        self._since = time.monotonic()

    def begin(self) -> list[BlockTask]:
        """Remove what a run that was broken off has left of the next block; return all tasks."""
        self._run.clear_leftovers(self._number, self._tasks[0].block)
        self._since = time.monotonic()
        return self._tasks

    def count(self, step: Step) -> BlockStep:
        """Count a step among those of the run; of a finished block, write down what it gave."""
        if not isinstance(step, SegmentedBlockStep):
            return self._run.count_step(self._number, self.block, self.blocks, step)
        now, at = time.monotonic(), self._left[self.block - self._first]
        last = self.block + 1 == self.blocks
        notice, written = self._run.write_result(
            self._number, at, step.found, now - self._since, last
        )
        self.block, self._since = self.block + 1, now
        step = Step(0, 1, notice)
        return self._run.count_step(self._number, self.block, self.blocks, step, written)


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
