"""Reading of image files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..memory import available_memory, format_gigabytes
from .lazy_images import LazyImage, image_stem
from .open import IMAGE_SUFFIXES, open_image


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
            inside = list_image_files(path)
            if not inside:
                raise UserError(f"The folder {path} contains no TIFF, PNG or JPEG image.")
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


def list_image_files(folder: Path) -> list[Path]:
    """List the image files directly inside a folder, in order of their names; maybe none."""
    return [path for path in sorted(folder.iterdir()) if _is_image(path)]


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as those that macOS adds to other disks
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and os.path.isfile(path)


def read_image(path: str | Path, level: int = 0, scene: int | None = None) -> NDArray[np.generic]:
    """Read an image of any kind that :func:`open_lazily` opens, or a PNG or JPEG picture.

    Parameters
    ----------
    path : str or Path
    level : int
        Of a pyramid; 0 is full resolution.
    scene : int, optional
        Number of the image in a file of several, from 0.

    Returns
    -------
    ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4), or that of a stack
        Colours are last; other axes of length 1 are dropped. Palettes, CMYK, YCbCr and CIELAB
        become RGB, but for a palette that is a ramp, a lookup table of grey values.

    Raises
    ------
    UserError
        If the file cannot be read as an image, is not whole, does not have this level, or holds
        several images of which none is chosen.
    """
    return _read_whole(Path(path), open_image(Path(path), level, scene))


def read_plane(path: str | Path) -> NDArray[np.generic]:
    """Read an image that is one plane: grey, or RGB because the file says so.

    Raises
    ------
    UserError
        If it has channels or more planes, or as :func:`read_image`.
    """
    image = open_image(Path(path))
    if len(image.pixels.shape) - image.is_rgb != 2:
        raise UserError(
            f"{path} is not a single plane: its shape is {image.pixels.shape}; save the plane and "
            "channel that show nuclei as a file of their own."
        )
    return _read_whole(Path(path), image)


def _read_whole(path: Path, image: LazyImage) -> NDArray[np.generic]:
    size = math.prod(image.pixels.shape) * image.pixels.dtype.itemsize
    too_large = UserError(
        f"{path} does not fit into memory: according to its header, its shape is "
        f"{image.pixels.shape}, which takes {format_gigabytes(size)}."
    )
    if size > available_memory():
        raise too_large
    try:
        return np.asarray(image.pixels)
    except MemoryError as error:
        raise too_large from error
