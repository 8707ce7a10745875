"""``segment`` for one of its images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..io.paths import printable
from ._bar import run_with_bar
from ._common import error_message, print_error
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

PARTS_UNREADABLE = "Parts could not be read, and have no nuclei"


def segment_file(
    item: InputImage,
    settings: JobSettings,
    output: OutputOptions,
    overwrite: bool,
    compute: ComputeBlocks | None,
) -> SummaryRow:
    """Segment an image, and return its row of the summary; a failure is printed."""
    # in the functions, so that --help does not load torch
    from ..batch.job import open_job
    from ..batch.run import describe_failures, segment_job_steps
    from ..batch.statistics import describe_nuclei

    since = time.monotonic()
    job: ImageJob | None = None
    try:
        job = open_job(item, settings, output)
        check_into_image(job, output.into_image, overwrite)
        check_formats_writable(job, output.save, overwrite)
        ended = run_with_bar(segment_job_steps(job, overwrite, compute), item.title)
        write_extras(job, output, ended, overwrite)
    except MemoryError:
        short = UserError("There is not enough memory: close other programs, or use --format zarr.")
        print_error(short, f"{item.title}: ")
        return _summary_row(item, "failed", error=error_message(short), seconds=_elapsed(since))
    except (UserError, OSError) as error:  # the other files go on
        print_error(error, f"{item.title}: ")
        return _summary_row(item, "failed", error=error_message(error), seconds=_elapsed(since))
    except KeyboardInterrupt:
        from ..batch.out_of_core import read_partial_outcome

        partial = read_partial_outcome(job) if job and job.results.is_store else None
        columns = _result_columns(job, partial) if job and partial else {}
        return _summary_row(item, "stopped", seconds=_elapsed(since), **columns)
    done = _result_columns(job, ended) | {"statistics": describe_nuclei(job)}
    if ended.failed:
        some = UserError(f"{PARTS_UNREADABLE}: {describe_failures(ended)}")
        # which, and why, was told when each was left out
        print_error(UserError(f"{PARTS_UNREADABLE}."), f"{item.title}: ")
        return _summary_row(
            item, "failed", error=error_message(some), seconds=_elapsed(since), **done
        )
    planes = f" in {ended.planes} planes" if ended.planes > 1 else ""
    before = " (done before)" if ended.skipped else ""
    note = _describe_missing_axes(settings, job.settings)
    if job.settings.volume and job.settings.exclude_border and not ended.nuclei:
        note += "; those at the edge are left out, to which the first and the last slice belong"
    print(f"{item.title}: {ended.nuclei} nuclei{planes}{before}{note}", flush=True)
    return _summary_row(
        item, "skipped" if ended.skipped else "done", seconds=_elapsed(since), **done
    )


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
    }


def _elapsed(since: float) -> float:
    return round(time.monotonic() - since, 3)


def _summary_row(item: InputImage, status: str, **columns: Any) -> SummaryRow:
    from ..batch.run import SummaryRow

    return SummaryRow(printable(item.location), status=status, **columns)
