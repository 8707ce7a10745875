"""What ``segment`` writes beside its results, if it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._into_image import write_into_image
from ._results import save_formats

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
    output.check_folder()  # what is saved beside the result would make it anew
    save_formats(job, output.save, ended.skipped, output.decimal_comma)
    if ended.failed:
        return  # such a result is done again
    if output.decimal_comma:
        _rewrite_tables(job)
    write_into_image(job.results.known_labels, job.path, output.into_image, overwrite)


def _rewrite_tables(job: ImageJob) -> None:
    # in the function, so that --help does not load pandas
    from ..batch.edited import find_edited_tables, read_existing_labels
    from ..io.tables import rewrite_with_decimal_comma

    known = read_existing_labels(job.results.known_labels)
    edited = find_edited_tables(job.results, {} if known is None else known.record)
    for table in job.written_tables:
        if table.is_file() and table not in edited:  # earlier versions wrote no lineages
            rewrite_with_decimal_comma(table)
