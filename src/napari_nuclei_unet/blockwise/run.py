"""Planes larger than memory: block by block into a store, and on from where a run stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from ..io.store_repair import RepairableLabels
from ..progress import Step, Stop, forward_stop
from .block import BlockParams, BlockTask, segment_block_steps
from .journal import Journal
from .retry import RunProgress
from .stages import (
    BlockwisePlane,
    BlockwiseRun,
    CheckSource,
    PlaneSurvey,
    RemainingBlocks,
    SegmentedBlockStep,
)
from .survey import UnreadablePlaneError

# Finds the nuclei of tasks and yields them in their order, as ``SegmentedBlockStep``. Where it has
# an attribute ``processes``, so many of this computer do that at once, beside this one.
ComputeBlocks = Callable[[Sequence[BlockTask]], Generator[Step, Stop, None]]


def compute_locally_steps(tasks: Sequence[BlockTask]) -> Generator[Step, Stop, None]:
    """Find the nuclei of blocks one after the other, in this process."""
    for task in tasks:
        found = yield from segment_block_steps(task)
        if found is None or (yield SegmentedBlockStep(done=1, total=1, found=found)):
            return


def _skip_check(_: bool) -> None:
    """Take the image to be there."""


def segment_blockwise_steps(
    planes: Sequence[BlockwisePlane],
    store: RepairableLabels,
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
    processes = getattr(compute, "processes", 0)
    run = BlockwiseRun(planes, store, journal, block_params, check, processes)
    stop: Stop = None
    while not stop and (number := journal.progress.next_plane(len(planes))) is not None:
        if str(number) in journal.progress.surveys:
            rest = RemainingBlocks(run, number)
            if not (yield rest.count(Step(0, 1))):
                yield from forward_stop(compute(rest.begin()), rest.count)
            stop = rest.block < rest.blocks
            continue
        look = PlaneSurvey(run, number)
        try:
            survey = yield from forward_stop(look.steps(), look.count)
        except UnreadablePlaneError as error:
            stop = yield look.record_unreadable(str(error))
            continue
        if survey is None:
            break
        for notice in look.record(survey):
            stop = (yield Step(0, 1, notice)) or stop
    return journal.progress
