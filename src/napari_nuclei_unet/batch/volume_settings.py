"""Which images of a run are volumes, and whether their levels have the same slices."""

from __future__ import annotations

import dataclasses

from ..arrays.selection import PlaneSelection
from ..errors import UserError
from ..io.lazy_images import LazyImage
from ..segmentation.volume import check_step
from ..segmentation.volumes import check_depth_axis
from .settings import JobSettings


def resolve_volume(
    settings: JobSettings, selection: PlaneSelection, on_cluster: bool
) -> JobSettings:
    """Check that there are slices of volumes.

    Joining along Z is what volumes do better, but a cluster computes blocks of planes.
    """
    if settings.join is not None and settings.volume:
        raise UserError("Slices of volumes need no joining: leave out `join` or `volume`.")
    if settings.join in ("z", "Z") and "Z" in selection.lead and not on_cluster:
        settings = dataclasses.replace(settings, join=None, volume=True)
    if not settings.volume:
        return dataclasses.replace(settings, volume=False, z_step=None)
    check_depth_axis(selection.lead)
    if on_cluster:
        raise UserError(
            "Volumes are segmented on this computer: leave out `scheduler`, or `volume`."
        )
    if settings.z_step is not None:
        check_step(settings.z_step.value)
    return settings


def check_level_slices(opened: LazyImage, full: LazyImage) -> None:
    """Raise an error if a level has other slices or frames than full resolution.

    Raises
    ------
    UserError
    """
    axes = opened.axes or ""
    lengths = [
        [length for name, length in zip(axes, image.pixels.shape, strict=False) if name in "TZ"]
        for image in (opened, full)
    ]
    if lengths[0] != lengths[1]:
        raise UserError(
            "This level has fewer slices or frames than the image, so that they do not fit "
            "together: choose another `level`."
        )
