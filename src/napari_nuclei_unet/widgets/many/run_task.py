"""The run over many images, in the thread and in the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...progress import Step, Stop, check_interruption
from ..common.controller import Task
from ..common.job import describe_start, load_engine
from ..common.notify import name_controls
from .run_settings import ManySettings, create_job_settings

if TYPE_CHECKING:
    from ...batch.existing import ExistingResult
    from ...batch.inputs import InputImage
    from ...batch.series_image import SegmentRun
    from ...batch.summary import Summary, SummaryRow

LOOKING_TEXT = "Looking at the files …"
PAUSING_TEXT = "Finishing the images that are under way …"


@dataclass(frozen=True)
class ManyRequest:
    """What is segmented when Run is clicked.

    Attributes
    ----------
    paths : tuple of Path
        Files and folders, as they were chosen.
    folder : Path
        Of the results.
    settings : ManySettings
    threads_free : int
    """

    paths: tuple[Path, ...]
    folder: Path
    settings: ManySettings
    threads_free: int


@dataclass(frozen=True)
class ReplaceAnswer:
    """What the user has said of results that the run would make otherwise.

    Attributes
    ----------
    other, edited : bool
        Whether those with other settings, and those corrected by hand, are replaced.
    """

    other: bool = False
    edited: bool = False


@dataclass(frozen=True)
class FilesListed(Step):
    """The images are known, also those inside files of several."""

    items: tuple[InputImage, ...] = ()


@dataclass(frozen=True)
class ResultFound(Step):
    """A result that is there was compared with the settings."""

    item: InputImage | None = None
    row: SummaryRow | None = None


@dataclass(frozen=True)
class ManyOutcome:
    """What the thread returns.

    Attributes
    ----------
    other, edited : int
        Results with other settings, and corrected by hand, of which the user is asked before
        anything is replaced. None of either: the run has begun.
    kept : int
        Results that were corrected by hand, and keep their other settings.
    """

    other: int = 0
    edited: int = 0
    kept: int = 0


class ManyTask(Task):
    """Segments images, and skips what is done.

    Parameters
    ----------
    request : ManyRequest
    answer : ReplaceAnswer or None
        None: the user is asked, if there is anything to replace.
    on_event : callable
        Takes each step in the window.
    """

    is_whole = True  # what is finished is in files

    def __init__(
        self,
        request: ManyRequest,
        answer: ReplaceAnswer | None,
        on_event: Callable[[Step], object],
    ) -> None:
        self.request, self.answer, self._on_event = request, answer, on_event
        self.begins = describe_start(LOOKING_TEXT)
        self.outcome: ManyOutcome | None = None
        self._skipped = self._ended = 0

    def steps(self) -> Generator[Step, Stop, ManyOutcome]:
        """List the images, look at their results, and segment the others; in the thread."""
        load_engine(self.request.threads_free)
        return (yield from many_steps(self.request, self.answer))

    def on_step(self, step: Step) -> None:
        """Show where an image stands."""
        row: Any = getattr(step, "row", None)
        if row is not None and not isinstance(step, ResultFound):
            self._ended += 1
            self._skipped += row.status == "skipped"
        self._on_event(step)

    def status(self, step: Any) -> str:
        """Return how many images are done, and the time that is left."""
        if isinstance(step, FilesListed):
            return LOOKING_TEXT
        if isinstance(step, ResultFound):
            return f"Looking at the results that are there: {step.done} of {step.total}"
        message = f"{self._ended} of {step.images} images"
        parts = self._skipped * (step.total // max(step.images, 1))
        left = Step(step.done - parts, step.total - parts)
        return self.with_remaining_time(message, left, left.done <= 0)

    def on_result(self, result: ManyOutcome) -> None:
        """Keep what the thread has returned."""
        self.outcome = result

    def show_error(self, error: Exception) -> None:
        """Raise what is a bug; the dock shows the sentence of a UserError whole."""
        if not isinstance(error, UserError):
            raise error


def many_steps(
    request: ManyRequest, answer: ReplaceAnswer | None
) -> Generator[Step, Stop, ManyOutcome]:
    """Segment images into a folder, which no other run may use meanwhile; runs in the thread.

    Raises
    ------
    UserError
        If images cannot be listed, the model cannot be loaded, or the folder cannot be written, or
        is being written.
    """
    # import torch
    from ...batch.inputs import find_inputs
    from ...batch.summary import SUMMARY_FILE_NAME, Summary
    from ...io.atomic import check_writable
    from ...io.locks import write_lock

    inputs = find_inputs(request.paths)
    summary = Summary(request.folder / SUMMARY_FILE_NAME)
    summary.check()
    check_writable(request.folder)
    with write_lock(request.folder / SUMMARY_FILE_NAME):
        if (yield FilesListed(0, len(inputs), items=tuple(inputs))):
            return ManyOutcome()
        return (yield from _segment_steps(inputs, request, answer, summary))


def _segment_steps(
    inputs: list[InputImage], request: ManyRequest, answer: ReplaceAnswer | None, summary: Summary
) -> Generator[Step, Stop, ManyOutcome]:
    """Look at the results that are there, and segment the other images."""
    from ...batch.outputs import OutputOptions
    from ...batch.series_image import SegmentRun
    from ...batch.series_steps import SeriesJob, segment_series_steps
    from ...batch.workers import plan_workers

    settings = create_job_settings(request.settings, inputs)
    run = SegmentRun(settings, OutputOptions(request.folder), overwrite=False, compute=None)
    existing = yield from _look_steps(inputs, run)
    if existing is None:
        return ManyOutcome()
    other, edited = _list_kind(existing, "OTHER"), _list_kind(existing, "EDITED")
    # those that were corrected alone are kept without a question
    if other and answer is None:
        return ManyOutcome(len(other), len(edited))
    answer = answer or ReplaceAnswer()
    replaced = {*(other if answer.other else ()), *(edited if answer.edited else ())}
    kept = {*other, *edited} - replaced
    chosen = [item for item in inputs if item not in kept]
    known = {item: one.row for item, one in existing.items() if one.row is not None}
    run = dataclasses.replace(run, replaced=frozenset(replaced))
    plan = plan_workers(None, len(chosen), settings)
    yield from segment_series_steps(
        SeriesJob(chosen, run, plan, summary, inputs, known, describe_image_error)
    )
    return ManyOutcome(kept=len([item for item in edited if item in kept]))


def _list_kind(existing: Mapping[InputImage, ExistingResult], name: str) -> list[InputImage]:
    return [item for item, one in existing.items() if one.kind.name == name]


def _look_steps(
    inputs: list[InputImage], run: SegmentRun
) -> Generator[Step, Stop, dict[InputImage, ExistingResult] | None]:
    """Compare the results that are there with what the run makes; None: it was paused."""
    from ...batch.existing import check_existing
    from ...batch.known_results import find_known_results

    known = find_known_results(inputs, run.output.out)
    items = [item for item, one in known.items() if one.results is not None]
    found: dict[InputImage, ExistingResult] = {}
    for done, item in enumerate(items, 1):
        check_interruption()
        found[item] = check_existing(item, run.settings, run.output)
        if (yield ResultFound(done, len(items), item=item, row=found[item].row)):
            return None
    return found


def describe_image_error(error: UserError | OSError) -> str:
    """Return why an image could not be segmented, in one sentence, in the words of the window."""
    from ...io.paths import printable

    if isinstance(error, OSError):
        return printable(f"{error.filename or 'A file'}: {error.strerror or error}.")
    return printable(name_controls(error))
