"""Segmentation of an image block by block, or volume by volume, into OME-Zarr."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex, PlaneView
from ..arrays.relabel import relabel_sequential
from ..blockwise.block import BlockParams, InMemoryPlane
from ..blockwise.cluster import FilePlane
from ..blockwise.journal import read_journal
from ..blockwise.open_store import OpenStore, StoreFiles
from ..blockwise.run import ComputeBlocks, compute_locally_steps
from ..blockwise.stages import BlockwisePlane
from ..blockwise.to_store import StoreJob, segment_to_store_steps
from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.tables import iter_table, read_table, write_table
from ..memory import require_memory
from ..progress import Step, Stop
from ..segmentation.volumes import number_slices
from .edited import check_nothing_edited
from .finish import describe_result, link_planes_steps, write_tracks
from .job import ImageJob
from .outputs import Outcome
from .ownership import check_tables_overwritable
from .stored_volumes import StoredVolumes

# Rows of a table that are copied at a time.
COPIED_ROWS = 100_000


def segment_out_of_core_steps(
    job: ImageJob, overwrite: bool = False, compute: ComputeBlocks | None = None
) -> Generator[Step, Stop, Outcome]:
    """Segment an image into an OME-Zarr; what could not be read is tried again by the next run.

    Arguments, steps and errors as in ``run.segment_job_steps``; ``compute`` is for machines that
    open the image themselves.
    """
    store_job = _store_job(job, overwrite, compute)
    if overwrite or not store_job.files.journal.exists():
        check_tables_overwritable(*job.written_tables)
    if not overwrite:
        check_nothing_edited(job)
    if job.results.notice:
        yield Step(0, 1, job.results.notice)
    ended = yield from segment_to_store_steps(store_job)
    if not ended.is_whole:
        raise UserError(f"{job.path} was stopped: run it again to resume.")
    failed = tuple(block.message for block in ended.progress.failed)
    left_out = None if job.settings.volume else ended.progress.left_out
    gammas = ended.progress.list_gammas()
    return Outcome(
        len(store_job.planes), ended.nuclei, failed, ended.already_done, left_out, gammas
    )


def read_partial_outcome(job: ImageJob) -> Outcome | None:
    """Return how far a stopped run got; None if nothing of it is kept."""
    files = _store_files(job)
    for journal in (files.unlinked.journal, files.journal) if _is_linked(job) else (files.journal,):
        if (kept := read_journal(journal)) is not None:
            return Outcome(kept.progress.plane, kept.progress.nuclei)
    return None


def _store_job(job: ImageJob, overwrite: bool, compute: ComputeBlocks | None) -> StoreJob:
    settings, selection = job.settings, job.selection
    indices = zip(
        selection.plane_indices, selection.label_indices, selection.plane_columns, strict=True
    )
    source = partial(_opened_plane if compute is None else _file_plane, job)
    return StoreJob(
        files=_store_files(job),
        fingerprint=job.fingerprint,
        planes=[BlockwisePlane(source(plane), at, columns) for plane, at, columns in indices],
        grid=job.grid,
        block_params=BlockParams(
            settings.model_name,
            settings.params,
            settings.device,
            job.region,
            settings.limits.block_size,
            job.grid.micrometers,
            settings.exclude_border,
        ),
        image=job,
        describe=partial(describe_result, job=job),
        segment=StoredVolumes(job).steps if settings.volume else None,
        linker=_JobLinker(job) if _is_linked(job) else None,
        compute=compute or compute_locally_steps,
        overwrite=overwrite,
        chunk=settings.limits.chunk,
        ngff=settings.ngff,
        verify=settings.verify,
    )


def _store_files(job: ImageJob) -> StoreFiles:
    return StoreFiles(job.results.labels, job.results.table)


def _is_linked(job: ImageJob) -> bool:
    """Return whether nuclei are linked over planes."""
    return bool(job.settings.join or job.settings.track)


def _opened_plane(job: ImageJob, plane_index: PlaneIndex) -> InMemoryPlane:
    return InMemoryPlane(PlaneView(job.opened.pixels, plane_index))


def _file_plane(job: ImageJob, plane_index: PlaneIndex) -> FilePlane:
    return FilePlane(str(job.path), job.settings.level, plane_index, job.stamp, job.scene)


@dataclass(frozen=True)
class _JobLinker:
    """Joins or tracks the nuclei of an image."""

    job: ImageJob

    @property
    def _parts(self) -> list[tuple[int, ...]]:
        """Numbers of the planes of each part that is numbered alone: a plane, or a volume."""
        if self.job.settings.volume:
            return number_slices(self.job.selection)
        return [(number,) for number in range(len(self.job.selection.plane_indices))]

    def check(self) -> None:
        """Raise an error if planes, or volumes, do not fit into memory to be linked."""
        job, limits = self.job, self.job.settings.limits
        need = limits.linking_bytes_per_pixel
        if job.settings.volume:
            need = limits.linking_bytes_per_voxel * len(self._parts[0])
        need *= math.prod(job.selection.size)
        require_memory(
            need,
            "Joining and tracking need whole planes, or volumes, and for them",
            "leave `join` and `track` out, or choose a smaller `level`.",
        )

    def steps(self, unlinked: OpenStore, linked: OpenStore) -> Generator[Step, Stop, int]:
        """Write labels and tables with ids that are linked over planes; return their number."""
        job, indices = self.job, self.job.selection.label_indices
        progress = unlinked.journal.progress
        parts = {number: part for part in self._parts for number in part}

        @lru_cache(maxsize=1)  # slices of a volume are read together, and then one by one
        def read_part(part: tuple[int, ...]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
            stored = [unlinked.labels.read(indices[number]) for number in part]
            return relabel_sequential(np.stack(stored))

        def read(number: int) -> NDArray[np.integer]:
            labels, _ = read_part(parts[number])
            return labels[parts[number].index(number)]

        found = yield from link_planes_steps(job, read, [0] * len(indices), z_step=progress.z_step)
        ids = np.zeros(progress.nuclei + 1, np.int32)
        for number, index in enumerate(indices):
            linked.labels.write(index, found.ids[number][read(number)])
            ids[read_part(parts[number])[1]] = found.ids[number]
            yield Step(number + 1, len(indices))
        with (
            write_tracks(job, found),
            atomic_write(job.results.table, create_folder=False) as temporary,
        ):
            if job.settings.volume:
                _sort_table_with_ids(unlinked.journal.table, temporary, ids)
            else:
                _copy_table_with_ids(unlinked.journal.table, temporary, ids)
        return found.count


def _sort_table_with_ids(old: Path, new: Path, ids: NDArray[np.int32]) -> None:
    """Copy a table of volumes with other ids, sorted by time and id as those of TIFF are."""
    table = read_table(old, dtype=str, keep_default_na=False)
    table = table.assign(label=ids[table["label"].astype(int)])
    keys = list(table)[: list(table).index("label") + 1]
    table = table.sort_values(keys, key=lambda column: column.astype(int), ignore_index=True)
    write_table(new, table)


def _copy_table_with_ids(old: Path, new: Path, ids: NDArray[np.int32]) -> None:
    """Copy a table, which may be larger than memory, with other ids in place of its labels."""
    # as text, so that no digit changes
    parts = iter_table(old, COPIED_ROWS, dtype=str, keep_default_na=False)
    with new.open("w", newline="", encoding="utf-8") as out, closing(parts):
        for part in parts:
            table = part.assign(label=ids[part["label"].astype(int)])
            write_table(out, table, header=out.tell() == 0)
