"""A run over image files: results are recorded, and not computed again."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from ..progress import Step, Stop
from .in_memory import segment_in_memory_steps
from .job import ImageJob
from .outputs import Outcome

if TYPE_CHECKING:
    from ..blockwise.run import ComputeBlocks

# Most unreadable parts that a message lists; the record has all.
MAX_REPORTED_FAILURES = 3


def segment_job_steps(
    job: ImageJob, overwrite: bool = False, compute: ComputeBlocks | None = None
) -> Generator[Step, Stop, Outcome]:
    """Segment an image into files, unless they exist already.

    Parameters
    ----------
    job : ImageJob
    overwrite : bool, optional
        Replace existing results.
    compute : callable, optional
        As in ``segment_blockwise_steps``; blocks are computed there.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    UserError
        If something cannot be used or written, existing labels were made with other flags, the
        image changes meanwhile or is gone, or the run is stopped. Finished blocks of an OME-Zarr
        are kept, and the next run resumes there.
    """
    if job.results.is_store:
        # takes a moment to load, and most images are in memory
        from .out_of_core import segment_out_of_core_steps

        return segment_out_of_core_steps(job, overwrite, compute)
    return segment_in_memory_steps(job, overwrite)


def describe_failures(outcome: Outcome) -> str:
    """Return which parts could not be read; empty if all could."""
    more = len(outcome.failed) - MAX_REPORTED_FAILURES
    messages = [
        *outcome.failed[:MAX_REPORTED_FAILURES],
        *([f"and {more} more parts"] if more > 0 else []),
    ]
    return "; ".join(messages)
