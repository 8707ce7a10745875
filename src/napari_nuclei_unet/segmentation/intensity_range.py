"""Black and white point of a plane: measured without what is no measurement, or given."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays.tiling import ArrayLike
from ..errors import UserError
from ..params import SegmentParams
from .artefacts import MAX_OUTLIERS, Tails, find_artefacts, has_filled_rim
from .exposure import measure_gamma

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.8
MAX_SAMPLED_VALUES = 4_000_000
# Where fewer values lie from black to white, a notice says so.
MIN_INSIDE = 0.01
NOTHING_INSIDE = (
    "Less than 1 % of the pixels lie between black ({:g}) and white ({:g}), so that hardly "
    "anything can be found: set `black` and `white` to the range of ground and nuclei, or neither."
)


@dataclass(frozen=True)
class Brightness:
    """What is black and white to the network; None: measured in each plane.

    Attributes
    ----------
    black, white : float or None
        In units of the image.
    gamma : float or None
        Exponent of what lies between; None: 1, or, if black and white are measured, too, that
        by which a dark bright field is lightened.
    """

    black: float | None = None
    white: float | None = None
    gamma: float | None = None

    @classmethod
    def of(cls, params: SegmentParams) -> Brightness:
        """Return the brightness that parameters ask for."""
        return cls(params.black, params.white, params.gamma)

    @property
    def is_automatic(self) -> bool:
        """Whether nothing is given."""
        return self == AUTOMATIC_BRIGHTNESS


AUTOMATIC_BRIGHTNESS = Brightness()


@dataclass(frozen=True)
class IntensityRange:
    """Brightness of a plane.

    Attributes
    ----------
    low, middle, high : float
        Black point, median and white point; all equal where the plane holds one value only.
    gamma : float
        Exponent of what lies between.
    notices : tuple of str
        Sentences for the user.
    """

    low: float
    middle: float
    high: float
    gamma: float = 1.0
    notices: tuple[str, ...] = ()


def estimate_intensity_range(
    pixels: ArrayLike, brightness: Brightness = AUTOMATIC_BRIGHTNESS
) -> IntensityRange:
    """Estimate black point, median and white point of a whole plane.

    Of more than four million values a regular sample is taken.

    Parameters
    ----------
    pixels : array-like, shape (Y, X) or (Y, X, C), bool, integer or floating
        Of a fourth channel, transparency, nothing is looked at.
    brightness : Brightness, optional

    Returns
    -------
    IntensityRange

    Raises
    ------
    UserError
        If black is not below white.
    """
    step = sampling_step(pixels.shape)
    return sample_intensity_range(drop_alpha(np.asarray(pixels[::step, ::step])), step, brightness)


def drop_alpha(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Leave transparency out, and an axis of colours that has one only."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]


def sampling_step(shape: tuple[int, ...]) -> int:
    """Return of how many rows, and columns, one is in the sample of a plane."""
    colours = min(shape[2], 3) if len(shape) == 3 else 1
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] * colours / MAX_SAMPLED_VALUES)))


def sample_intensity_range(
    sample: NDArray[np.generic], step: int = 1, brightness: Brightness = AUTOMATIC_BRIGHTNESS
) -> IntensityRange:
    """Estimate black point, median and white point from a regular sample.

    Black and white are the 1st and the 99.8th percentile of its finite values, as in StarDist
    (Schmidt et al. 2018, doi:10.1007/978-3-030-00934-2_30); over all channels together, so that
    colours keep their ratio. What is no measurement does not count (:mod:`.artefacts`). A dark
    bright field is lightened (:mod:`.exposure`).

    Parameters
    ----------
    sample : ndarray, shape (Y, X) or (Y, X, C)
    step : int
        Pixels of the plane from one value to the next.
    brightness : Brightness, optional
        Replaces what is estimated.

    Returns
    -------
    IntensityRange
        Equal points where the plane holds one value only; 0 where none is finite.

    Raises
    ------
    UserError
        If black is not below white.
    """
    values: NDArray[np.float64] = sample.astype(np.float64)
    finite = _finite(values)
    if finite.size == 0:
        return IntensityRange(0.0, 0.0, 0.0)
    tails = _measure_tails(finite)
    if tails.are_suspicious or has_filled_rim(values, tails):
        measured = _drop_artefacts(values, step)
        if measured is not None:
            finite, tails = measured, _measure_tails(measured)
    low, high = tails.low, tails.high
    if low == high:  # a few bright or dark pixels on an even ground
        low, high = finite.min(), finite.max()
    found = IntensityRange(float(low), float(tails.middle), float(high))
    if not brightness.is_automatic:
        return _replace_range(found, brightness, finite)
    if low == high:
        return found
    return replace(found, gamma=measure_gamma(values, finite, found.low, found.high))


def automatic_gamma(gamma: float, params: SegmentParams) -> float | None:
    """Return the gamma by which a plane was seen, if that was measured and changed anything."""
    return gamma if gamma != 1 and Brightness.of(params).is_automatic else None


def _finite(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    return sample[np.isfinite(sample)]


def _measure_tails(values: NDArray[np.float64]) -> Tails:
    inner_high = HIGH_PERCENTILE * (1 - MAX_OUTLIERS)
    inner_low = 100 - (100 - LOW_PERCENTILE) * (1 - MAX_OUTLIERS)
    percentiles = LOW_PERCENTILE, inner_low, 50, inner_high, HIGH_PERCENTILE
    return Tails(*np.percentile(values, percentiles))


def _drop_artefacts(sample: NDArray[np.float64], step: int) -> NDArray[np.float64] | None:
    """Return the finite values of a sample that are measurements; None: all of them are."""
    with np.errstate(invalid="ignore"):  # infinity and its opposite
        grey = sample if sample.ndim == 2 else sample.mean(axis=2)
    ignored = find_artefacts(grey, LOW_PERCENTILE, HIGH_PERCENTILE, step)
    if ignored is None or ignored.all():
        return None
    return _finite(sample[~ignored])


def _replace_range(
    found: IntensityRange, brightness: Brightness, finite: NDArray[np.float64]
) -> IntensityRange:
    """Return a range with what is given in place of what was found."""
    low = found.low if brightness.black is None else brightness.black
    high = found.high if brightness.white is None else brightness.white
    gamma = 1.0 if brightness.gamma is None else brightness.gamma
    if found.low == found.high and not low < high:
        return found
    if not low < high:
        raise UserError(
            f"The black point of the image would be {low:g}, and its white point {high:g}: give "
            "both, `black` lower than `white`."
        )
    inside = np.count_nonzero((finite >= low) & (finite <= high)) / finite.size
    notices = (NOTHING_INSIDE.format(low, high),) if inside < MIN_INSIDE else ()
    return IntensityRange(low, found.middle, high, gamma, notices)
