"""Segmenting an image block by block, into OME-Zarr."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import PlaneIndex, PlaneView
from napari_nuclei_unet.arrays.relabel import relabel_sequential
from napari_nuclei_unet.batch.finish import describe_result, link_planes_steps, write_tracks
from napari_nuclei_unet.batch.job import ImageJob
from napari_nuclei_unet.batch.outputs import Outcome
from napari_nuclei_unet.batch.ownership import check_tables_overwritable
from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
from napari_nuclei_unet.blockwise.cluster import FilePlane
from napari_nuclei_unet.blockwise.journal import JOURNAL_FILE_NAME, Journal, RunProgress
from napari_nuclei_unet.blockwise.run import (
    BlockwisePlane,
    ComputeBlocks,
    compute_locally_steps,
    segment_blockwise_steps,
)
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import atomic_write, file_crc32
from napari_nuclei_unet.io.locks import write_lock
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.progress import Step, Stop, forward_stop
from napari_nuclei_unet.segmentation.device import plan_inference

# Bytes that linking takes for each pixel of a plane: labels, numbers of the slices held, ids.
LINKING_BYTES_PER_PIXEL = 60


@dataclass(frozen=True)
class StoreSegmenter:
    """Segments an image into an OME-Zarr.

    Linked labels are written in a second pass from a store of its own, which is hidden and deleted
    in the end: a pass that is broken off has changed nothing of what it reads, and begins again.
    A store of which parts could not be read is not finished, and that one stays.

    Attributes
    ----------
    job : Job
    overwrite : bool
        Whether what is there is done again.
    compute : callable or None
        As in ``streaming.stream_steps``; if given, for machines that open the image themselves.
    """

    job: ImageJob
    overwrite: bool
    compute: ComputeBlocks | None

    @property
    def is_linked(self) -> bool:
        """Whether ids shall hold over planes."""
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
            return self._outcome(journal, store.record["nuclei"], True)
        if self.is_linked:
            nuclei = yield from self._linked_steps(store, journal)
        else:
            yield from self._segment_steps(store, journal)
            nuclei = journal.progress.nuclei
        made = _store_record(job, nuclei, journal)
        if any(store.record.get(name) != made[name] for name in ("nuclei", "failed")):
            yield from store.build_pyramid()
            job.check_unchanged()
            store.write_record(made)
        if not made["failed"]:
            store.finish()
            self._remove_unlinked()
        return self._outcome(journal, nuclei, False)

    def partial_outcome(self) -> Outcome | None:
        """Say how far a run came that was stopped; None where it had not begun."""
        labels = self.job.results.labels
        for path in (self._unlinked_paths[0], labels) if self.is_linked else (labels,):
            try:
                progress = json.loads((path / JOURNAL_FILE_NAME).read_text())["progress"]
                return Outcome(progress["plane"], progress["nuclei"])
            except (OSError, ValueError, KeyError):
                continue
        return None

    def _outcome(self, journal: Journal, nuclei: int, skipped: bool) -> Outcome:
        failed = tuple(one.message for one in journal.progress.failed)
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
        """Open a store with its journal: a new one, or one to go on with."""
        fresh = self.overwrite or not path.exists()
        store = LabelsStore.create(path, _labels_grid(self.job), "i4", overwrite=self.overwrite)
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
        # of an unfinished run there may be rows that the journal does not know
        if not same or (size > known and store.finished):
            raise UserError(
                f"{table}, the table of {path}, is gone or was changed: put it back, or `overwrite`"
                " both."
            )
        return store, journal

    def _segment_steps(self, store: LabelsStore, journal: Journal) -> Generator[Step, Stop, None]:
        """Segment what is left, as long as the image stays the same."""
        job, settings = self.job, self.job.settings
        picked = job.selection
        wanted = BlockParams(settings.model_name, settings.params, settings.device, job.region)
        places = zip(picked.plane_indices, picked.label_indices, picked.plane_columns, strict=True)
        layers = [
            BlockwisePlane(self._source(cut), index, columns) for cut, index, columns in places
        ]
        compute = self.compute or compute_locally_steps
        steps = segment_blockwise_steps(
            layers, store, journal, wanted, compute, job.check_available
        )
        yield from forward_stop(steps)
        job.check_unchanged()
        if journal.progress.next_plane(len(layers)) is not None:
            raise UserError(f"{job.path} was stopped: run it again to go on.")

    def _source(self, plane_index: PlaneIndex) -> InMemoryPlane | FilePlane:
        job = self.job
        if self.compute is not None:
            return FilePlane(str(job.path), job.settings.level, plane_index, job.stamp)
        return InMemoryPlane(PlaneView(job.opened.pixels, plane_index))

    def _linked_steps(self, store: LabelsStore, journal: Journal) -> Generator[Step, Stop, int]:
        """Segment into a hidden store, and write labels with ids that hold over planes."""
        _check_memory(self.job.selection.size)
        work, kept = self._open_store(*self._unlinked_paths)
        yield from self._segment_steps(work, kept)
        journal.commit(RunProgress())  # the table is replaced: its length is known afterwards
        nuclei = yield from self._link_steps((work, kept), store)
        table = self.job.results.table
        size, crc = table.stat().st_size, file_crc32(table)
        after = replace(
            kept.progress, nuclei=nuclei, table_bytes=size, table_crc=crc, surveys={}
        )  # fmt: skip
        journal.commit(after)
        return nuclei

    def _link_steps(
        self, work: tuple[LabelsStore, Journal], store: LabelsStore
    ) -> Generator[Step, Stop, int]:
        """Write labels and table anew with ids that hold over planes; how many there are."""
        job, indices = self.job, self.job.selection.label_indices

        def read(number: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
            return relabel_sequential(np.asarray(work[0].labels[indices[number]]))

        linked = yield from link_planes_steps(
            job, lambda number: read(number)[0], [0] * len(indices)
        )
        ids = np.zeros(work[1].progress.nuclei + 1, np.int32)
        for number, index in enumerate(indices):
            labels, before = read(number)
            store.write(index, linked.ids[number][labels])
            ids[before] = linked.ids[number]
            yield Step(number + 1, len(indices))
        with atomic_write(job.results.table) as aside:
            _copy_table_with_ids(work[1].table, aside, ids)
        write_tracks(job, linked)
        return linked.count


def _copy_table_with_ids(old: Path, new: Path, ids: NDArray[np.int32]) -> None:
    """Copy a table row by row, with other ids in place of its labels."""
    with (
        old.open(newline="", encoding="utf-8") as lines,
        new.open("w", newline="", encoding="utf-8") as out,
    ):
        rows, writer = csv.reader(lines), csv.writer(out)
        header = next(rows)
        column = header.index("label")
        writer.writerow(header)
        for row in rows:
            row[column] = str(ids[int(row[column])])
            writer.writerow(row)


def _check_memory(size: tuple[int, int]) -> None:
    """Refuse to link planes that do not fit into memory."""
    need, have = LINKING_BYTES_PER_PIXEL * size[0] * size[1], psutil.virtual_memory().available
    if need > have:
        raise UserError(
            f"Joining and tracking look at whole planes, and these need {need / 1e9:.1f} GB of "
            f"memory, of which {have / 1e9:.1f} GB are free: leave `join` and `track` out, or "
            "choose a smaller `level`."
        )


def _labels_grid(job: ImageJob) -> LabelsGrid:
    """Where the labels' pixels are: those of the image."""
    picked, opened = job.selection, job.opened
    axes = [picked.axes.index(name) for name in picked.label_axes]
    return LabelsGrid(
        picked.shape,
        picked.label_axes,
        tuple(opened.scale[axis] for axis in axes),
        tuple(opened.units[axis] for axis in axes),
    )


def _store_record(job: ImageJob, nuclei: int, journal: Journal) -> dict[str, Any]:
    """Say in the store what made it."""
    settings = job.settings
    how = plan_inference(settings.params, settings.device, settings.model.network.config)
    record = {
        "plugin": "napari-nuclei-unet",
        "version": version("napari-nuclei-unet"),
        "model": settings.model.card.name,
        "model_sha256": settings.model.card.sha256,
        "params": dataclasses.asdict(settings.params),
        "device": settings.device,
        "ran_on": dataclasses.asdict(how),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(journal.progress.seconds, 3),
        "stopped": False,
    }
    return (
        record
        | describe_result(job, nuclei)
        | {"failed": [one.message for one in journal.progress.failed]}
    )
