"""One image of a series: segmented into its files, with a row of the summary in any case."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import UserError
from ..io.paths import printable
from ..io.record_paths import drop_folders
from ..memory import MEMORY_SHORT, is_out_of_memory
from ..progress import Interrupted, Step, Stop
from .inputs import InputImage
from .job import ImageJob, open_job
from .outputs import Outcome, OutputOptions
from .run import describe_failures, segment_job_steps
from .settings import JobSettings
from .statistics import describe_nuclei
from .summary import SummaryRow

if TYPE_CHECKING:
    from ..blockwise.run import ComputeBlocks

PARTS_UNREADABLE = "Parts could not be read, and have no nuclei"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class SegmentRun:
    """What the images of a run have in common.

    Attributes
    ----------
    settings : JobSettings
    output : OutputOptions
    overwrite : bool
        Whether results that are there are replaced.
    compute : callable or None
        As in ``segment_job_steps``.
    replaced : frozenset of InputImage
        Images whose results are replaced in any case.
    """

    settings: JobSettings
    output: OutputOptions
    overwrite: bool
    compute: ComputeBlocks | None
    replaced: frozenset[InputImage] = frozenset()

    def overwrites(self, item: InputImage) -> bool:
        """Return whether the result of an image is replaced."""
        return self.overwrite or item in self.replaced


class ImageReport(Protocol):
    """What a face does of an image of a series, in the thread that segments it."""

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end, and show how far it is."""

    def begin(self, job: ImageJob) -> None:
        """Raise a UserError if what is written beside the results could not be."""

    def complete(self, job: ImageJob, ended: Outcome) -> None:
        """Write what is asked for beside the results."""

    def show_outcome(self, job: ImageJob, ended: Outcome) -> None:
        """Show what has come of an image."""

    def show_error(self, error: UserError | OSError) -> None:
        """Show why an image, or a part of it, could not be segmented."""

    def describe_error(self, error: UserError | OSError) -> str:
        """Return an error in the words of the face, for the summary."""

    def end(self, row: SummaryRow | None) -> None:
        """Take the row of an image; None: it has to run alone, later."""

    def replay(self) -> None:
        """Show, when it is its turn, what was kept of an image that ran beside others."""


def segment_image(
    item: InputImage,
    run: SegmentRun,
    report: ImageReport,
    suits: Callable[[ImageJob], bool] | None = None,
) -> SummaryRow | None:
    """Segment an image, and return its row of the summary; a failure is shown.

    Parameters
    ----------
    item : InputImage
    run : SegmentRun
    report : ImageReport
    suits : callable, optional
        Says whether an image may run beside others. None is returned for one that may not, or for
        which memory is short.
    """
    row = _segment(item, run, report, suits)
    report.end(row)
    return row


def _segment(
    item: InputImage,
    run: SegmentRun,
    report: ImageReport,
    suits: Callable[[ImageJob], bool] | None,
) -> SummaryRow | None:
    since = time.monotonic()
    job: ImageJob | None = None
    try:
        run.output.check_folder()
        job = open_job(item, run.settings, run.output)
        if suits is not None and not suits(job):
            return None
        report.begin(job)
        ended = report.run(segment_job_steps(job, run.overwrites(item), run.compute), item.title)
        report.complete(job, ended)
        return _summary_row(item, run, since, **_show_outcome(job, ended, report))
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except (MemoryError, RuntimeError, UserError, OSError) as error:  # the other files go on
        if suits is not None and _is_memory_short(error):
            return None
        if isinstance(error, MemoryError | RuntimeError):
            if not is_out_of_memory(error):
                raise
            error = UserError(MEMORY_SHORT)
        report.show_error(error)
        return _summary_row(item, run, since, "failed", error=report.describe_error(error))
    except (KeyboardInterrupt, Interrupted):
        # takes a moment to load, and most images are in memory
        from .out_of_core import read_partial_outcome

        partial = read_partial_outcome(job) if job and job.results.is_store else None
        columns = _result_columns(job, partial) if job and partial else {}
        return _summary_row(item, run, since, "stopped", **columns)


def _is_memory_short(error: BaseException) -> bool:
    return is_out_of_memory(error) or is_out_of_memory(error.__cause__ or error)


def _show_outcome(job: ImageJob, ended: Outcome, report: ImageReport) -> dict[str, Any]:
    """Show the outcome of an image, and return its columns of the summary."""
    done = _result_columns(job, ended) | {"statistics": describe_nuclei(job)}
    if ended.failed:
        some = UserError(f"{PARTS_UNREADABLE}: {describe_failures(ended)}")
        # which, and why, was reported when each was left out
        report.show_error(UserError(f"{PARTS_UNREADABLE}."))
        return {"status": "failed", "error": report.describe_error(some), **done}
    report.show_outcome(job, ended)
    return {"status": "skipped" if ended.skipped else "done", **done}


def _result_columns(job: ImageJob, ended: Outcome) -> dict[str, Any]:
    return {
        "result": printable(job.results.known_labels),
        "planes": ended.planes,
        "nuclei": ended.nuclei,
    } | ({} if ended.left_out is None else {"left_out": ended.left_out.total})


def _summary_row(
    item: InputImage, run: SegmentRun, since: float, status: str, error: str = "", **columns: Any
) -> SummaryRow:
    seconds = round(time.monotonic() - since, 3)
    error = drop_folders(error, (item.path, run.output.out, Path(run.settings.model_name)))
    return SummaryRow(
        printable(item.location), seconds=seconds, status=status, error=error, **columns
    )
