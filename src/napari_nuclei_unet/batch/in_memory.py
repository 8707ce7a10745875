"""Segmentation of an image in memory, into TIFF."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.boxes import enlarged
from ..arrays.packed_labels import PackedLabels
from ..arrays.relabel import relabel_sequential
from ..errors import UserError
from ..export.ome_tiff import write_ome_tiff
from ..export.result import Result
from ..io.atomic import atomic_write, check_writable, file_crc32
from ..io.labels import check_overwritable, write_labels_stack, write_labels_tiff
from ..io.lazy_images import image_stem
from ..io.tables import insert_position, write_table
from ..labels.border import clear_border
from ..progress import Step, Stop, forward_stop
from ..provenance.left_out_counts import LeftOutCounts
from ..provenance.record import Provenance
from ..segmentation.device import plan_inference
from ..segmentation.intensity_range import Brightness
from ..segmentation.normalization import check_plane
from ..segmentation.segment import Segmentation
from ..segmentation.stack import PlaneStep, SegmentedPlaneStep, StackOutcome, segment_planes_steps
from ..segmentation.volumes import (
    SegmentedVolumeStep,
    VolumeSlices,
    VolumesOutcome,
    segment_volumes_steps,
)
from ..tracking.linking import LinkedLabels
from .candidates import CandidateStore
from .edited import check_nothing_edited
from .finish import describe_result, link_planes_steps, write_tracks
from .inputs import OME_TIFF_SUFFIXES
from .job import ImageJob
from .labels_format import count_plane_bytes
from .measure import measure_segmentation, read_full_labels
from .outputs import Outcome
from .ownership import check_tables_overwritable
from .volume_nuclei import keep_nuclei


def segment_in_memory_steps(
    job: ImageJob, overwrite: bool = False
) -> Generator[Step, Stop, Outcome]:
    """Segment the planes of an image one by one, and write them as TIFF; all files, or none.

    Arguments, steps and errors as in ``run.segment_job_steps``.
    """
    settings, done = job.settings, None if overwrite else job.find_done()
    if done is not None:
        planes = len(job.selection.plane_indices)
        return Outcome(
            planes, done.nuclei or 0, skipped=True, left_out=done.left_out, gammas=done.gammas
        )
    check_overwritable(job.results.labels)
    check_tables_overwritable(*job.written_tables)
    read = count_plane_bytes(job.opened, math.prod(job.selection.size))
    settings.limits.require_plane_memory(job.selection.size, read)
    if not overwrite:
        check_nothing_edited(job)
    check_writable(job.results.labels.parent, create_folder=False)
    results = _PlaneResults(job)
    # an error that would be the same for every plane is raised once
    plan_inference(settings.params, settings.device, settings.model)
    last_step = yield from forward_stop(_segment_steps(job), results.collect)
    if last_step.stopped:
        raise UserError(f"{job.path} was stopped before it was finished.")
    counts = [results.counts.get(number, 0) for number in range(len(job.selection.plane_indices))]
    linked = yield from link_planes_steps(
        job, results.read, counts, results.candidates.read, results.z_step
    )
    job.check_unchanged()
    results.write(linked)
    gammas = tuple(gamma for one in results.provenances for gamma in one.gammas)
    return Outcome(
        len(counts),
        linked.count,
        tuple(results.failed),
        left_out=results.left_out,
        gammas=gammas,
    )


def _segment_steps(job: ImageJob) -> Generator[Step, Stop, StackOutcome | VolumesOutcome]:
    settings, pixels = job.settings, job.opened.pixels
    if settings.volume:
        how = settings.params, settings.device, job.region
        limit = settings.limits.volume_block_voxels
        return segment_volumes_steps(
            pixels, VolumeSlices.of(job.selection), job.z_step, settings.model, how, limit
        )
    return segment_planes_steps(
        pixels,
        job.selection.plane_indices,
        settings.model,
        settings.params,
        settings.device,
        job.region,
    )


class _PlaneResults:
    """Keeps the results of planes; labels compressed, as they are mostly background."""

    def __init__(self, job: ImageJob) -> None:
        self.job = job
        self.numbers = {index: number for number, index in enumerate(job.selection.plane_indices)}
        self.counts: dict[int, int] = {}
        self.labels = PackedLabels(job.full_size)
        self.tables: dict[int, pd.DataFrame] = {}
        self.candidates = CandidateStore(job)
        self.provenances: list[Provenance] = []
        self.failed: list[str] = []
        self.volumes: list[tuple[int, ...]] = []

    def collect(self, step: Step) -> Step:
        """Keep the result of a plane, or a volume; the step is passed on without it."""
        if isinstance(step, SegmentedVolumeStep):
            return self._collect_volume(step)
        if not isinstance(step, SegmentedPlaneStep):
            if isinstance(step, PlaneStep) or not step.notice:
                return step
            self.job.check_available(True)
            self.failed.append(step.notice)
            # for a single plane it is not a notice, but the error that ends the run
            return step if len(self.numbers) > 1 else Step(step.done, step.total)
        result = step.result
        if self.job.settings.level:
            result = _enlarge_to_full_resolution(
                result, step.plane_index.read(self.job.full.pixels)
            )
        if self.job.settings.exclude_border:
            labels, _ = relabel_sequential(clear_border(result.labels))
            result = dataclasses.replace(result, labels=labels.astype(np.int32, copy=False))
        number = self.numbers[step.plane_index]
        self.candidates.collect(number, step, result)
        self.counts[number] = result.count
        self.labels.put(number, result.labels)
        self.tables[number] = measure_segmentation(self.job, step.plane_index, result)
        self.provenances.append(result.provenance)
        return _without_result(step, result.notices)

    @property
    def left_out(self) -> LeftOutCounts | None:
        """What was found in all planes beside the nuclei; None: it is not known."""
        counts = [one.left_out for one in self.provenances if one.left_out is not None]
        return sum(counts, LeftOutCounts()) if counts else None

    @property
    def z_step(self) -> float | None:
        """Distance between slices of volumes in pixels of the labels; None: there are no nuclei."""
        # not known before there was something to see
        step = self.provenances[-1].z_step if self.provenances else None
        return None if step is None else step * self.job.labels_size[0] / self.job.selection.size[0]

    def _collect_volume(self, step: SegmentedVolumeStep) -> Step:
        """Keep a volume: its table with its first slice."""
        result, job = step.result, self.job
        planes = [job.selection.plane_indices[number] for number in step.numbers]
        nuclei = keep_nuclei(job, planes, result)
        self.tables[step.numbers[0]] = table = nuclei.table
        self.volumes.append(step.numbers)
        self.counts |= dict.fromkeys(step.numbers, len(table))
        for z, number in enumerate(step.numbers):
            labels = read_full_labels(result, z, job.full_size)
            self.labels.put(number, nuclei.numbers[labels])
        self.provenances.append(result.provenance)
        return _without_result(step, result.notices)

    def read(self, number: int) -> NDArray[np.int32]:
        """Return labels of a plane, 1..n; background for one that failed."""
        return self.labels.read(number)

    def write(self, linked: LinkedLabels) -> None:
        """Write all files, or none; labels come to their place first.

        Where only some did, as the program was killed, no table is without the labels by whose
        record it is known as unedited.
        """
        job, provenance = self.job, self._describe(linked)
        results = job.results
        with (
            write_tracks(job, linked) as tracks_crc,
            atomic_write(results.table, create_folder=False) as table,
            atomic_write(results.labels, create_folder=False) as labels,
        ):
            write_table(table, self._table(linked))
            crc = file_crc32(table)
            record = dataclasses.replace(provenance, table_crc=crc, tracks_crc=tracks_crc).to_json()
            self._write_labels(labels, linked, record)
        results.remove_earlier_labels()

    def _write_labels(self, path: Path, linked: LinkedLabels, record: dict[str, Any]) -> None:
        """Write labels as OME-TIFF where they are named so, else as plain TIFF."""
        grid, planes = self.job.grid, _LinkedPlanes(self, linked)
        if self.job.results.labels.name.lower().endswith(OME_TIFF_SUFFIXES):
            labels, name = cast(Any, planes), image_stem(self.job.path)
            result = Result(labels, {}, grid.axes, grid.scale, grid.units, record, name)
            write_ome_tiff(path, result, linked.count)
        elif len(grid.shape) == 2:
            write_labels_tiff(path, planes[...], record)
        else:
            write_labels_stack(path, planes, (grid.shape, grid.axes), linked.count, record)

    def _table(self, linked: LinkedLabels) -> pd.DataFrame:
        """Concatenate the tables of all planes, with the position of each plane."""
        return pd.concat(
            insert_position(self.candidates.final_table(n, table, linked), self._position(n))
            for n, table in sorted(self.tables.items())
        )

    def _position(self, number: int) -> dict[str, int]:
        """Return columns of the position of a plane, or of a volume."""
        at = self.job.selection.plane_columns[number]
        return {name: at[name] for name in at if not (self.volumes and name == "z")}

    def _describe(self, linked: LinkedLabels) -> Provenance:
        first, planes = self.provenances[0], self.provenances
        described = dataclasses.replace(
            describe_result(first, self.job),
            nuclei=linked.count,
            recovered=linked.recovered,
            left_out=self.left_out,
            failed=tuple(self.failed),  # such a result does not count as done
            fingerprint=self.job.fingerprint,
        )
        if not self.job.selection.lead:
            return described
        gammas = tuple(cast(float | None, plane.gamma) for plane in planes)
        return dataclasses.replace(
            described,
            time=planes[-1].time,
            seconds=round(sum(plane.seconds or 0 for plane in planes), 3),
            diameter=tuple(cast(float | None, plane.diameter) for plane in planes),
            zoom=tuple(cast(float, plane.zoom) for plane in planes),
            gamma=gammas if any(gammas) else None,
            z_step=self.z_step,
        )


class _LinkedPlanes:
    """Labels of all planes with their final ids, of which a plane is unpacked when it is read."""

    def __init__(self, results: _PlaneResults, linked: LinkedLabels) -> None:
        self.shape, self.dtype = results.job.grid.shape, np.dtype(np.int32)
        self._results, self._linked = results, linked
        self._numbers = {at: n for n, at in enumerate(np.ndindex(*self.shape[:-2]))}

    def __getitem__(self, index: Any) -> NDArray[np.integer]:
        if index == ...:
            return self._read(0)
        return self._read(self._numbers[index])

    def __iter__(self) -> Iterator[NDArray[np.integer]]:
        return map(self._read, self._numbers.values())

    def _read(self, number: int) -> NDArray[np.integer]:
        ids = self._linked.ids[number]
        relabelled = ids[self._results.read(number)]
        return self._results.candidates.overlay(number, relabelled, self._linked)


def _without_result(step: PlaneStep, notices: tuple[str, ...]) -> PlaneStep:
    """Return a step without what it brings, but with its notices."""
    fields = {field.name: getattr(step, field.name) for field in dataclasses.fields(PlaneStep)}
    return PlaneStep(**fields | {"notice": " ".join(notices)})


def _enlarge_to_full_resolution(result: Segmentation, plane: NDArray[np.generic]) -> Segmentation:
    """Enlarge a result of a lower level of a pyramid to full resolution.

    Parameters
    ----------
    result : Segmentation
    plane : ndarray, shape (Y, X) or (Y, X, C)
        The same plane at full resolution.

    Returns
    -------
    Segmentation
        The same object where it is at full resolution already.
    """
    if result.labels.shape == plane.shape[:2]:
        return result
    inside = None if result.inside is None else enlarged(result.inside, plane.shape)
    return dataclasses.replace(
        result,
        plane=check_plane(plane, Brightness.of(result.provenance.params)),
        labels=enlarged(result.labels, plane.shape),
        quantized_maps=np.stack(
            [enlarged(values, plane.shape) for values in result.quantized_maps]
        ),
        inside=inside,
    )
