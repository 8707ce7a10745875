"""What results have in common, be they TIFF or OME-Zarr: ids over planes, and the record."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_nuclei_unet.batch.job import Job
from napari_nuclei_unet.io.atomic import written
from napari_nuclei_unet.io.tables import write_table
from napari_nuclei_unet.models.model import shipped_models
from napari_nuclei_unet.progress import Step, Wish
from napari_nuclei_unet.provenance.reproduce import source_of
from napari_nuclei_unet.tracking.linking import Linked, Read, follow_steps, join_steps, numbered


def about(job: Job, nuclei: int) -> dict[str, Any]:
    """Say what the record of a result says of its image, beside the run."""
    settings, picked = job.settings, job.picked
    own = settings.model_name in shipped_models()
    shapes = job.full_size, picked.size
    dtype = np.dtype(job.opened.pixels.dtype)
    source = source_of(picked.like, picked.axes, str(job.path), settings.level, dtype, shapes)
    return {
        "source": source | {"planes": job.planes_text},
        "region": None if settings.region is None else settings.region.polygons,
        "model_file": None if own else str(Path(settings.model_name).resolve()),
        "join": settings.join and settings.join.upper(),
        "track": settings.follow,
        "format": "zarr" if job.results.is_store else "tiff",
        "nuclei": nuclei,
    }


def linked_steps(job: Job, read: Read, counts: Sequence[int]) -> Generator[Step, Wish, Linked]:
    """Give ids that hold over all planes.

    Parameters
    ----------
    job : Job
    read : callable
        Gives labels of a plane, 1..n.
    counts : sequence of int
        How many nuclei each plane has; looked at if they are not linked.
    """
    picked, settings = job.picked, job.settings
    if settings.join:
        axis = picked.lead.index(settings.join.upper())
        return (yield from join_steps(read, picked.lengths, axis))
    if settings.follow:
        axis = picked.lead.index("T")
        return (yield from follow_steps(read, picked.columns, picked.lengths, axis))
    return numbered(counts)


def write_tracks(job: Job, linked: Linked) -> None:
    """Write the table of tracks, if nuclei were followed."""
    if job.settings.follow:
        with written(job.results.tracks) as aside:
            write_table(aside, linked.tracks)
