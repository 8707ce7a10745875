"""What the network sees of a plane: checked, and normalised once for the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.errors import UserError

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.8
SAMPLE = 4_000_000


@dataclass(frozen=True, eq=False)
class Plane:
    """One image plane that can be segmented.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, 3), bool, integer or floating
        Not copied.
    low, high : float
        Black and white point; equal where the plane holds one value only.
    notices : tuple of str
        Sentences about what was left out, for the user.
    """

    pixels: NDArray[np.generic]
    low: float
    high: float
    notices: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def blank(self) -> bool:
        """Whether all values are the same, so that there is nothing to find."""
        return not self.low < self.high


def check_plane(image: NDArray[np.generic]) -> Plane:
    """Accept an array as one plane, or say why not.

    Parameters
    ----------
    image : array-like, shape (Y, X), (Y, X, 1), (Y, X, 3) or (Y, X, 4)
        Grey, RGB or RGBA; bool, any integer or any floating type.

    Returns
    -------
    Plane

    Raises
    ------
    UserError
        If the array is empty, is not one plane, or holds no real numbers.
    """
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif":
        raise UserError(
            f"An image of type {pixels.dtype} cannot be segmented: convert it to real numbers."
        )
    if pixels.size == 0:
        raise UserError(f"The image is empty: its shape is {pixels.shape}.")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise UserError(
            f"One plane is needed, of shape (Y, X) or (Y, X, 3); this array has the shape "
            f"{pixels.shape}: pass its planes one by one."
        )
    notices = []
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[:, :, :3]
        notices.append("The alpha channel was ignored.")
    if pixels.dtype.kind == "f" and (lost := int(np.count_nonzero(~np.isfinite(pixels)))):
        notices.append(f"{lost:,} values are NaN or infinite and were treated as background.")
    return Plane(pixels, *intensity_range(pixels), tuple(notices))


def intensity_range(pixels: NDArray[np.generic]) -> tuple[float, float]:
    """Black and white point of a whole plane.

    The 1st and the 99.8th percentile of its finite values, as in StarDist (Schmidt et al.
    2018, doi:10.1007/978-3-030-00934-2_30); over all channels together, so that colours
    keep their ratio. Of more than four million values a regular sample is taken.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C), bool, integer or floating

    Returns
    -------
    low, high : float
        Equal where the plane holds one value only; both 0 where none is finite.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / SAMPLE))))
    sample = pixels[::step, ::step].astype(np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(sample, [LOW_PERCENTILE, HIGH_PERCENTILE])
    if low == high:  # a few bright or dark pixels on an even ground
        low, high = sample.min(), sample.max()
    return float(low), float(high)


def normalize(pixels: NDArray[np.generic], low: float, high: float) -> NDArray[np.float32]:
    """Map black to 0 and white to 1, and clip what lies outside.

    Parameters
    ----------
    pixels : ndarray, any shape, bool, integer or floating
    low, high : float
        From :func:`intensity_range`; ``low < high``.

    Returns
    -------
    ndarray, same shape, float32, values 0 to 1
        NaN and both infinities are 0, background.
    """
    # 32-bit integers and doubles need more digits than float32 has before black is subtracted
    exact = np.dtype(np.float32 if pixels.dtype.itemsize <= 2 else np.float64)
    scaled: NDArray[Any] = pixels.astype(exact)
    scaled -= low
    scaled /= high - low
    scaled[~np.isfinite(scaled)] = 0
    return np.clip(scaled, 0, 1).astype(np.float32, copy=False)
