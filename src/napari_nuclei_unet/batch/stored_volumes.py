"""Volumes in an OME-Zarr, written one after the other, so that a run that stopped goes on there."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays.axes import PlaneIndex
from ..blockwise.open_store import OpenStore
from ..blockwise.retry import ReadFailure, RunProgress, WrittenVolume
from ..errors import UserError, convert_read_errors
from ..io.store_files import ChunkFile
from ..io.store_repair import read_written_chunks
from ..io.tables import insert_position
from ..progress import Step, Stop, forward_stop
from ..segmentation.device import plan_inference, release_memory
from ..segmentation.stack import STACK_PROGRESS_PER_PLANE, PlaneCounter, PlaneStep
from ..segmentation.volume import VolumeSegmentation
from ..segmentation.volumes import (
    DEPTH_AXIS,
    SegmentedVolumeStep,
    VolumeSlices,
    VolumesOutcome,
    number_slices,
    segment_volumes_steps,
)
from .job import ImageJob
from .volume_nuclei import keep_nuclei


@dataclass(frozen=True, eq=False)
class StoredVolumes:
    """Segments the volumes of a job into a store.

    Attributes
    ----------
    job : ImageJob
    """

    job: ImageJob

    def steps(self, store: OpenStore) -> Generator[Step, Stop, RunProgress]:
        """Segment the volumes that are left, and write each when it is finished.

        If slices that could not be read before can be read now, the run goes on with the first
        volume that has one: ids are then those of a run without interruption.

        Parameters
        ----------
        store : OpenStore

        Yields
        ------
        Step
            As from ``volumes.segment_volumes_steps``. Sent True, the run stops, and drops the
            volume at work.

        Returns
        -------
        RunProgress

        Raises
        ------
        UserError
            As ``volumes.segment_volumes_steps``, or if something cannot be written.
        """
        settings, journal = self.job.settings, store.journal
        # an error that would be the same for every volume is raised once
        plan_inference(settings.params, settings.device, settings.model)
        volumes = number_slices(self.job.selection)
        slices = len(volumes[0])
        journal.truncate(self._resume(journal.progress, slices))
        for numbers in volumes[journal.progress.plane // slices :]:
            if not (yield from self._volume_steps(store, numbers)):
                return journal.progress
        if not journal.progress.readable_volumes:
            raise UserError(journal.progress.failed[0].message)
        return journal.progress

    def _resume(self, progress: RunProgress, slices: int) -> RunProgress:
        """Return the progress from which a run goes on."""
        readable = []
        for failure in progress.again:
            volume, tried = failure.plane // slices, [failure.plane]
            if progress.volumes[volume].is_unreadable:
                tried = list(range(volume * slices, (volume + 1) * slices))
            if any(map(self._is_readable, tried)):
                readable.append(volume)
        if readable:
            return progress.before_volume(min(readable), slices)
        return replace(progress, failed=progress.again, again=())

    def _is_readable(self, number: int) -> bool:
        try:
            with convert_read_errors("it", MemoryError):
                self._plane(number).read(self.job.opened.pixels)
        except UserError:
            return False
        return True

    def _volume_steps(
        self, store: OpenStore, numbers: tuple[int, ...]
    ) -> Generator[Step, Stop, bool]:
        """Segment a volume, and write it; return whether it was finished."""
        job, before = self.job, store.journal.progress
        found: list[VolumeSegmentation] = []

        def take(step: Step) -> Step:
            if isinstance(step, SegmentedVolumeStep):
                found.append(step.result)
            return _count_among_all(step, numbers)

        try:
            ended = yield from forward_stop(self._segment_steps(before, numbers), take)
        except UserError as error:
            if len(numbers) == len(job.selection.plane_indices):
                raise
            reason = f"Plane {numbers[0]} and its stack: {error}"
            self._write_unreadable(store, numbers, reason)
            yield PlaneCounter(numbers, numbers[0], len(job.selection.plane_indices)).show_failure(
                reason
            )
            return True
        if ended.stopped:
            return False
        self._write(store, numbers, found.pop())
        release_memory()
        return True

    def _segment_steps(
        self, before: RunProgress, numbers: tuple[int, ...]
    ) -> Generator[Step, Stop, VolumesOutcome]:
        job, settings = self.job, self.job.settings
        return segment_volumes_steps(
            job.opened.pixels,
            VolumeSlices(job.selection.plane_indices, [numbers]),
            job.z_step or before.z_step,  # estimated once
            settings.model,
            (settings.params, settings.device, job.region),
            settings.limits.volume_block_voxels,
        )

    def _write(
        self, store: OpenStore, numbers: tuple[int, ...], result: VolumeSegmentation
    ) -> None:
        """Write a volume: first labels, then its rows of the table, then the journal."""
        job, before = self.job, store.journal.progress
        unreadable, provenance = result.prediction.failed, result.provenance
        nuclei = keep_nuclei(job, [self._plane(number) for number in numbers], result)
        job.check_available(bool(unreadable))
        store.journal.check_unchanged()
        ids = np.where(nuclei.numbers > 0, nuclei.numbers + before.nuclei, 0).astype(np.int32)
        chunks: dict[str, ChunkFile] = {}
        for z, number in enumerate(numbers):
            index = job.selection.label_indices[number]
            store.labels.write(index, ids[result.read_labels(z)])
            chunks |= read_written_chunks(store.labels, index)
        position = self._position(numbers)
        where = "".join(f"{name} {at}, " for name, at in position.items())
        failed = [
            ReadFailure(numbers[z], None, f"{where}slice {z} was left out: {reason}")
            for z, reason in unreadable.items()
        ]
        assert not isinstance(provenance.diameter, tuple)
        assert not isinstance(provenance.zoom, tuple)
        assert not isinstance(provenance.gamma, tuple)
        written = _begin_volume(before)._replace(
            is_empty=result.prediction.is_blank,
            z_step=provenance.z_step,
            diameter=provenance.diameter,
            zoom=provenance.zoom,
            gamma=provenance.gamma,
        )
        after = replace(
            _advance(before, len(numbers), failed, written),
            nuclei=before.nuclei + len(nuclei.table),
            seconds=before.seconds + (provenance.seconds or 0),
        )
        rows = nuclei.table.assign(label=nuclei.table["label"] + before.nuclei)
        store.journal.add(insert_position(rows, position), after, chunks)

    def _write_unreadable(self, store: OpenStore, numbers: tuple[int, ...], reason: str) -> None:
        """Write background for a volume of which nothing could be read."""
        job, before = self.job, store.journal.progress
        job.check_available(True)
        store.journal.check_unchanged()
        for number in numbers:
            store.labels.write(job.selection.label_indices[number], 0)
        failed = [ReadFailure(numbers[0], None, reason)]
        store.journal.commit(_advance(before, len(numbers), failed, _begin_volume(before)))

    def _plane(self, number: int) -> PlaneIndex:
        return self.job.selection.plane_indices[number]

    def _position(self, numbers: tuple[int, ...]) -> dict[str, int]:
        """Return the columns of the table that say where a volume is."""
        at = self.job.selection.plane_columns[numbers[0]]
        return {name: at[name] for name in at if name != DEPTH_AXIS.lower()}


def _begin_volume(before: RunProgress) -> WrittenVolume:
    return WrittenVolume(before.nuclei, before.seconds, before.table_bytes, before.table_crc)


def _advance(
    before: RunProgress, slices: int, failed: list[ReadFailure], written: WrittenVolume
) -> RunProgress:
    """Return how far a run is after a volume."""
    return replace(
        before,
        plane=before.plane + slices,
        failed=(*before.failed, *failed),
        volumes=(*before.volumes, written),
    )


def _count_among_all(step: Step, numbers: tuple[int, ...]) -> Step:
    """Return a step of one volume as one of all, without what it brings but with its notices."""
    if not isinstance(step, PlaneStep):
        return step
    notice = step.notice
    if isinstance(step, SegmentedVolumeStep):
        notice = " ".join(step.result.notices)
    # NGFF has slices last, so that those of a volume follow one another
    done = step.done + numbers[0] * STACK_PROGRESS_PER_PLANE
    return PlaneStep(done, step.total, notice, step.plane, step.planes)
