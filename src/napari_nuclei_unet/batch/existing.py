"""Results that are there before a run: whether it would make the same, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from ..blockwise.journal import explain_differences, read_fingerprint
from ..errors import UserError
from ..io.atomic import file_crc32
from ..io.labels import read_record
from ..io.ome_zarr import LabelsStore, is_labels_store
from ..io.paths import printable
from ..io.store_files import JOURNAL_FILE_NAME
from ..provenance.record import FINGERPRINT_KEY, TABLE_CRC_KEY, Provenance
from .inputs import InputImage
from .job import ImageJob, open_job
from .outputs import OutputOptions, ResultPaths
from .ownership import CORRECTED_MARK
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
    labels = job.results.known_labels
    record = _read_record(labels)
    if record is None:
        return ExistingResult(ExistingKind.NONE)
    kind = _compare(job, record)
    if kind is ExistingKind.NONE:
        return ExistingResult(kind)
    try:
        return ExistingResult(kind, _describe(item, job, record))
    except UserError:  # its record is damaged, which the run reports
        return ExistingResult(ExistingKind.NONE)


def _read_record(labels: Path) -> dict[str, Any] | None:
    if not labels.is_dir():
        return read_record(labels)
    if not is_labels_store(labels):
        return None
    try:
        store = LabelsStore.open_existing(labels)
        return store.record if store.finished else None
    except (UserError, OSError):
        return None


def _compare(job: ImageJob, record: dict[str, Any]) -> ExistingKind:
    if is_edited(job.results, record):
        return ExistingKind.EDITED
    if job.results.is_store:
        previous = read_fingerprint(job.results.labels / JOURNAL_FILE_NAME)
    else:
        previous = record.get(FINGERPRINT_KEY)
    if not isinstance(previous, dict):  # saved from the window
        return ExistingKind.EDITED
    if explain_differences("", job.fingerprint, previous, ""):
        return ExistingKind.OTHER
    is_whole = not record.get("failed") and all(table.is_file() for table in job.tables)
    return ExistingKind.SAME if is_whole else ExistingKind.NONE


def is_edited(results: ResultPaths, record: dict[str, Any]) -> bool:
    """Return whether a result was corrected by hand, by its record or as its table differs."""
    if record.get(CORRECTED_MARK):
        return True
    known, labels = record.get(TABLE_CRC_KEY), results.known_labels
    if known is None or not results.table.is_file() or labels.is_dir():
        return False
    try:
        return file_crc32(results.table) != known
    except OSError:
        return False


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
