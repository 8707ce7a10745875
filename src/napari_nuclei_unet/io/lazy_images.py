"""Lazy images, of which only slices are read, whatever their file is."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .paths import sanitize_name
from .read_errors import convert_decoder_errors


class LazyArray:
    """An array in a file, read only where it is sliced.

    Parameters
    ----------
    source : array-like
        Has shape and dtype; only sliced, which returns an array that nothing else uses.
    order : sequence of int
        Axes of the source in the order of this array. All others have length 1.
    path : Path
        Named when reading fails.
    """

    def __init__(self, source: Any, order: Sequence[int], path: Path) -> None:
        self._source = source
        self._order = tuple(order)
        self._path = path
        self.shape: tuple[int, ...] = tuple(int(source.shape[axis]) for axis in self._order)
        self.dtype: np.dtype[Any] = np.dtype(source.dtype).newbyteorder("=")
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part.

        Parameters
        ----------
        index : int, slice, Ellipsis or tuple of these
            Steps are positive.

        Returns
        -------
        ndarray
            A copy, in the byte order of this computer.

        Raises
        ------
        UserError
            If the file is damaged or gone.
        IndexError
            If the index does not fit the shape.
        """
        positions = _normalize_index(index, self.shape)
        source_index: list[int | slice] = [0] * len(self._source.shape)
        for axis, at in zip(self._order, positions, strict=True):
            source_index[axis] = at
        kept_axes = [
            a for a, at in zip(self._order, positions, strict=True) if isinstance(at, slice)
        ]
        with convert_decoder_errors(self._path, MemoryError):
            part = np.asarray(self._source[tuple(source_index)], dtype=self.dtype)
        return part.transpose([sorted(kept_axes).index(axis) for axis in kept_axes])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)


def _normalize_index(index: Any, shape: tuple[int, ...]) -> list[int | slice]:
    """Return one position or slice for each axis, inside the array."""
    given = list(index) if isinstance(index, tuple) else [index]
    dots = [at for at, part in enumerate(given) if part is Ellipsis] or [len(given)]
    missing = len(shape) - sum(part is not Ellipsis for part in given)
    if missing < 0 or len(dots) > 1:
        raise IndexError(f"The index {index} does not fit an array of shape {shape}.")
    given[dots[0] : dots[0] + 1] = [slice(None)] * missing
    positions: list[int | slice] = []
    for part, length in zip(given, shape, strict=True):
        if isinstance(part, slice):
            start, stop, step = part.indices(length)
            if step < 1:
                raise IndexError("Steps of slices must be positive.")
            positions.append(slice(start, max(start, stop), step))
            continue
        at = operator.index(part)
        if not -length <= at < length:
            raise IndexError(f"Index {at} is out of bounds for an axis of length {length}.")
        positions.append(at % length)
    return positions


@dataclass(frozen=True)
class LazyImage:
    """An image that is opened but not read.

    Attributes
    ----------
    pixels : LazyArray
        Read only where it is sliced. Colours of RGB are last.
    axes : str or None
        A letter for each axis but that of colours, such as "TZCYX"; None if unknown.
    scale : tuple of float
        Size of a pixel along each axis but that of colours; 1 if unknown.
    units : tuple of (str or None)
        Of the scale: names of UDUNITS, such as "micrometer" or "second".
    name : str
        Of the file without its suffix; of an image of a plate with well and field: plate_A_1_0.
    channel_names : tuple of str
        Of axis C; empty if unknown.
    is_rgb : bool
        Whether the file says that its last axis is that of colours; ``axes`` has no letter for it.
    is_read_whole : bool
        Whether all is read as soon as anything is sliced.
    scene_names : tuple of str
        Of all images in the file, if it was cheap to list them.
    """

    pixels: LazyArray
    axes: str | None
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    name: str
    channel_names: tuple[str, ...] = ()
    is_rgb: bool = False
    is_read_whole: bool = False
    scene_names: tuple[str, ...] = ()


def check_level(path: Path, level: int, levels: int) -> None:
    """Raise an error if an image of so many levels does not have this one."""
    if not 0 <= level < levels:
        have = f"the levels 0 to {levels - 1}" if levels > 1 else "one resolution, level 0,"
        raise UserError(f"{path} has {have} and no level {level}.")


def check_scene(path: Path, scene: int, scenes: int) -> None:
    """Raise an error if a file of so many images does not have this one."""
    if not 0 <= scene < scenes:
        have = f"the images 0 to {scenes - 1}" if scenes > 1 else "one image, number 0,"
        raise UserError(f"{path} contains {have} and no {scene}.")


def image_stem(path: Path) -> str:
    """Return the name of a file without ``.tif``, ``.ome.tif`` and the like."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def name_image(path: Path, scenes: Sequence[str], scene: int) -> str:
    """Return the name of an image in a file, by which its results are named.

    Parameters
    ----------
    path : Path
    scenes : sequence of str
        Names of the images in the file.
    scene : int

    Returns
    -------
    str
        Of the file; of several images with the name of this one, or its number where that is
        not unique.
    """
    stem = image_stem(path)
    if len(scenes) == 1:
        return stem
    safe = [sanitize_name(name, str(number)) for number, name in enumerate(scenes)]
    folded = [name.casefold() for name in safe]  # as file systems may compare
    is_unique = len(set(folded)) == len(folded)
    return f"{stem}_{safe[scene] if is_unique else scene}"
