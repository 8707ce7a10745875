"""Tables that somebody has edited: a run replaces them only if it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..blockwise.open_store import read_run
from ..errors import UserError
from ..export.track_tables import lineage_path, tracks_crc32
from ..io.atomic import file_crc32
from ..io.labels import read_record
from ..io.ome_zarr import LabelsStore, is_labels_store
from ..provenance.record import FINGERPRINT_KEY, TABLE_CRC_KEY, TRACKS_CRC_KEY
from .ownership import CORRECTED_MARK

if TYPE_CHECKING:
    from pathlib import Path

    from .job import ImageJob
    from .outputs import ResultPaths


class ExistingLabels(NamedTuple):
    """What labels that are there say of themselves.

    Attributes
    ----------
    record : dict
    finished : bool
    fingerprint : object
        What their run was of: a dict, if it is known.
    """

    record: dict[str, Any]
    finished: bool
    fingerprint: Any


def check_nothing_edited(job: ImageJob) -> None:
    """Raise an error if a run would replace what somebody has, or may have, edited.

    Raises
    ------
    UserError
        If a table or labels are not as the record says, or a table is there without its labels,
        so that nobody knows.
    """
    results, labels = job.results, job.results.known_labels
    if not labels.exists():
        tables = [path for path in job.written_tables if path.is_file() and path.stat().st_size]
        if tables:
            raise UserError(
                f"{tables[0]} belongs to other labels, or has none any more: move it away, choose "
                "another folder, or `overwrite` it."
            )
        return
    known = read_existing_labels(labels)
    if known is None or (labels.is_dir() and known.finished):  # the run replaces nothing
        return
    record = known.record
    if labels.is_dir():
        record = record | {TABLE_CRC_KEY: None}  # its journal knows more
    if record.get(CORRECTED_MARK):
        raise UserError(
            f"{labels} was corrected by hand, but parts of its result are missing: move it away, "
            "or `overwrite` it."
        )
    if edited := find_edited_tables(results, record):
        raise UserError(
            f"{edited[0]} was edited, or belongs to other labels than {labels}: move it away, or "
            "`overwrite` it."
        )


def find_edited_tables(results: ResultPaths, record: Mapping[str, Any]) -> list[Path]:
    """Find the tables that are others than those which a record knows.

    Parameters
    ----------
    results : ResultPaths
    record : mapping
        Of their labels. One of earlier versions knows less, and what it does not know is as good.
    """
    edited = []
    known = record.get(TABLE_CRC_KEY)
    if known is not None and results.table.is_file() and file_crc32(results.table) != known:
        edited.append(results.table)
    tables = [results.tracks, lineage_path(results.tracks)]
    known = record.get(TRACKS_CRC_KEY)
    if known is not None and all(path.is_file() for path in tables):
        edited += [] if tracks_crc32(*tables) == known else tables
    return edited


def is_edited(results: ResultPaths, record: Mapping[str, Any]) -> bool:
    """Return whether a finished result was corrected by hand, by its record or by its tables.

    A run takes any table of an OME-Zarr that has all of its nuclei.
    """
    if record.get(CORRECTED_MARK):
        return True
    return not results.known_labels.is_dir() and bool(find_edited_tables(results, record))


def read_existing_labels(labels: Path) -> ExistingLabels | None:
    """Read what labels in TIFF or OME-Zarr say of themselves; None of others.

    Raises
    ------
    UserError
        If they are an OME-Zarr of this program whose metadata are damaged.
    """
    if labels.is_dir():
        if not is_labels_store(labels):
            return None
        store = LabelsStore.open_existing(labels)
        return ExistingLabels(store.record, store.finished, read_run(store))
    record = read_record(labels)
    return None if record is None else ExistingLabels(record, True, record.get(FINGERPRINT_KEY))
