"""What the line of status says of the nuclei that were found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...counts import format_count
from ...provenance.record import Provenance
from ..layers.geometry import pixel_to_world
from ..layers.image_source import ImageSource, plane_axes
from ..session.plane_result import RetunedPlane


def summarize_plane(retuned: RetunedPlane, source: ImageSource, seconds: float | None) -> str:
    """Summarize the nuclei of a plane in words.

    Parameters
    ----------
    retuned : RetunedPlane
    source : ImageSource
    seconds : float or None
        None: the plane was only retuned.
    """
    provenance = retuned.result.provenance
    parts = summarize_areas(retuned.areas, source)
    if provenance.stopped:
        parts[0] += " in the part that was finished"
    elif retuned.inside is not None:
        parts[0] += describe_region(source)
    if isinstance(provenance.zoom, float) and provenance.zoom != 1:
        parts.append(describe_zoom(provenance.zoom))
    if provenance.gamma is not None:
        parts.append(f"lightened by a gamma of {provenance.gamma:.2g}")
    if seconds is not None:
        parts.append(format_speed(seconds, provenance))
    return " · ".join(parts)


def describe_region(source: ImageSource) -> str:
    """Return where nuclei were looked for; nothing, if everywhere."""
    if source.region is None:
        return ""
    return " in view (preview)" if source.is_view else " in the region"


def describe_zoom(zoom: float) -> str:
    """Return how large the network has seen an image, and why."""
    return f"seen at {100 * zoom:.0f} % (nuclei are {'large' if zoom < 1 else 'small'})"


def format_speed(seconds: float, provenance: Provenance) -> str:
    """Format how long a run took, and on what."""
    ran = provenance.ran_on
    return f"{seconds:.1f} s" + (f" on {ran.device.upper()}, {ran.precision}" if ran else "")


def summarize_areas(areas: NDArray[np.integer], source: ImageSource) -> list[str]:
    """Summarize the number of nuclei and their median area."""
    count = len(areas)
    parts = [format_count(count, "nucleus")]
    return parts + (
        [f"median area {_format_area(float(np.median(areas)), source)}"] if count else []
    )


def _format_area(pixels: float, source: ImageSource) -> str:
    """Format an area in the layer's units, or in pixels where it has none or several."""
    axes = list(plane_axes(source.plane_index))
    units = [source.image.units[axis] for axis in axes]
    unit, size = "px", 1.0
    if units[0] == units[1] and str(units[0]) != "pixel":
        _, linear = pixel_to_world(source.image)
        unit, size = f"{units[0]:~P}", abs(float(np.linalg.det(linear[np.ix_(axes, axes)])))
    value = pixels * size
    return f"{value:,.0f} {unit}²" if value >= 100 else f"{value:.3g} {unit}²"
