"""One range of brightness, one size of nuclei and one zoom for all slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..models.model import Model
from ..progress import Step, Stop, forward_stop
from .device import InferencePlan
from .intensity_range import (
    Brightness,
    IntensityRange,
    drop_alpha,
    sample_intensity_range,
    sampling_step,
)
from .network_form import network_form
from .normalization import Plane
from .predict import predict_maps_steps
from .probe import PROBE_EDGE, Probe, measure_contrast
from .scale import look_at_size_steps, measure_map_diameter
from .size_band import SizeBand

# So many slices are read, evenly spread.
SAMPLED_SLICES = 24
# Brightness is that of this share of them, those with most contrast: empty slices say nothing.
BRIGHT_SHARE = 0.5
# In so many of these nuclei are measured, in squares that together are one probe of a plane.
PROBED_SLICES = 4

ReadSlice = Callable[[int], NDArray[np.generic]]


@dataclass(frozen=True)
class VolumeSurvey:
    """What is common to all slices of a volume.

    Attributes
    ----------
    range : IntensityRange
    diameter : float or None
        Of a typical nucleus, in pixels; None where nothing was found.
    zoom : float
        At which the network sees the slices.
    """

    range: IntensityRange
    diameter: float | None
    zoom: float


def survey_volume_steps(
    read: ReadSlice,
    depth: int,
    model: Model,
    settings: tuple[Brightness, float | None],
    plan: InferencePlan,
    notices: list[str],
) -> Generator[Step, Stop, VolumeSurvey]:
    """Measure brightness and nuclei in a sample of slices.

    Parameters
    ----------
    read : callable
        Returns a slice, shape (Y, X) or (Y, X, C), given its number.
    depth : int
        Number of slices.
    model : Model
    settings : (Brightness, float or None)
        What is given: black and white, and the diameter in pixels.
    plan, notices
        As in ``scale.predict_zoomed_maps_steps``.

    Yields
    ------
    Step
        Without progress.

    Returns
    -------
    VolumeSurvey

    Raises
    ------
    UserError
        If no slice of the sample can be read, or black is not below white.
    """
    brightness, diameter = settings
    slices = _choose_slices(read, depth)
    step = sampling_step((len(slices) * slices[0].shape[0], *slices[0].shape[1:]))
    sample = np.concatenate([values[::step, ::step] for values in slices])
    seen = sample_intensity_range(sample, step, brightness)
    shape = slices[0].shape[:2]
    if not seen.low < seen.high:
        return VolumeSurvey(seen, diameter, 1.0)
    if diameter is not None:
        zoom = SizeBand.of(model.card, shape).choose_zoom(diameter) if model.card.sizes else 1.0
        return VolumeSurvey(seen, diameter, zoom)
    probe = Probe.of_whole(
        Plane(_cut_probe(slices), seen.low, seen.middle, seen.high, gamma=seen.gamma)
    )
    if not model.card.sizes:
        network = network_form(model, plan.precision)
        maps = yield from predict_maps_steps(probe.plane, network, plan, notices)
        return VolumeSurvey(seen, measure_map_diameter(maps, model, 1.0, by_pixel=True), 1.0)
    band = SizeBand.of(model.card, shape)
    looking = look_at_size_steps(probe, band, model, plan, notices, by_pixel=True)
    _, zoom, diameter = yield from forward_stop(looking, lambda step: replace(step, done=0))
    return VolumeSurvey(seen, diameter, zoom)


def _choose_slices(read: ReadSlice, depth: int) -> list[NDArray[np.generic]]:
    """Read slices, and return those with most contrast, in their order."""
    count = min(depth, SAMPLED_SLICES)
    numbers = np.unique(np.linspace(0, depth - 1, count).round().astype(int)).tolist()
    slices: list[NDArray[np.generic]] = []
    failure: UserError | None = None
    for number in numbers:
        try:
            slices.append(drop_alpha(np.asarray(read(number))))
        except UserError as error:  # it is told when its turn comes
            failure = error
    if not slices:
        assert failure is not None
        raise failure
    contrasts = [measure_contrast(values) for values in slices]
    wanted = max(1, round(BRIGHT_SHARE * len(slices)))
    best = sorted(np.argsort(contrasts, kind="stable")[-wanted:].tolist())
    return [slices[number] for number in best]


def _cut_probe(slices: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Put squares of some slices, where contrast is largest, below each other."""
    numbers = np.linspace(0, len(slices) - 1, min(PROBED_SLICES, len(slices))).round()
    edge = PROBE_EDGE // 2
    squares = [_cut_square(slices[number], edge) for number in numbers.astype(int).tolist()]
    return np.concatenate(squares)


def _cut_square(values: NDArray[np.generic], edge: int) -> NDArray[np.generic]:
    """Cut out the square with most contrast, of those that lie side by side or half over."""
    corners = [
        (y, x)
        for y in range(0, max(values.shape[0] - edge // 2, 1), edge // 2)
        for x in range(0, max(values.shape[1] - edge // 2, 1), edge // 2)
    ]
    parts = [
        values[max(min(y, values.shape[0] - edge), 0) :, max(min(x, values.shape[1] - edge), 0) :]
        for y, x in corners
    ]
    squares = [part[:edge, :edge] for part in parts]
    return squares[int(np.argmax([measure_contrast(square) for square in squares]))]
