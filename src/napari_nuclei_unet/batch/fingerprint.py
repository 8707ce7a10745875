"""The fingerprint of a job: all that its result depends on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..provenance.record import plugin_version

if TYPE_CHECKING:
    from .job import ImageJob

# Thresholds of which the model's own value is the same at every zoom, as good as none.
ZOOMLESS_THRESHOLDS = ("threshold", "separation", "confidence")
# Entries that are no flags.
PLAIN_NAMES = frozenset({"version", "image", "image size", "image type"})


def describe_job(job: ImageJob) -> dict[str, Any]:
    """Return all that the result of a job depends on; JSON.

    It is the same in the window and on the command line. Parameters have the form of flags, as
    in the files that are there already. No key is "shape", by which tifffile recognizes its own
    metadata in a description.
    """
    settings, selection = job.settings, job.selection
    values = _describe_params(job) | {
        "version": plugin_version(),
        "model": settings.model.card.sha256,
        "image": [job.path.name, job.stamp],  # whose folder says who made it
        "image size": job.opened.pixels.shape,
        "image type": str(job.opened.pixels.dtype),
        "axes": selection.axes,
        "planes": [selection.lead, selection.positions, selection.first_plane.index],
        "channel": settings.channel,
        "level": settings.level,
        "region": None if settings.region is None else settings.region.polygons,
        "join": settings.join and settings.join.upper(),
        "track": settings.track,
    }
    # results that were made without these flags have no such keys
    values |= {name: value for name, value in _describe_rare(job).items() if value}
    flags = {
        name if name in PLAIN_NAMES else f"--{name.replace('_', '-')}": value
        for name, value in values.items()
    }
    return dict(json.loads(json.dumps(flags)))


def _describe_params(job: ImageJob) -> dict[str, Any]:
    """Return the parameters; a threshold that is the model's own is none."""
    params, thresholds = job.settings.params.fingerprint(), job.settings.model.card.thresholds
    for name in ZOOMLESS_THRESHOLDS:  # in the window, each has a value
        if params[name] == thresholds.get(name):
            params[name] = None
    if job.settings.volume:  # nothing is a fragment there
        params.pop("leave_out_fragments", None)
    return params


def _describe_rare(job: ImageJob) -> dict[str, Any]:
    """Return what the fingerprint has only where it is asked for."""
    rare: dict[str, Any] = {"scene": job.scene, "exclude_border": job.settings.exclude_border}
    if job.settings.volume:
        rare |= {"volume": True, "z_step": job.z_step}
    measure = job.settings.measure
    if measure is None:
        return rare
    distances = {"ring": measure.ring, "neighbours": measure.neighbours}
    return {
        **rare,
        "measure": measure.channels or "all",
        **{name: [at, measure.in_micrometers] for name, at in distances.items() if at},
    }
