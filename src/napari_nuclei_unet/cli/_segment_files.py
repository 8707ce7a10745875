"""``segment`` for its images, side by side where they are small."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..progress import Interrupted
from ._bar import hidden_bar, images_bar
from ._console import Screen, Transcript
from ._segment_file import SegmentRun, segment_file

if TYPE_CHECKING:
    from ..batch.inputs import InputImage
    from ..batch.run import SummaryRow
    from ..batch.workers import WorkerPlan, WorkerThreads

# Images under way, or waiting to be reported, for each worker.
IMAGES_PER_WORKER = 3
# Seconds between looks for Ctrl-C, which does not end a longer wait on Windows.
CTRL_C_INTERVAL = 0.2


def segment_files(
    inputs: Sequence[InputImage], run: SegmentRun, plan: WorkerPlan
) -> Generator[SummaryRow, None, None]:
    """Segment images, and yield their rows of the summary, in the order of the images.

    Parameters
    ----------
    inputs : sequence of InputImage
    run : SegmentRun
    plan : WorkerPlan

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, and after the rows of what was finished or begun before.
    """
    if plan.workers > 1:
        yield from _segment_side_by_side(inputs, run, plan)
        return
    for item in inputs:
        row = _segment_alone(item, run)
        yield row
        if row.status == "stopped":
            raise KeyboardInterrupt


def _segment_alone(item: InputImage, run: SegmentRun) -> SummaryRow:
    row = segment_file(item, run, Screen())
    assert row is not None  # whatever is alone suits
    return row


@dataclass(frozen=True)
class _Begun:
    """An image that a worker segments; its row is None if it has to run alone."""

    item: InputImage
    row: Future[SummaryRow | None]
    transcript: Transcript


@dataclass
class _Queue:
    """Images that are waiting, and those that workers have begun."""

    threads: WorkerThreads
    run: SegmentRun
    plan: WorkerPlan
    waiting: deque[InputImage]
    begun: deque[_Begun] = field(default_factory=deque)
    is_stopped: bool = False

    def fill(self) -> None:
        """Submit images until the workers have enough to do."""
        while self.waiting and len(self.begun) < IMAGES_PER_WORKER * self.plan.workers:
            item, transcript = self.waiting[0], Transcript()
            work = partial(segment_file, item, self.run, transcript, self.plan.suits)
            self.begun.append(_Begun(item, self.threads.submit(work), transcript))
            self.waiting.popleft()

    def stop(self) -> None:
        """Interrupt the workers; what they have finished, or begun, stays in the queue."""
        self.is_stopped = True
        self.waiting.clear()
        self.threads.stop()


def _segment_side_by_side(
    inputs: Sequence[InputImage], run: SegmentRun, plan: WorkerPlan
) -> Generator[SummaryRow, None, None]:
    # in the function, so that --help does not load torch
    from ..batch.workers import WorkerThreads

    with WorkerThreads(plan) as threads, images_bar(len(inputs)) as bar:
        queue = _Queue(threads, run, plan, deque(inputs))
        while queue.waiting or queue.begun:
            try:
                queue.fill()
                _wait_for(queue.begun[0].row)
            except KeyboardInterrupt:
                queue.stop()
            row = _take_row(queue) if queue.begun else None
            if row is not None:
                yield row
                bar.update()
        if queue.is_stopped:
            raise KeyboardInterrupt


def _wait_for(*futures: Future[SummaryRow | None]) -> None:
    # for `wait` alone, one that was cancelled before it began is never over
    while not all(future.done() for future in futures):
        wait(futures, CTRL_C_INTERVAL)


def _take_row(queue: _Queue) -> SummaryRow | None:
    """Take the first image that was begun, print what there is of it, and return its row.

    None: it had not really begun when the run was stopped.
    """
    first = queue.begun.popleft()
    try:
        row = first.row.result()
    except (CancelledError, Interrupted):
        return None
    if row is None and not queue.is_stopped:
        return _take_alone(first.item, queue)
    with hidden_bar():
        first.transcript.replay()
    return row


def _take_alone(item: InputImage, queue: _Queue) -> SummaryRow | None:
    """Segment an image that takes all threads, when the workers have nothing to do."""
    try:
        _wait_for(*(begun.row for begun in queue.begun))
    except KeyboardInterrupt:
        queue.stop()
        return None
    row = _segment_alone(item, queue.run)
    if row.status == "stopped":
        queue.stop()
    return row
