"""Segmentation of an image block by block, into OME-Zarr."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex, PlaneView
from ..arrays.relabel import relabel_sequential
from ..blockwise.block import BlockParams, InMemoryPlane
from ..blockwise.cluster import FilePlane
from ..blockwise.journal import JOURNAL_FILE_NAME, Journal
from ..blockwise.retry import RunProgress
from ..blockwise.run import (
    BlockwisePlane,
    ComputeBlocks,
    compute_locally_steps,
    describe_run,
    segment_blockwise_steps,
)
from ..errors import UserError
from ..io.atomic import atomic_write, file_crc32
from ..io.locks import write_lock
from ..io.ngff import LabelsGrid
from ..io.ome_zarr import LabelsStore
from ..io.tables import read_table, write_table
from ..progress import Step, Stop, forward_stop
from .finish import describe_result, link_planes_steps, write_tracks
from .job import ImageJob
from .outputs import Outcome
from .ownership import check_tables_overwritable

# Rows of a table that are copied at a time.
COPIED_ROWS = 100_000


@dataclass(frozen=True)
class StoreSegmenter:
    """Segments an image into an OME-Zarr.

    Linked labels are written in a second pass from a hidden store, which is deleted in the end: an
    interrupted pass has changed nothing of what it reads, and begins again. While parts of the
    image could not be read, the store is not finished, and the hidden one is kept.

    Attributes
    ----------
    job : ImageJob
    overwrite : bool
        Whether existing results are replaced.
    compute : callable or None
        As in ``segment_blockwise_steps``; if given, for machines that open the image themselves.
    """

    job: ImageJob
    overwrite: bool
    compute: ComputeBlocks | None

    @property
    def is_linked(self) -> bool:
        """Whether nuclei are linked over planes."""
        return bool(self.job.settings.join or self.job.settings.track)

    def steps(self) -> Generator[Step, Stop, Outcome]:
        """Segment, link, and finish; what could not be read is tried again by the next run."""
        with write_lock(self.job.results.labels):
            return (yield from self._steps())

    def _steps(self) -> Generator[Step, Stop, Outcome]:
        job, results = self.job, self.job.results
        if self.overwrite or not (results.labels / JOURNAL_FILE_NAME).exists():
            check_tables_overwritable(*job.tables)
        store, journal = self._open_store(results.labels, results.table)
        if store.finished or not self.is_linked:
            self._remove_unlinked()  # a run that was killed may have left it
        if store.finished:
            return self._outcome(journal, store.record.get("nuclei") or 0, True)
        if self.is_linked:
            nuclei = yield from self._linked_steps(store, journal)
        else:
            yield from self._segment_steps(store, journal)
            nuclei = journal.progress.nuclei
        settings = job.settings
        ran = describe_run(settings.model, settings.params, settings.device, journal.progress)
        record = describe_result(ran, job, nuclei).to_json()
        if any(store.record.get(name) != record[name] for name in ("nuclei", "failed")):
            yield from store.build_pyramid()
            job.check_unchanged()
            store.write_record(record)
        if not record["failed"]:
            store.finish()
            self._remove_unlinked()
        return self._outcome(journal, nuclei, False)

    def partial_outcome(self) -> Outcome | None:
        """Return how far a stopped run got; None if it had not begun."""
        labels = self.job.results.labels
        for path in (self._unlinked_paths[0], labels) if self.is_linked else (labels,):
            try:
                progress = json.loads((path / JOURNAL_FILE_NAME).read_text())["progress"]
                return Outcome(progress["plane"], progress["nuclei"])
            except (OSError, ValueError, KeyError):
                continue
        return None

    def _outcome(self, journal: Journal, nuclei: int, skipped: bool) -> Outcome:
        failed = tuple(block.message for block in journal.progress.failed)
        return Outcome(len(self.job.selection.plane_indices), nuclei, failed, skipped)

    @property
    def _unlinked_paths(self) -> tuple[Path, Path]:
        """Store of labels that are not linked yet, and its table."""
        results = self.job.results
        name = f".{results.table.stem}_unlinked"
        return results.labels.with_name(f"{name}.ome.zarr"), results.labels.with_name(f"{name}.csv")

    def _remove_unlinked(self) -> None:
        labels, table = self._unlinked_paths
        shutil.rmtree(labels, ignore_errors=True)
        table.unlink(missing_ok=True)

    def _open_store(self, path: Path, table: Path) -> tuple[LabelsStore, Journal]:
        """Open a store with its journal: a new one, or one to resume."""
        fresh = self.overwrite or not path.exists()
        store = LabelsStore.create(
            path, _labels_grid(self.job), "i4", self.job.settings.limits.chunk, self.overwrite
        )
        journal = Journal(path / JOURNAL_FILE_NAME, table, self.job.fingerprint)
        if not fresh and not journal.path.exists() and (store.finished or store.record):
            raise UserError(
                f"{path} holds labels of another run: choose another name, or `overwrite` them."
            )
        journal.begin()
        size = table.stat().st_size if table.is_file() else 0
        known = journal.progress.table_bytes
        same = size >= known and (
            not known or file_crc32(table, stop=known) == journal.progress.table_crc
        )
        # an unfinished run may have written rows that are not in the journal yet
        if not same or (size > known and store.finished):
            raise UserError(
                f"{table}, the table of {path}, is gone or was changed: put it back, or `overwrite`"
                " both."
            )
        return store, journal

    def _segment_steps(self, store: LabelsStore, journal: Journal) -> Generator[Step, Stop, None]:
        """Segment the remaining blocks, as long as the image does not change."""
        job, settings = self.job, self.job.settings
        selection = job.selection
        params = BlockParams(
            settings.model_name, settings.params, settings.device, job.region,
            settings.limits.block_size,
        )  # fmt: skip
        indices = (selection.plane_indices, selection.label_indices, selection.plane_columns)
        planes = [
            BlockwisePlane(self._source(image), labels, columns)
            for image, labels, columns in zip(*indices, strict=True)
        ]
        compute = self.compute or compute_locally_steps
        steps = segment_blockwise_steps(
            planes, store, journal, params, compute, job.check_available
        )
        yield from forward_stop(steps)
        job.check_unchanged()
        if journal.progress.next_plane(len(planes)) is not None:
            raise UserError(f"{job.path} was stopped: run it again to go on.")

    def _source(self, plane_index: PlaneIndex) -> InMemoryPlane | FilePlane:
        job = self.job
        if self.compute is not None:
            return FilePlane(str(job.path), job.settings.level, plane_index, job.stamp)
        return InMemoryPlane(PlaneView(job.opened.pixels, plane_index))

    def _linked_steps(self, store: LabelsStore, journal: Journal) -> Generator[Step, Stop, int]:
        """Segment into a hidden store, and write labels with ids that are linked over planes."""
        _check_memory(self.job)
        hidden, hidden_journal = self._open_store(*self._unlinked_paths)
        yield from self._segment_steps(hidden, hidden_journal)
        journal.commit(RunProgress())  # the table is replaced: its length is known afterwards
        nuclei = yield from self._link_steps((hidden, hidden_journal), store)
        table = self.job.results.table
        size, crc = table.stat().st_size, file_crc32(table)
        after = replace(
            hidden_journal.progress, nuclei=nuclei, table_bytes=size, table_crc=crc, surveys={}
        )  # fmt: skip
        journal.commit(after)
        return nuclei

    def _link_steps(
        self, hidden: tuple[LabelsStore, Journal], store: LabelsStore
    ) -> Generator[Step, Stop, int]:
        """Rewrite labels and table with ids that are linked over planes; return their number."""
        job, indices = self.job, self.job.selection.label_indices

        def read(number: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
            return relabel_sequential(np.asarray(hidden[0].labels[indices[number]]))

        linked = yield from link_planes_steps(
            job, lambda number: read(number)[0], [0] * len(indices)
        )
        ids = np.zeros(hidden[1].progress.nuclei + 1, np.int32)
        for number, index in enumerate(indices):
            labels, before = read(number)
            store.write(index, linked.ids[number][labels])
            ids[before] = linked.ids[number]
            yield Step(number + 1, len(indices))
        with atomic_write(job.results.table) as temporary:
            _copy_table_with_ids(hidden[1].table, temporary, ids)
        write_tracks(job, linked)
        return linked.count


def _copy_table_with_ids(old: Path, new: Path, ids: NDArray[np.int32]) -> None:
    """Copy a table, which may be larger than memory, with other ids in place of its labels."""
    # as text, so that no digit changes
    parts = read_table(old, dtype=str, keep_default_na=False, chunksize=COPIED_ROWS)
    with new.open("w", newline="", encoding="utf-8") as out, parts:
        for part in parts:
            table = part.assign(label=ids[part["label"].astype(int)])
            write_table(out, table, header=out.tell() == 0)


def _check_memory(job: ImageJob) -> None:
    """Raise an error if planes do not fit into memory to be linked."""
    need = job.settings.limits.linking_bytes_per_pixel * math.prod(job.selection.size)
    have = psutil.virtual_memory().available
    if need > have:
        raise UserError(
            f"Joining and tracking look at whole planes, and these need {need / 1e9:.1f} GB of "
            f"memory, of which {have / 1e9:.1f} GB are free: leave `join` and `track` out, or "
            "choose a smaller `level`."
        )


def _labels_grid(job: ImageJob) -> LabelsGrid:
    """Return the grid of the labels, which is that of the image."""
    selection, opened = job.selection, job.opened
    axes = [selection.axes.index(name) for name in selection.label_axes]
    return LabelsGrid(
        selection.shape,
        selection.label_axes,
        tuple(opened.scale[axis] for axis in axes),
        tuple(opened.units[axis] for axis in axes),
    )
