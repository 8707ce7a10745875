"""Colours of image files as RGB, as Pillow shows them, and palettes that are ramps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

# Largest step of a ramp, of the whole range: lookup tables of microscopy programs are smooth.
MAX_RAMP_STEP = 0.13
# Of so few colours a ramp begins with black: a picture may have as few.
FEW_COLOURS, MAX_BLACK = 64, 0.1
# Rounding that a ramp may have against its direction.
MAX_REVERSE_STEP = 0.004
Convert = Callable[[NDArray[Any]], NDArray[Any]]


class ConvertedPixels:
    """Pixels that are converted where they are sliced, all samples of a pixel together.

    Parameters
    ----------
    source : array-like
        Has shape and dtype; only sliced.
    axis : int or None
        Of the samples in the source; None: it has one sample for a pixel.
    convert : callable
        Of an array whose last axis is that of the samples, if there is one.
    colours : int
        Length of the last axis, which is appended; 0: there is none.
    dtype : dtype
        Of what is returned.
    """

    def __init__(
        self, source: Any, axis: int | None, convert: Convert, colours: int, dtype: Any
    ) -> None:
        self._source, self._axis, self._convert, self._colours = source, axis, convert, colours
        others = [length for at, length in enumerate(source.shape) if at != axis]
        self.shape = (*others, *([colours] if colours else []))
        self.dtype = np.dtype(dtype)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        inside = list(index[:-1] if self._colours else index)
        if self._axis is not None:
            inside.insert(self._axis, slice(0, self._source.shape[self._axis], 1))
        read = np.asarray(self._source[tuple(inside)])
        if self._axis is not None:
            before = sum(isinstance(at, slice) for at in inside[: self._axis])
            read = np.moveaxis(read, before, -1)
        converted = self._convert(read)
        return converted[..., index[-1]] if self._colours else converted


def is_ramp(palette: NDArray[np.integer]) -> bool:
    """Return whether a palette is a lookup table of grey values, from dark to bright or reverse.

    Parameters
    ----------
    palette : ndarray, shape (colours, 3)
    """
    table = palette / max(palette.max(initial=0), 1)
    light = table @ (0.299, 0.587, 0.114)
    steps = np.diff(light)
    if not len(steps) or not light.any():
        return False
    ordered = (steps >= -MAX_REVERSE_STEP).all() or (steps <= MAX_REVERSE_STEP).all()
    # colours of a picture, if sorted by chance, are further apart
    largest = max(MAX_RAMP_STEP, 1.1 / len(steps))
    smooth = (np.abs(np.diff(table, axis=0)) <= largest).all()
    begins = len(table) >= FEW_COLOURS or table[np.argmin(light)].max() <= MAX_BLACK
    return bool(ordered and smooth and begins)


def apply_palette(palette: NDArray[np.uint8]) -> Convert:
    """Return the conversion of indices to the colours of a palette, shape (colours, 3)."""
    return lambda indices: palette[np.minimum(indices, len(palette) - 1)]


def invert(bits: int) -> Convert:
    """Return the conversion of unsigned values of so many bits, of which 0 is white."""
    return lambda values: (
        ~values if values.dtype == bool else values.dtype.type(2**bits - 1) - values
    )


def convert_to_rgb(mode: str, samples: int, signed: bool = True) -> Convert:
    """Return the conversion of samples to RGB.

    Parameters
    ----------
    mode : {"CMYK", "YCbCr", "LAB"}
        As Pillow calls them.
    samples : int
        Of a pixel that count; those behind are left out.
    signed : bool, optional
        Whether a and b of LAB are signed numbers, else their zero is in the middle.
    """

    def convert(pixels: NDArray[Any]) -> NDArray[Any]:
        plain = np.ascontiguousarray(pixels[..., :samples])
        if mode == "LAB" and not signed:
            plain[..., 1:] ^= plain.dtype.type(1 << (8 * plain.dtype.itemsize - 1))
        if plain.dtype.itemsize > 1:
            return _WIDE_CONVERSIONS[mode](plain)
        if not plain.size:
            return np.zeros((*plain.shape[:-1], 3), np.uint8)
        width = plain.shape[-2] if plain.ndim > 1 else 1
        size = (width, plain.size // samples // width)
        picture = PIL.Image.frombytes(mode, size, plain.tobytes())
        return np.asarray(picture.convert("RGB")).reshape(*plain.shape[:-1], 3)

    return convert


def _cmyk_to_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    white = np.iinfo(pixels.dtype).max
    light = white - pixels.astype(np.float64)
    return np.rint(light[..., :3] * light[..., 3:] / white).astype(pixels.dtype)


def _ycbcr_to_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    white, half = np.iinfo(pixels.dtype).max, (np.iinfo(pixels.dtype).max + 1) / 2
    y, blue, red = np.moveaxis(pixels.astype(np.float64), -1, 0)
    blue, red = blue - half, red - half
    rgb = [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue]
    return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, white).astype(pixels.dtype)


def _lab_to_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    # takes a while to import, and few files need it
    from skimage.color import lab2rgb

    light = pixels[..., :1].astype(np.float64) * 100 / np.iinfo(pixels.dtype).max
    shades = pixels[..., 1:].astype(f"i{pixels.dtype.itemsize}") / 2 ** (
        8 * pixels.dtype.itemsize - 8
    )
    rgb = lab2rgb(np.concatenate([light, shades], axis=-1))
    return np.rint(rgb * np.iinfo(pixels.dtype).max).astype(pixels.dtype)


_WIDE_CONVERSIONS = {"CMYK": _cmyk_to_rgb, "YCbCr": _ycbcr_to_rgb, "LAB": _lab_to_rgb}
