"""The last steps of TIFF and OME-Zarr results alike: linked ids, the record, and tracks."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from ..export.track_tables import lineage_path, tracks_crc32, write_track_tables
from ..io.atomic import atomic_write
from ..io.record_paths import real_path
from ..models.model import shipped_models
from ..progress import Step, Stop
from ..provenance.record import Provenance, SourceImage
from ..segmentation.volumes import DEPTH_AXIS, number_slices
from ..tracking.lineage import TrackScale
from ..tracking.linking import (
    LinkedLabels,
    ReadPlane,
    TrackOptions,
    join_steps,
    number_unlinked,
    number_volumes,
    track_steps,
)
from .job import ImageJob


def describe_result(provenance: Provenance, job: ImageJob) -> Provenance:
    """Add what is known of the image, and of all its planes, to the provenance of a run."""
    settings, selection = job.settings, job.selection
    is_shipped = settings.model_name in shipped_models()
    return replace(
        provenance,
        source=SourceImage.of(
            selection.first_plane,
            selection.axes,
            np.dtype(job.opened.pixels.dtype),
            job.full_size,
            level_size=selection.size,
            level=settings.level,
            planes=tuple(job.planes_text),
            path=str(job.path),
            scene=job.scene,
        ),
        region=None if settings.region is None else settings.region.polygons,
        model_file=None if is_shipped else str(real_path(settings.model_name)),
        join=settings.join and settings.join.upper(),
        track=settings.track,
        volume=settings.volume,
        exclude_border=settings.exclude_border,
        format="zarr" if job.results.is_store else "tiff",
        tracks_crc=_read_tracks_crc(job) if job.results.is_store else None,
    )


def _read_tracks_crc(job: ImageJob) -> int | None:
    """Compute the checksum of the tables of tracks that are written; None: there are none."""
    tables = job.results.tracks, lineage_path(job.results.tracks)
    if not (job.settings.track and all(path.is_file() for path in tables)):
        return None
    return tracks_crc32(*tables)


def link_planes_steps(
    job: ImageJob,
    read: ReadPlane,
    counts: Sequence[int],
    read_candidates: ReadPlane | None = None,
    z_step: float | None = None,
) -> Generator[Step, Stop, LinkedLabels]:
    """Assign ids that are unique over all planes.

    Parameters
    ----------
    job : ImageJob
    read : callable
        Returns labels of a plane, 1..n.
    counts : sequence of int
        Number of nuclei in each plane; used if they are not linked.
    read_candidates : callable, optional
        Returns candidates of a plane, from which tracks take nuclei that were missed.
    z_step : float, optional
        Of volumes, the distance between slices in pixels, as found; None: there is no nucleus.
    """
    selection, settings = job.selection, job.settings
    if settings.volume and settings.track:
        return (yield from _track_volumes_steps(job, read, z_step))
    if settings.volume:
        return number_volumes(counts, number_slices(selection))
    if settings.join:
        axis = selection.lead.index(settings.join.upper())
        return (yield from join_steps(read, selection.lengths, axis))
    if settings.track:
        axis = selection.lead.index("T")
        options = TrackOptions(read_candidates=read_candidates)
        columns = selection.plane_columns
        return (yield from track_steps(read, columns, selection.lengths, axis, options))
    return number_unlinked(counts)


def _track_volumes_steps(
    job: ImageJob, read: ReadPlane, z_step: float | None
) -> Generator[Step, Stop, LinkedLabels]:
    """Track nuclei of volumes over time; all slices of a volume get the ids of their nuclei."""
    selection = job.selection
    volumes = number_slices(selection)
    axes = [axis for axis, name in enumerate(selection.lead) if name != DEPTH_AXIS]
    columns = [dict(selection.plane_columns[numbers[0]]) for numbers in volumes]
    for column in columns:
        del column["z"]
    linked = yield from track_steps(
        lambda number: np.stack([read(slice_number) for slice_number in volumes[number]]),
        columns,
        [selection.lengths[axis] for axis in axes],
        [selection.lead[axis] for axis in axes].index("T"),
        TrackOptions(spacing=None if z_step is None else (z_step, 1.0, 1.0)),
    )
    assert linked.tracks is not None
    first = selection.positions[selection.lead.index(DEPTH_AXIS)][0]
    tracks = linked.tracks.assign(z=linked.tracks["z"] + first)  # as in the image
    return replace(linked.spread(volumes), tracks=tracks)


@contextmanager
def write_tracks(job: ImageJob, linked: LinkedLabels) -> Iterator[int | None]:
    """Write the tables of tracks and of lineages aside, then move them to their places.

    Yields
    ------
    int or None
        Their checksum, for the record; None: nuclei were not tracked, and nothing is written.
    """
    if linked.tracks is None:
        yield None
        return
    path, grid = job.results.tracks, job.grid
    scale = TrackScale.of(grid.axes, grid.scale, grid.units)
    with (
        atomic_write(path, create_folder=False) as tracks,
        atomic_write(lineage_path(path), create_folder=False) as lineages,
    ):
        write_track_tables(tracks, lineages, linked.tracks, scale)
        yield tracks_crc32(tracks, lineages)
