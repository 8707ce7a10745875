"""What results have in common, be they TIFF or OME-Zarr: ids over planes, and the record."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_nuclei_unet.batch.job import ImageJob
from napari_nuclei_unet.io.atomic import atomic_write
from napari_nuclei_unet.io.tables import write_table
from napari_nuclei_unet.models.model import shipped_models
from napari_nuclei_unet.progress import Step, Stop
from napari_nuclei_unet.provenance.reproduce import describe_source
from napari_nuclei_unet.tracking.linking import (
    LinkedLabels,
    ReadPlane,
    join_steps,
    number_unlinked,
    track_steps,
)


def describe_result(job: ImageJob, nuclei: int) -> dict[str, Any]:
    """Say what the record of a result says of its image, beside the run."""
    settings, picked = job.settings, job.selection
    own = settings.model_name in shipped_models()
    shapes = job.full_size, picked.size
    dtype = np.dtype(job.opened.pixels.dtype)
    source = describe_source(
        picked.first_plane, picked.axes, str(job.path), settings.level, dtype, shapes
    )
    return {
        "source": source | {"planes": job.planes_text},
        "region": None if settings.region is None else settings.region.polygons,
        "model_file": None if own else str(Path(settings.model_name).resolve()),
        "join": settings.join and settings.join.upper(),
        "track": settings.track,
        "format": "zarr" if job.results.is_store else "tiff",
        "nuclei": nuclei,
    }


def link_planes_steps(
    job: ImageJob, read: ReadPlane, counts: Sequence[int]
) -> Generator[Step, Stop, LinkedLabels]:
    """Give ids that hold over all planes.

    Parameters
    ----------
    job : Job
    read : callable
        Gives labels of a plane, 1..n.
    counts : sequence of int
        How many nuclei each plane has; looked at if they are not linked.
    """
    picked, settings = job.selection, job.settings
    if settings.join:
        axis = picked.lead.index(settings.join.upper())
        return (yield from join_steps(read, picked.lengths, axis))
    if settings.track:
        axis = picked.lead.index("T")
        return (yield from track_steps(read, picked.plane_columns, picked.lengths, axis))
    return number_unlinked(counts)


def write_tracks(job: ImageJob, linked: LinkedLabels) -> None:
    """Write the table of tracks, if nuclei were followed."""
    if job.settings.track:
        with atomic_write(job.results.tracks) as aside:
            write_table(aside, linked.tracks)
