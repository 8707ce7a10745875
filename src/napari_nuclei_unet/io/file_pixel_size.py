"""The size of a pixel that stands in an image file of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from ..errors import UserError
from .lazy_images import LazyImage
from .open import open_image
from .openable import check_openable
from .pixel_size import UM, check_spacings, parse_spacing
from .units import parse_unit, to_micrometers

MICROMETERS_PER_INCH = 25_400.0


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel, in micrometers.

    Attributes
    ----------
    y, x : float
    z : float or None
        From slice to slice, where the file says so.
    """

    y: float
    x: float
    z: float | None = None


def read_pixel_size(path: str | Path, scene: int = 0) -> PixelSize | None:
    """Read the size of a pixel from an image file, or an OME-Zarr.

    Parameters
    ----------
    path : str or Path
    scene : int, optional
        Number of the image in a file of several.

    Returns
    -------
    PixelSize or None
        None where the file has none, has that of a printer or a screen, or cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return _read_png(path)
    try:
        image = open_image(path, 0, scene)
    except UserError:  # reading its pixels reports it
        return None
    return _measure(image)


def _measure(image: LazyImage) -> PixelSize | None:
    letters = image.axes or "?" * (len(image.scale) - 2) + "YX"
    spacings = {}
    for letter, size, unit in zip(letters, image.scale, image.units, strict=True):
        length = to_micrometers(size, None if unit is None else parse_unit(unit))
        if length is not None:
            spacings[letter] = parse_spacing(length, UM)
    known = check_spacings(spacings)
    if not {"Y", "X"} <= known.keys():
        return None
    depth, unit = known.get("Z", (0.0, None))
    return PixelSize(known["Y"][0], known["X"][0], depth if unit else None)


def _read_png(path: Path) -> PixelSize | None:
    try:
        check_openable(path)
        with PIL.Image.open(path) as picture:
            across, down = picture.info["dpi"]
    except Exception:  # whatever a decoder raises, or no such entry
        return None
    per_inch = {"Y": down, "X": across}
    if not all(per_inch.values()):
        return None
    known = check_spacings(
        {axis: parse_spacing(MICROMETERS_PER_INCH / dots, UM) for axis, dots in per_inch.items()}
    )
    return PixelSize(known["Y"][0], known["X"][0]) if known else None
