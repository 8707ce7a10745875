"""What the samples of a TIFF are: grey values, colours, transparency or channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC

from .colours import ConvertedPixels, apply_palette, convert_to_rgb, invert, is_ramp

# By photometric interpretation: the mode of Pillow, and how many samples are colours.
COLOUR_MODES = {
    PHOTOMETRIC.RGB: ("RGB", 3),
    PHOTOMETRIC.SEPARATED: ("CMYK", 4),
    PHOTOMETRIC.YCBCR: ("YCbCr", 3),
    PHOTOMETRIC.CIELAB: ("LAB", 3),
    PHOTOMETRIC.ICCLAB: ("LAB", 3),
}
# Of these the decoder returns RGB for YCbCr.
JPEG_COMPRESSIONS = (6, 7, 34892, 33007)
# Kinds of extra samples that are transparency.
ALPHA_KINDS = (1, 2)


@dataclass(frozen=True, eq=False)
class Samples:
    """Pixels, and a letter for each of their axes: S stands for the colours of RGB only.

    Attributes
    ----------
    source : array-like
        Only sliced.
    axes : str
    """

    source: Any
    axes: str


def interpret_samples(source: Any, axes: str, page: Any) -> Samples:
    """Return pixels with their colours as RGB, without transparency of grey, others as channels.

    Parameters
    ----------
    source : array-like
        Only sliced.
    axes : str
        As tifffile names them; S are samples of any kind.
    page : tifffile.TiffPage
        Says what the samples are.
    """
    at, grey_axes = axes.find("S"), axes.replace("S", "")
    photometric = page.photometric
    if at >= 0 and source.shape[at] == 1:
        source, axes, at = _select(source, at, [0]), grey_axes, -1
    if at < 0 and photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        palette = _read_palette(page.colormap)
        if is_ramp(palette):
            return Samples(source, axes)
        return Samples(
            ConvertedPixels(source, None, apply_palette(palette), 3, np.uint8), axes + "S"
        )
    if photometric == PHOTOMETRIC.MINISWHITE and source.dtype.kind in "ub":
        convert = invert(int(page.bitspersample))
        source = ConvertedPixels(source, None, convert, 0, source.dtype)
    if at < 0:
        return Samples(source, axes)
    mode, colours = COLOUR_MODES.get(photometric, ("", 1))
    if source.shape[at] < colours:
        mode, colours = "", 1
    is_decoded = photometric == PHOTOMETRIC.YCBCR and page.compression in JPEG_COMPRESSIONS
    if mode and mode != "RGB" and not is_decoded:
        to_rgb = convert_to_rgb(mode, colours, signed=photometric != PHOTOMETRIC.ICCLAB)
        return Samples(ConvertedPixels(source, at, to_rgb, 3, source.dtype), grey_axes + "S")
    return _name_samples(source, axes, colours, tuple(page.extrasamples))


def _name_samples(source: Any, axes: str, colours: int, extras: tuple[int, ...]) -> Samples:
    """Return colours as they are, others as channels, and neither with transparency of grey."""
    at, grey_axes = axes.index("S"), axes.replace("S", "")
    count = source.shape[at]
    if colours == 3 and count <= 4:
        return Samples(source, axes)
    # what the file does not call transparency is a channel
    kinds = (*extras, *[0] * count)[: count - colours]
    kept = [
        *range(colours),
        *(colours + n for n, kind in enumerate(kinds) if kind not in ALPHA_KINDS),
    ]
    if len(kept) == 1:
        return Samples(_select(source, at, kept), grey_axes)
    letter = "E" if "C" in axes else "C"
    if len(kept) == count:
        return Samples(source, axes.replace("S", letter))
    return Samples(_select(source, at, kept), grey_axes + letter)


def _select(source: Any, axis: int, kept: list[int]) -> ConvertedPixels:
    """Return some samples only, last; a single one without an axis."""

    def convert(samples: NDArray[Any]) -> NDArray[Any]:
        return samples[..., kept[0]] if len(kept) == 1 else samples[..., kept]

    return ConvertedPixels(source, axis, convert, len(kept) if len(kept) > 1 else 0, source.dtype)


def _read_palette(colormap: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the colours of a palette; some programs write them with 8 bits, as libtiff knows."""
    table = np.asarray(colormap).T
    return (table if table.max(initial=0) < 256 else table >> 8).astype(np.uint8)
