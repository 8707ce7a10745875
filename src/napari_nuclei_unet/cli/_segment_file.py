"""``segment`` for one of its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..counts import choose_noun
from ..errors import UserError
from ..io.paths import printable
from ..progress import Interrupted
from ._common import error_message
from ._console import Console
from ._extras import write_extras
from ._into_image import check_into_image
from ._results import check_formats_writable

if TYPE_CHECKING:
    from ..batch.inputs import InputImage
    from ..batch.job import ImageJob
    from ..batch.outputs import Outcome, OutputOptions
    from ..batch.run import SummaryRow
    from ..batch.settings import JobSettings
    from ..blockwise.run import ComputeBlocks
    from ..provenance.left_out_counts import LeftOutCounts

MEMORY_SHORT = "There is not enough memory: close other programs, or use --format zarr."
PARTS_UNREADABLE = "Parts could not be read, and have no nuclei"


@dataclass(frozen=True)
class SegmentRun:
    """What the images of a run have in common.

    Attributes
    ----------
    settings : JobSettings
    output : OutputOptions
    overwrite : bool
    compute : callable or None
        As in ``segment_job_steps``.
    """

    settings: JobSettings
    output: OutputOptions
    overwrite: bool
    compute: ComputeBlocks | None


def segment_file(
    item: InputImage,
    run: SegmentRun,
    console: Console,
    suits: Callable[[ImageJob], bool] | None = None,
) -> SummaryRow | None:
    """Segment an image, and return its row of the summary; a failure is printed.

    Parameters
    ----------
    item : InputImage
    run : SegmentRun
    console : Console
    suits : callable, optional
        Says whether an image may run beside others. None is returned for one that may not, or for
        which memory is short.
    """
    # in the functions, so that --help does not load torch
    from ..batch.job import open_job
    from ..batch.run import segment_job_steps

    since = time.monotonic()
    job: ImageJob | None = None
    try:
        job = open_job(item, run.settings, run.output)
        if suits is not None and not suits(job):
            return None
        check_into_image(job, run.output.into_image, run.overwrite)
        check_formats_writable(job, run.output.save, run.overwrite)
        steps = segment_job_steps(job, run.overwrite, run.compute)
        ended = console.run(steps, item.title)
        write_extras(job, run.output, ended, run.overwrite)
        columns = _print_outcome(job, ended, item.title, run.settings, console)
        return _summary_row(item, since, **columns)
    except (MemoryError, UserError, OSError) as error:  # the other files go on
        if suits is not None and _is_memory_short(error):
            return None
        if isinstance(error, MemoryError):
            error = UserError(MEMORY_SHORT)
        console.print_error(error, f"{item.title}: ")
        return _summary_row(item, since, "failed", error=error_message(error))
    except (KeyboardInterrupt, Interrupted):
        from ..batch.out_of_core import read_partial_outcome

        partial = read_partial_outcome(job) if job and job.results.is_store else None
        columns = _result_columns(job, partial) if job and partial else {}
        return _summary_row(item, since, "stopped", **columns)


def _is_memory_short(error: BaseException) -> bool:
    from ..segmentation.device import is_out_of_memory

    return is_out_of_memory(error) or is_out_of_memory(error.__cause__ or error)


def _print_outcome(
    job: ImageJob, ended: Outcome, title: str, asked: JobSettings, console: Console
) -> dict[str, Any]:
    """Print the outcome of an image, and return its columns of the summary."""
    from ..batch.run import describe_failures
    from ..batch.statistics import describe_nuclei

    done = _result_columns(job, ended) | {"statistics": describe_nuclei(job)}
    if ended.failed:
        some = UserError(f"{PARTS_UNREADABLE}: {describe_failures(ended)}")
        # which, and why, was told when each was left out
        console.print_error(UserError(f"{PARTS_UNREADABLE}."), f"{title}: ")
        return {"status": "failed", "error": error_message(some), **done}
    planes = f" in {ended.planes} planes" if ended.planes > 1 else ""
    before = " (done before)" if ended.skipped else ""
    note = _describe_missing_axes(asked, job.settings)
    if job.settings.volume and job.settings.exclude_border and not ended.nuclei:
        note += "; those at the edge are left out, to which the first and the last slice belong"
    left_out = describe_left_out(ended.left_out)
    lightened = _describe_gammas(ended)
    noun = choose_noun(ended.nuclei, "nucleus")
    console.print(f"{title}: {ended.nuclei} {noun}{planes}{left_out}{lightened}{before}{note}")
    return {"status": "skipped" if ended.skipped else "done", **done}


def describe_left_out(counts: LeftOutCounts | None) -> str:
    """Return how much was left out, and why; empty where nothing was."""
    return f"; {counts.describe()}" if counts is not None and counts.total else ""


def _describe_gammas(ended: Outcome) -> str:
    """Return by how much dark stained sections were lightened; mostly empty."""
    if not ended.gammas:
        return ""
    lowest, highest = min(ended.gammas), max(ended.gammas)
    gamma = f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g}"
    what = f" in {len(ended.gammas)} of the planes" if ended.planes > 1 else ""
    return f"; lightened as a dark stained section{what}, gamma {gamma} (--gamma 1 switches it off)"


def _describe_missing_axes(asked: JobSettings, used: JobSettings) -> str:
    """Return what an image of a mixed run was not segmented as, and why; mostly empty."""
    has_volumes = asked.volume or asked.join in ("z", "Z")
    is_flat = has_volumes and not (used.volume or used.join)
    return "".join(
        [
            "; it has no axis Z, and is segmented plane by plane" if is_flat else "",
            "; it has no axis T, and is not tracked" if asked.track and not used.track else "",
        ]
    )


def _result_columns(job: ImageJob, ended: Outcome) -> dict[str, Any]:
    return {
        "result": printable(job.results.known_labels),
        "planes": ended.planes,
        "nuclei": ended.nuclei,
    } | ({} if ended.left_out is None else {"left_out": ended.left_out.total})


def _summary_row(item: InputImage, since: float, status: str, **columns: Any) -> SummaryRow:
    from ..batch.run import SummaryRow

    seconds = round(time.monotonic() - since, 3)
    return SummaryRow(printable(item.location), seconds=seconds, status=status, **columns)
