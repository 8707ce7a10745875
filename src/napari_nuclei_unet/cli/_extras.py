"""What ``segment`` writes beside its results, if it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._convert import list_targets, write_targets
from ._into_image import write_into_image

if TYPE_CHECKING:
    from ..batch.job import ImageJob
    from ..batch.outputs import Outcome, OutputOptions


def write_extras(job: ImageJob, output: OutputOptions, ended: Outcome, overwrite: bool) -> None:
    """Write a result in other formats and into its image, and its tables for spreadsheets.

    Raises
    ------
    UserError
        If something cannot be written.
    """
    _save(job, output.save, ended.skipped, output.decimal_comma)
    if ended.failed:
        return  # such a result is done again
    if output.decimal_comma:
        _rewrite_tables(job)
    write_into_image(job.results.labels, job.path, output.into_image, overwrite)


def _save(job: ImageJob, formats: Sequence[str], skipped: bool, decimal_comma: bool) -> None:
    """Write a result in other formats, too; of one that was done before those that are missing."""
    labels = job.results.labels
    written = (labels, *job.tables)
    targets = list_targets(labels, formats, labels.parent) if formats else []
    targets = [one for one in targets if one not in written and not (skipped and one.exists())]
    write_targets(labels, targets, decimal_comma)


def _rewrite_tables(job: ImageJob) -> None:
    # in the function, so that --help does not load pandas
    from ..io.tables import rewrite_with_decimal_comma

    for table in job.tables:
        rewrite_with_decimal_comma(table)
