"""Reading of image files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageMode
import tifffile
from numpy.typing import NDArray

from ..errors import UserError
from .read_errors import convert_decoder_errors
from .suffixes import MICROSCOPE_KINDS, TIFF_SUFFIXES

IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
# Modes to which pictures of other modes are converted.
CONVERTED_MODES = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "PA": "RGB", "LA": "L"}


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """List image files; of a folder those directly inside it, in order of their names.

    Parameters
    ----------
    paths : iterable of str or Path
        Files and folders.

    Returns
    -------
    list of Path

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no image, or two files would write the same
        results.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if _is_image(p)]
            if not inside:
                raise UserError(f"The folder {path} holds no TIFF, PNG or JPEG image.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"There is no file or folder {path}.")
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(image_stem(path), path)
        if other != path:
            raise UserError(
                f"{other} and {path} would write the same result files: "
                "segment them into different folders."
            )
    return list(dict.fromkeys(found))


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as those that macOS adds to other disks
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file()


def image_stem(path: Path) -> str:
    """Return the name of a file without ``.tif``, ``.ome.tif`` and the like."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def read_image(path: str | Path, level: int = 0) -> NDArray[np.generic]:
    """Read a TIFF, OME-TIFF, PNG or JPEG file, and with the extra ``formats`` those of microscopes.

    Parameters
    ----------
    path : str or Path
    level : int
        Of a pyramid in a TIFF; 0 is full resolution.

    Returns
    -------
    ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4), or that of a stack in a TIFF
        Colours are last; other axes of length 1 are dropped. Palettes and CMYK become RGB.

    Raises
    ------
    UserError
        If the file cannot be read as an image, or does not have this level.
    """
    path = Path(path)
    if path.suffix.lower() in MICROSCOPE_KINDS:
        from .lazy_images import open_lazily  # with zarr, which takes longer than a dock to load

        return open_lazily(path, level).pixels[...]
    with convert_decoder_errors(path):
        if path.suffix.lower() in TIFF_SUFFIXES:
            return _read_tiff(path, level)
        if level:
            raise UserError(f"{path} holds one resolution only: there is no level {level}.")
        return _read_picture(path)


def read_shape(path: str | Path, level: int = 0) -> tuple[int, ...] | None:
    """Read the shape that :func:`read_image` would return, or None where it would fail."""
    path = Path(path)
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as opened:
                series = opened.series[0]
                return _reorder(np.broadcast_to(0, series.levels[level].shape), series.axes).shape
        if level or not _is_image(path):
            return None
        with PIL.Image.open(path) as picture:
            bands = PIL.ImageMode.getmode(CONVERTED_MODES.get(picture.mode, picture.mode)).bands
            return (picture.height, picture.width, *([len(bands)] if len(bands) > 1 else []))
    except Exception:  # whatever a decoder raises; reading the file reports it
        return None


def read_axes(path: str | Path) -> str | None:
    """Read the letters of the axes of an image, as :func:`read_image` returns it, without colours.

    None unless it is a TIFF with a known letter for each axis: T, Z, C, Y, X and others, but not Q,
    which is tifffile's for an axis without a name.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    try:
        with tifffile.TiffFile(path) as opened:
            series = opened.series[0]
            pairs = zip(series.axes, series.shape, strict=True)
            axes = "".join(name for name, length in pairs if length > 1 or name in "YX")
    except Exception:  # whatever a decoder raises; reading the file reports it
        return None
    axes = axes.replace("S", "")
    known = len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes) and not set(axes) & set("QI")
    return axes if known else None


def _read_tiff(path: Path, level: int) -> NDArray[np.generic]:
    with tifffile.TiffFile(path) as opened:
        series = opened.series[0]
        if not 0 <= level < len(series.levels):
            raise UserError(f"{path} has the levels 0 to {len(series.levels) - 1}, and no {level}.")
        return _reorder(np.asarray(series.levels[level].asarray()), series.axes)


def _reorder(image: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """Drop axes of length 1 beside those of the plane, and put colours last."""
    for axis in reversed(range(image.ndim)):
        if image.shape[axis] == 1 and axes[axis] not in "YX":
            image = image.squeeze(axis)
            axes = axes[:axis] + axes[axis + 1 :]
    return np.moveaxis(image, axes.index("S"), -1) if "S" in axes else image


def _read_picture(path: Path) -> NDArray[np.generic]:
    with PIL.Image.open(path) as opened:
        mode = CONVERTED_MODES.get(opened.mode)
        return np.asarray(opened.convert(mode) if mode else opened)
