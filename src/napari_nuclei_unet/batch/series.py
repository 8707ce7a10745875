"""Many images, side by side in threads where they are small; the same for both faces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from functools import partial

from ..progress import Interrupted, check_interruption
from .inputs import InputImage
from .series_image import ImageReport, SegmentRun, segment_image
from .summary import SummaryRow
from .workers import WorkerPlan, WorkerThreads

# Images under way, or waiting to be reported, for each worker.
IMAGES_PER_WORKER = 3
# Seconds between looks for Ctrl-C, which does not end a longer wait on Windows, and for a pause.
REQUEST_INTERVAL = 0.2

# Makes the report of an image, and is told whether it runs alone.
CreateReport = Callable[[InputImage, bool], ImageReport]


def segment_series(
    inputs: Sequence[InputImage],
    run: SegmentRun,
    plan: WorkerPlan,
    create_report: CreateReport,
    is_paused: Callable[[], bool] = bool,
) -> Generator[SummaryRow, None, None]:
    """Segment images, and yield their rows of the summary, in the order of the images.

    Parameters
    ----------
    inputs : sequence of InputImage
    run : SegmentRun
    plan : WorkerPlan
    create_report : callable
    is_paused : callable, optional
        Once it returns True, no other image is begun; those under way are finished.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, or when the thread was interrupted, and after the rows of what was finished
        or begun before.
    """
    if plan.workers > 1:
        threads = WorkerThreads(plan)
        yield from _segment_side_by_side(
            _Queue(threads, run, plan, deque(inputs), create_report, is_paused)
        )
        return
    for item in inputs:
        if is_paused():
            return
        row = _segment_alone(item, run, create_report)
        yield row
        if row.status == "stopped":
            raise KeyboardInterrupt


def _segment_alone(item: InputImage, run: SegmentRun, create_report: CreateReport) -> SummaryRow:
    row = segment_image(item, run, create_report(item, True))
    assert row is not None  # whatever is alone suits
    return row


@dataclass(frozen=True)
class _Begun:
    """An image that a worker segments; its row is None if it has to run alone."""

    item: InputImage
    row: Future[SummaryRow | None]
    report: ImageReport


@dataclass
class _Queue:
    """Images that are waiting, and those that workers have begun."""

    threads: WorkerThreads
    run: SegmentRun
    plan: WorkerPlan
    waiting: deque[InputImage]
    create_report: CreateReport
    is_paused: Callable[[], bool]
    begun: deque[_Begun] = field(default_factory=deque)
    is_stopped: bool = False

    def fill(self) -> None:
        """Submit images until the workers have enough to do."""
        while self.waiting and len(self.begun) < IMAGES_PER_WORKER * self.plan.workers:
            item = self.waiting[0]
            report = self.create_report(item, False)
            work = partial(segment_image, item, self.run, report, self.plan.suits)
            self.begun.append(_Begun(item, self.threads.submit(work), report))
            self.waiting.popleft()

    def stop(self) -> None:
        """Interrupt the workers; what they have finished, or begun, stays in the queue."""
        self.is_stopped = True
        self.waiting.clear()
        self.threads.stop()

    def check_requests(self) -> None:
        """Begin no other image if the run is paused; raise an error if it was interrupted."""
        check_interruption()
        if self.is_paused():
            self.waiting.clear()
            for begun in self.begun:
                begun.row.cancel()  # only of what no worker has begun


def _segment_side_by_side(queue: _Queue) -> Generator[SummaryRow, None, None]:
    with queue.threads:
        while queue.waiting or queue.begun:
            try:
                queue.fill()
                _wait_for(queue, queue.begun[0].row)
            except (KeyboardInterrupt, Interrupted):
                queue.stop()
            row = _take_row(queue) if queue.begun else None
            if row is not None:
                yield row
        if queue.is_stopped:
            raise KeyboardInterrupt


def _wait_for(queue: _Queue, *futures: Future[SummaryRow | None]) -> None:
    # for `wait` alone, one that was cancelled before it began is never over
    queue.check_requests()
    while not all(future.done() for future in futures):
        wait(futures, REQUEST_INTERVAL)
        queue.check_requests()


def _take_row(queue: _Queue) -> SummaryRow | None:
    """Take the first image that was begun, show what there is of it, and return its row.

    None: it had not really begun when the run was stopped or paused.
    """
    first = queue.begun.popleft()
    try:
        row = first.row.result()
    except (CancelledError, Interrupted):
        return None
    if row is None and not queue.is_stopped:
        return _take_alone(first.item, queue)
    first.report.replay()
    return row


def _take_alone(item: InputImage, queue: _Queue) -> SummaryRow | None:
    """Segment an image that takes all threads, when the workers have nothing to do."""
    try:
        _wait_for(queue, *(begun.row for begun in queue.begun))
    except (KeyboardInterrupt, Interrupted):
        queue.stop()
        return None
    if queue.is_paused():
        return None
    row = _segment_alone(item, queue.run, queue.create_report)
    if row.status == "stopped":
        queue.stop()
    return row
