"""What the network sees of a plane: checked, and normalised once for the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.tiling import ArrayLike
from ..errors import UserError
from .intensity_range import (
    AUTOMATIC_BRIGHTNESS,
    Brightness,
    IntensityRange,
    estimate_intensity_range,
)


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
        raise UserError("This is not an image: its rows differ in length.") from error
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


def check_lazy_plane(pixels: ArrayLike, brightness: Brightness = AUTOMATIC_BRIGHTNESS) -> Plane:
    """Accept what can be sliced as one plane, of which only a sample is read.

    Parameters
    ----------
    pixels : array-like, shape (Y, X), (Y, X, 3) or (Y, X, 4)
        Has a ``dtype``, too.
    brightness : Brightness, optional

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
    return _plane(pixels, estimate_intensity_range(pixels, brightness))


def _plane(
    pixels: ArrayLike,
    seen: IntensityRange,
    invalid: NDArray[np.bool_] | None = None,
    notices: tuple[str, ...] = (),
) -> Plane:
    notices += seen.notices
    return Plane(pixels, seen.low, seen.middle, seen.high, invalid, notices, seen.gamma)


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
            f"An image of type {pixels.dtype} cannot be segmented: convert it to integers or real "
            "numbers."
        )
    if 0 in shape:
        raise UserError(f"The image is empty: its shape is {shape}.")
    if len(shape) != 2 and not (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise UserError(
            f"A single plane is needed, of shape (Y, X) or (Y, X, 3); this array has the shape "
            f"{shape}: pass its planes one by one."
        )
