"""A series of images as steps: what the window shows while images run side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeVar

from ..errors import UserError
from ..io.paths import printable
from ..progress import Step, Stop, check_interruption, interruptible, run
from .inputs import InputImage
from .job import ImageJob
from .outputs import Outcome
from .series import REQUEST_INTERVAL, segment_series
from .series_image import SegmentRun
from .summary import Summary, SummaryRow
from .workers import WorkerPlan

# Of the progress of an image.
PARTS_PER_IMAGE = 100
# Seconds between events of an image: of small ones only their beginning and end is shown.
EVENT_INTERVAL = 0.25
_Result = TypeVar("_Result")
DescribeError = Callable[[UserError | OSError], str]


@dataclass(frozen=True)
class SeriesStep(Step):
    """Where an image of a series stands; ``done`` and ``total`` are hundredths of images.

    Attributes
    ----------
    item : InputImage or None
        None: nothing is new.
    row : SummaryRow or None
        None: it is not over yet.
    is_running : bool
        Whether it is being segmented.
    images : int
        All of the series.
    """

    item: InputImage | None = None
    row: SummaryRow | None = None
    is_running: bool = False
    images: int = 0


@dataclass(frozen=True)
class _Event:
    """What a thread says of an image; ``share`` of it is done."""

    item: InputImage
    share: float = 0.0
    notice: str = ""
    row: SummaryRow | None = None
    is_over: bool = False


@dataclass(frozen=True)
class _EventReport:
    """Puts what comes of an image into a queue; its methods are those of ``ImageReport``."""

    item: InputImage
    events: SimpleQueue[_Event]
    describe: DescribeError

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end."""
        seen: set[str] = {""}
        last = time.monotonic()

        def put(step: Step) -> None:
            nonlocal last
            check_interruption()
            now, is_new = time.monotonic(), step.notice not in seen
            if is_new or now - last >= EVENT_INTERVAL:
                last = now
                seen.add(step.notice)
                notice = f"{name}: {step.notice}" if is_new else ""
                self.events.put(_Event(self.item, step.done / max(step.total, 1), notice))

        return run(steps, put)

    def begin(self, _: ImageJob) -> None:
        """Report that the image is being segmented."""
        self.events.put(_Event(self.item))

    def complete(self, job: ImageJob, ended: Outcome) -> None:
        """Write nothing beside the results."""

    def show_outcome(self, job: ImageJob, ended: Outcome) -> None:
        """Show nothing: the row says it all."""

    def show_error(self, error: UserError | OSError) -> None:
        """Show nothing: the row says it all."""

    def describe_error(self, error: UserError | OSError) -> str:
        """Return an error in the words of the face."""
        return self.describe(error)

    def end(self, row: SummaryRow | None) -> None:
        """Put the row of an image; None: it has to run alone, later."""
        self.events.put(_Event(self.item, row=row, is_over=True))

    def replay(self) -> None:
        """Show nothing: all was shown when it happened."""


@dataclass
class _Progress:
    """How far a series is."""

    total: int
    ended: int = 0
    shares: dict[InputImage, float] = field(default_factory=dict)

    def step(self, event: _Event | None = None) -> SeriesStep:
        """Take an event, and return it as a step."""
        if event is not None and event.is_over:
            self.shares.pop(event.item, None)
            self.ended += event.row is not None
        elif event is not None:
            self.shares[event.item] = event.share
        done = round(PARTS_PER_IMAGE * (self.ended + sum(self.shares.values())))
        total = PARTS_PER_IMAGE * self.total
        if event is None:
            return SeriesStep(done, total, images=self.total)
        is_running = not event.is_over
        return SeriesStep(done, total, event.notice, event.item, event.row, is_running, self.total)


@dataclass(frozen=True)
class SeriesJob:
    """Images to segment, and how.

    Attributes
    ----------
    inputs : sequence of InputImage
    run : SegmentRun
    plan : WorkerPlan
    summary : Summary
    listed : sequence of InputImage
        All images of the list, in its order.
    known : mapping of InputImage to SummaryRow
        Results that are there: the summary keeps them where the run does not come to them.
    describe_error : callable
        Returns an error in the words of the face.
    """

    inputs: Sequence[InputImage]
    run: SegmentRun
    plan: WorkerPlan
    summary: Summary
    listed: Sequence[InputImage]
    known: Mapping[InputImage, SummaryRow]
    describe_error: DescribeError


def segment_series_steps(job: SeriesJob) -> Generator[Step, Stop, bool]:
    """Segment images into files and the summary.

    Yields
    ------
    SeriesStep
        For a request to stop, no other image is begun, and those under way are finished.

    Returns
    -------
    bool
        Whether all images were done, and none of them is left.

    Raises
    ------
    UserError
        If the summary cannot be written; that of an image is in its row.
    """
    events: SimpleQueue[_Event] = SimpleQueue()
    paused, cancelled = threading.Event(), threading.Event()
    progress = _Progress(len(job.inputs))
    with ThreadPoolExecutor(1, "series") as thread:
        try:
            driver = thread.submit(_drive, job, events, paused, cancelled)
            while not (driver.done() and events.empty()):
                check_interruption()
                if (yield progress.step(_next_event(events, driver))):
                    paused.set()
            driver.result()
        finally:
            cancelled.set()
    return progress.ended == len(job.inputs)


def _next_event(events: SimpleQueue[_Event], driver: Future[None]) -> _Event | None:
    try:
        return events.get(timeout=0 if driver.done() else REQUEST_INTERVAL)
    except Empty:
        return None


def _drive(
    job: SeriesJob,
    events: SimpleQueue[_Event],
    paused: threading.Event,
    cancelled: threading.Event,
) -> None:
    """Segment the images, and write the summary; runs in a thread of its own."""

    def create_report(item: InputImage, _: bool) -> _EventReport:
        return _EventReport(item, events, job.describe_error)

    series = segment_series(job.inputs, job.run, job.plan, create_report, paused.is_set)
    try:
        with interruptible(cancelled.is_set), closing(series) as rows:
            for row in rows:
                job.summary.add(row)
    except KeyboardInterrupt:  # as the driver ends when it was interrupted
        pass
    finally:
        _keep_known(job)


def _keep_known(job: SeriesJob) -> None:
    """Keep results in the summary to which the run did not come; all in the order of the list."""
    written = {row.image for row in job.summary.rows}
    for row in job.known.values():
        if row.image not in written:
            job.summary.add(row)
    job.summary.sort([printable(item.location) for item in job.listed])
