"""What the network sees of a plane: checked, and normalised once for the whole of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.tiling import ArrayLike
from ..errors import UserError
from ..params import AUTOMATIC_BRIGHTNESS, Brightness
from .artefacts import MAX_OUTLIERS, Tails, find_artefacts, has_filled_rim

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


@dataclass(frozen=True, eq=False)
class Plane:
    """One image plane that can be segmented.

    Attributes
    ----------
    pixels : array-like, shape (Y, X) or (Y, X, 3), bool, integer or floating
        Not copied; may be lazy.
    low, middle, high : float
        Black point, median and white point; all equal where the plane holds one value only.
    invalid : ndarray, shape (Y, X), bool, or None
        Where a value is NaN or infinite, if any is.
    notices : tuple of str
        Sentences about what was left out, for the user.
    gamma : float
        Exponent of what lies between black and white.
    """

    pixels: ArrayLike
    low: float
    middle: float
    high: float
    invalid: NDArray[np.bool_] | None = None
    notices: tuple[str, ...] = ()
    gamma: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def is_blank(self) -> bool:
        """Whether all values are the same, so that there is nothing to find."""
        return not self.low < self.high

    def normalized(self, part: NDArray[np.generic] | None = None) -> NDArray[np.float32]:
        """Map black to 0 and white to 1, and clip what lies outside.

        Parameters
        ----------
        part : ndarray, any shape, optional
            Some of the plane's pixels; all of them without.

        Returns
        -------
        ndarray, same shape, float32, values 0 to 1
            NaN and infinity get the median, which is mostly background, on dark as on bright
            ground. Of a blank plane all is 0.
        """
        part = np.asarray(self.pixels) if part is None else part
        # 32-bit integers and doubles need more digits than float32 has until black is taken off
        exact = np.dtype(np.float32 if part.dtype.itemsize <= 2 else np.float64)
        scaled: NDArray[Any] = part.astype(exact)
        scaled[~np.isfinite(scaled)] = self.middle
        scaled -= self.low
        scaled /= 1 if self.is_blank else self.high - self.low
        np.clip(scaled, 0, 1, out=scaled)
        if self.gamma != 1:
            scaled **= self.gamma
        return scaled.astype(np.float32, copy=False)


def check_plane(image: NDArray[np.generic], brightness: Brightness = AUTOMATIC_BRIGHTNESS) -> Plane:
    """Accept an array as one plane, or say why not.

    Parameters
    ----------
    image : array-like, shape (Y, X), (Y, X, 1), (Y, X, 3) or (Y, X, 4)
        Grey, RGB or RGBA; bool, any integer or any floating type.
    brightness : Brightness, optional

    Returns
    -------
    Plane

    Raises
    ------
    UserError
        If the array is empty, is not one plane, or holds no real numbers, or black is not below
        white.
    """
    try:
        pixels = np.asarray(image)
    except ValueError as error:
        raise UserError("This is no image: its rows differ in length.") from error
    check_type_and_shape(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    notices: list[str] = []
    invalid: NDArray[np.bool_] | None = None
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[:, :, :3]
        notices.append("The alpha channel was ignored.")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        lost = ~np.isfinite(pixels)
        invalid = np.asarray(lost if lost.ndim == 2 else lost.any(axis=2))
        notices.append(
            f"{np.count_nonzero(lost):,} values are NaN or infinite and were treated as background."
        )
    return _plane(pixels, estimate_intensity_range(pixels, brightness), invalid, tuple(notices))


def check_lazy_plane(pixels: ArrayLike) -> Plane:
    """Accept what can be sliced as one plane, of which only a sample is read.

    Parameters
    ----------
    pixels : array-like, shape (Y, X), (Y, X, 3) or (Y, X, 4)
        Has a ``dtype``, too.

    Returns
    -------
    Plane
        Normalised as :func:`check_plane` would have it; ``pixels`` is kept as it is, and nothing
        is known of NaN and infinity in it.

    Raises
    ------
    UserError
        As :func:`check_plane`.
    """
    check_type_and_shape(pixels)
    return _plane(pixels, estimate_intensity_range(pixels))


def _plane(
    pixels: ArrayLike,
    seen: IntensityRange,
    invalid: NDArray[np.bool_] | None = None,
    notices: tuple[str, ...] = (),
) -> Plane:
    notices += seen.notices
    return Plane(pixels, seen.low, seen.middle, seen.high, invalid, notices, seen.gamma)


def drop_alpha(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Leave transparency out, and an axis of colours that has one only."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]


def shape_without_alpha(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a plane as :func:`drop_alpha` leaves it."""
    height, width, *colours = shape
    return height, width, *(min(n, 3) for n in colours if n > 1)


def check_type_and_shape(pixels: Any) -> None:
    """Refuse what is no plane of real numbers; nothing is read.

    Parameters
    ----------
    pixels : array-like
        Has ``shape`` and ``dtype``.

    Raises
    ------
    UserError
    """
    shape = tuple(pixels.shape)
    if np.dtype(pixels.dtype).kind not in "buif":
        raise UserError(
            f"An image of type {pixels.dtype} cannot be segmented: convert it to real numbers."
        )
    if 0 in shape:
        raise UserError(f"The image is empty: its shape is {shape}.")
    if len(shape) != 2 and not (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise UserError(
            f"One plane is needed, of shape (Y, X) or (Y, X, 3); this array has the shape "
            f"{shape}: pass its planes one by one."
        )


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
    colours keep their ratio. What is no measurement does not count (:mod:`.artefacts`).

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
    return found if brightness.is_automatic else _replace_range(found, brightness, finite)


def _finite(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    return sample[np.isfinite(sample)]


def _measure_tails(values: NDArray[np.float64]) -> Tails:
    inner_high = HIGH_PERCENTILE * (1 - MAX_OUTLIERS)
    inner_low = 100 - (100 - LOW_PERCENTILE) * (1 - MAX_OUTLIERS)
    percentiles = LOW_PERCENTILE, inner_low, 50, inner_high, HIGH_PERCENTILE
    return Tails(*np.percentile(values, percentiles))


def _drop_artefacts(sample: NDArray[np.float64], step: int) -> NDArray[np.float64] | None:
    """Return the finite values of a sample that are measurements; None: all of them are."""
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
