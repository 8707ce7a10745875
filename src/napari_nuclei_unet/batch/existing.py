"""Results that are there before a run: whether it would make the same, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ..blockwise.journal import explain_differences
from ..errors import UserError
from ..io.paths import printable
from ..provenance.record import Provenance
from .edited import ExistingLabels, is_edited, read_existing_labels
from .inputs import InputImage
from .job import ImageJob, open_job
from .outputs import OutputOptions
from .settings import JobSettings
from .statistics import describe_nuclei
from .summary import SummaryRow


class ExistingKind(Enum):
    """What a run may do with a result that is there."""

    NONE = auto()  # there is none, or it is not whole: the run makes it, or says why it cannot
    SAME = auto()  # as the run would make it: skipped
    OTHER = auto()  # made with other settings, or of another state of the image
    EDITED = auto()  # corrected by hand


@dataclass(frozen=True)
class ExistingResult:
    """A result that is there.

    Attributes
    ----------
    kind : ExistingKind
    row : SummaryRow or None
        As if a run had skipped it; None: there is no result.
    """

    kind: ExistingKind
    row: SummaryRow | None = None


def check_existing(
    item: InputImage, settings: JobSettings, output: OutputOptions
) -> ExistingResult:
    """Compare the result of an image that is there with what a run would make."""
    try:
        job = open_job(item, settings, output)
    except (UserError, OSError):  # reported by the run
        return ExistingResult(ExistingKind.NONE)
    try:  # what is damaged is reported by the run
        known = read_existing_labels(job.results.known_labels)
        kind = ExistingKind.NONE if known is None else _compare(job, known)
        if known is None or kind is ExistingKind.NONE:
            return ExistingResult(kind)
        return ExistingResult(kind, _describe(item, job, known.record))
    except (UserError, OSError):
        return ExistingResult(ExistingKind.NONE)


def _compare(job: ImageJob, known: ExistingLabels) -> ExistingKind:
    if not known.finished:
        return ExistingKind.NONE
    if is_edited(job.results, known.record):
        return ExistingKind.EDITED
    if not isinstance(known.fingerprint, dict):  # saved from the window
        return ExistingKind.EDITED
    if explain_differences("", job.fingerprint, known.fingerprint, ""):
        return ExistingKind.OTHER
    is_whole = not known.record.get("failed") and all(table.is_file() for table in job.tables)
    return ExistingKind.SAME if is_whole else ExistingKind.NONE


def _describe(item: InputImage, job: ImageJob, record: dict[str, Any]) -> SummaryRow:
    done = Provenance.from_json(record)
    return SummaryRow(
        printable(item.location),
        printable(job.results.known_labels),
        len(job.selection.plane_indices),
        done.nuclei or 0,
        status="skipped",
        statistics=describe_nuclei(job),
        left_out=float("nan") if done.left_out is None else done.left_out.total,
    )
