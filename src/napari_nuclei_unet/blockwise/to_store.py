"""A run into an OME-Zarr: begun or resumed, segmented, linked and finished."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..io.atomic import file_crc32
from ..io.locks import write_lock
from ..io.ngff import DEFAULT_NGFF, LabelsGrid, NgffVersion
from ..io.ome_zarr import LabelsStore, is_labels_store
from ..io.store_files import read_chunk_files
from ..io.store_repair import check_chunks
from ..limits import DEFAULT_LIMITS
from ..models.model import load_model
from ..progress import Step, Stop
from ..provenance.record import Provenance
from ..segmentation.device import plan_inference
from .block import BlockParams
from .journal import Journal
from .open_store import OpenStore, StoreFiles, can_resume
from .retry import RunProgress
from .run import ComputeBlocks, compute_locally_steps, segment_blockwise_steps
from .stages import BlockwisePlane


class StoredImage(Protocol):
    """The file of the image, which may change, or be gone, while it is read."""

    @property
    def path(self) -> Path | None:
        """Where it is, if that is known."""

    def check_available(self, failed: bool) -> None:
        """Raise a UserError if it is gone; ``failed``: reading something of it has failed."""

    def check_unchanged(self) -> None:
        """Raise a UserError if what was read is not to be believed."""


class PlaneLinker(Protocol):
    """Gives nuclei ids that are linked over planes."""

    def check(self) -> None:
        """Raise a UserError if planes cannot be linked."""

    def steps(self, unlinked: OpenStore, linked: OpenStore) -> Generator[Step, Stop, int]:
        """Write labels and table of a run with other ids; return their number."""


# Segments what is left of planes into a store, and writes down in its journal what is finished.
SegmentIntoStore = Callable[[OpenStore], Generator[Step, Stop, RunProgress]]


@dataclass(frozen=True, eq=False)
class StoreJob:
    """What a run into an OME-Zarr shall do.

    Attributes
    ----------
    files : StoreFiles
    fingerprint : dict
        As in ``journal.Journal``.
    planes : sequence of BlockwisePlane
    grid : LabelsGrid
    block_params : BlockParams
    image : StoredImage
    describe : callable
        Adds to the provenance of the run what is known of the image.
    segment : callable, optional
        Segments the planes, as volumes; None: block by block.
    linker : PlaneLinker, optional
    compute : callable, optional
        As in ``segment_blockwise_steps``.
    overwrite : bool, optional
        Whether existing labels are replaced.
    chunk : int, optional
        As in ``LabelsStore.create``.
    ngff : {"0.4", "0.5"}, optional
        Version of the labels.
    verify : bool, optional
        Whether all of labels that are there already is read, and compared with its checksums.
    """

    files: StoreFiles
    fingerprint: dict[str, Any]
    planes: Sequence[BlockwisePlane]
    grid: LabelsGrid
    block_params: BlockParams
    image: StoredImage
    describe: Callable[[Provenance], Provenance]
    segment: SegmentIntoStore | None = None
    linker: PlaneLinker | None = None
    compute: ComputeBlocks = compute_locally_steps
    overwrite: bool = False
    chunk: int = DEFAULT_LIMITS.chunk
    ngff: NgffVersion = DEFAULT_NGFF
    verify: bool = False

    def segment_blocks_steps(self, store: OpenStore) -> Generator[Step, Stop, RunProgress]:
        """Segment planes block by block; returns as ``segment_blockwise_steps``."""
        return segment_blockwise_steps(
            self.planes,
            store.labels,
            store.journal,
            self.block_params,
            self.compute,
            self.image.check_available,
        )


@dataclass(frozen=True)
class StoreOutcome:
    """How a run ended.

    Attributes
    ----------
    progress : RunProgress
    nuclei : int
        Found so far.
    is_whole : bool
        Whether it was not stopped; parts may be missing all the same, as they could not be read.
    already_done : bool
        Whether it was finished before, so that nothing was written.
    """

    progress: RunProgress
    nuclei: int
    is_whole: bool = True
    already_done: bool = False


def segment_to_store_steps(job: StoreJob) -> Generator[Step, Stop, StoreOutcome]:
    """Segment what is left of planes into an OME-Zarr, link, and finish it.

    Linked labels are written in a second pass from a hidden store, which is deleted in the end: an
    interrupted pass has changed nothing of what it reads, and begins again. While parts of the
    image could not be read, the store is not finished, and the hidden one is kept.

    Parameters
    ----------
    job : StoreJob

    Yields
    ------
    Step
        As from ``segment_blockwise_steps``. Sent True, the run stops.

    Returns
    -------
    StoreOutcome

    Raises
    ------
    UserError
        If another program writes these labels, they are of another run or damaged, something cannot
        be used or written, or the image is gone. Finished blocks are kept, and the next run
        resumes there.
    """
    files, linker = job.files, job.linker
    with write_lock(files.labels):
        result = _open_store(job, files)
        if result.is_done or linker is None:
            files.unlinked.remove()  # a run that was killed may have left them
        if result.is_done:
            if result.journal.chunks is not None:  # earlier versions wrote none
                check_chunks(result.labels, result.journal.chunks, job.verify)
            nuclei = result.labels.record.get("nuclei") or 0
            return StoreOutcome(result.journal.progress, nuclei, already_done=True)
        if linker is not None:
            linker.check()
        segmented = result if linker is None else _open_store(job, files.unlinked)
        progress = yield from (job.segment or job.segment_blocks_steps)(segmented)
        job.image.check_unchanged()
        segmented.check_written()
        if progress.next_plane(len(job.planes)) is not None:
            return StoreOutcome(progress, progress.nuclei, is_whole=False)
        if linker is not None:
            yield from _link_steps(linker, segmented, result)
        return (yield from _finish_steps(job, result))


def _open_store(job: StoreJob, files: StoreFiles) -> OpenStore:
    """Open labels with their journal: new ones, or those of a run to resume."""
    journal = Journal(files.journal, files.table, job.fingerprint, job.image.path)
    anew = job.overwrite
    if not anew and is_labels_store(files.labels):
        anew = not can_resume(LabelsStore.open_existing(files.labels), journal)
    labels = LabelsStore.create(files.labels, job.grid, "i4", job.chunk, anew, job.ngff)
    opened = OpenStore(labels, journal)
    opened.resume(job.verify)
    return opened


def _link_steps(
    linker: PlaneLinker, unlinked: OpenStore, linked: OpenStore
) -> Generator[Step, Stop, None]:
    """Write the labels of a hidden run with linked ids."""
    journal = linked.journal
    journal.commit(RunProgress())  # the table is replaced: its length is known afterwards
    if linked.labels.record:  # of an earlier pass, whose tables are replaced, too
        linked.labels.write_record({})
    nuclei = yield from linker.steps(unlinked, linked)
    unlinked.journal.check_unchanged()  # or zeros may have been read
    after = replace(
        unlinked.journal.progress,
        nuclei=nuclei,
        table_bytes=journal.table.stat().st_size,
        table_crc=file_crc32(journal.table),
        surveys={},
    )
    journal.commit(after)


def _finish_steps(job: StoreJob, result: OpenStore) -> Generator[Step, Stop, StoreOutcome]:
    """Build the pyramid, and write the record; without failures the labels are finished."""
    progress, labels = result.journal.progress, result.labels
    record = job.describe(_describe_run(job.block_params, progress)).to_json()
    if any(labels.record.get(name) != record[name] for name in ("nuclei", "failed")):
        for step in labels.build_pyramid():
            if (yield step):
                return StoreOutcome(progress, progress.nuclei, is_whole=False)
        job.image.check_unchanged()
        labels.write_record(record)
    if not progress.failed:
        result.journal.commit(progress, read_chunk_files(labels.path))
        labels.finish(result.journal.fingerprint)
        result.journal.log.path.unlink(missing_ok=True)
        job.files.unlinked.remove()
    return StoreOutcome(progress, progress.nuclei)


def _describe_run(params: BlockParams, progress: RunProgress) -> Provenance:
    """Return the provenance of a run, as far as blocks and planes share it."""
    model, volumes = load_model(params.model), progress.readable_volumes
    return Provenance.of_run(
        model=model.card.name,
        model_sha256=model.card.sha256,
        params=params.params,
        device=params.device,
        ran_on=plan_inference(params.params, params.device, model),
        diameter=tuple(one.diameter for one in volumes) if volumes else None,
        zoom=tuple(one.zoom for one in volumes) if volumes else None,
        gamma=_list_gammas(progress),
        z_step=progress.z_step or (volumes[0].z_step if volumes else None),
        seconds=round(progress.seconds, 3),
        format="zarr",
        nuclei=progress.nuclei,
        left_out=None if volumes else progress.left_out,
        failed=tuple(block.message for block in progress.failed),
        table_crc=progress.table_crc,
    )


def _list_gammas(progress: RunProgress) -> tuple[float | None, ...] | None:
    """Return by which gamma each plane, or volume, was lightened; None: by none at all."""
    if progress.volumes:
        gammas = [one.gamma for one in progress.readable_volumes]
    else:
        gammas = [progress.gammas.get(str(number)) for number in range(progress.plane)]
    return None if all(one is None for one in gammas) else tuple(gammas)
