"""Lazy images: OME-Zarr, zarr and TIFF, of which only slices are read."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from ..errors import UserError
from .pixel_size import UNKNOWN_SPACING, read_spacings
from .read_errors import convert_decoder_errors
from .suffixes import MICROSCOPE_KINDS

UNSLICEABLE_SUFFIXES = (".png", ".jpg", ".jpeg")
ZARR_METADATA_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


class LazyArray:
    """An array in a file, read only where it is sliced.

    Parameters
    ----------
    source : array-like
        Has shape and dtype; only sliced.
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
            part = np.array(self._source[tuple(source_index)], dtype=self.dtype)
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
        Whether the file says that its last axis is that of colours.
    """

    pixels: LazyArray
    axes: str | None
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    name: str
    channel_names: tuple[str, ...] = ()
    is_rgb: bool = False


def is_zarr(path: str | Path) -> bool:
    """Return whether this is a folder of zarr: an array, an image, or several of them."""
    return any((Path(path) / mark).is_file() for mark in ZARR_METADATA_FILES)


def open_lazily(path: str | Path, level: int = 0, scene: int | None = None) -> LazyImage:
    """Open an image without reading its pixels.

    Parameters
    ----------
    path : str or Path
        OME-Zarr image (NGFF 0.4 and older on zarr 2, 0.5 on zarr 3), zarr array, TIFF or OME-TIFF;
        with the extra ``formats`` ND2, CZI, LIF, OIB, OIF and others.
    level : int, optional
        Of a pyramid; 0 is full resolution.
    scene : int, optional
        Number of the image in a file of several, from 0.

    Returns
    -------
    LazyImage
        Of a TIFF without axes of length 1 other than Y and X, as ``io.images.read_image`` does.

    Raises
    ------
    UserError
        If there is no such image or level, several images, or the file cannot be read in parts.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    if path.suffix.lower() in UNSLICEABLE_SUFFIXES:
        raise UserError(f"{path} can only be read whole: save it as TIFF or OME-Zarr.")
    if path.suffix.lower() in MICROSCOPE_KINDS and path.is_file():
        return _open_microscope_file(path, level, scene)
    if path.is_dir() and not is_zarr(path):
        raise UserError(f"The folder {path} is no OME-Zarr image: choose one, or a TIFF file.")
    with convert_decoder_errors(path, MemoryError):
        return _open_zarr(path, level) if path.is_dir() else _open_tiff(path, level)


def _open_microscope_file(path: Path, level: int, scene: int | None) -> LazyImage:
    from .readers import microscopes  # imports this module

    if scene is None and len(names := microscopes.list_scenes(path)) > 1:
        raise UserError(
            f"{path} holds {len(names)} images: choose one by its number, scene=0 to "
            f"{len(names) - 1}."
        )
    return microscopes.open_scene(path, scene or 0, level)


def list_zarr_images(path: str | Path) -> list[tuple[str, Path]]:
    """List the images of an OME-Zarr.

    Parameters
    ----------
    path : str or Path
        A plate, a collection as bioformats2raw writes it, an image or a zarr array.

    Returns
    -------
    list of (str, Path)
        Names inside the store, such as "A/1/0" (row, column, field of a plate) or "0", and paths
        for :func:`open_lazily`. Wells and fields that are listed but missing are left out. A
        single image has the name of its file without the suffix.

    Raises
    ------
    UserError
        If this holds no image, or cannot be read.
    """
    path = Path(path)
    if not is_zarr(path):
        raise UserError(f"{path} is no OME-Zarr: choose the folder of one.")
    with convert_decoder_errors(path, MemoryError):
        node = zarr.open(path, mode="r")
        metadata = _ngff(node)
        if isinstance(node, zarr.Array) or "multiscales" in metadata:
            return [(_image_name(path), path)]
        if "plate" in metadata:
            images = list(_iter_fields(path, metadata["plate"]["wells"]))
        else:
            numbers = (p.name for p in path.iterdir() if p.name.isdecimal() and is_zarr(p))
            images = [(number, path / number) for number in sorted(numbers, key=int)]
            images = [
                (name, at) for name, at in images if "multiscales" in _ngff(zarr.open(at, mode="r"))
            ]
    if not images:
        raise UserError(f"{path} holds no OME-Zarr image: choose another folder.")
    return images


def _ngff(node: Any) -> dict[str, Any]:
    """Return the NGFF metadata; since 0.5 they are separate from other attributes."""
    attributes = dict(node.attrs)
    return dict(attributes.get("ome", attributes))


def _iter_fields(plate: Path, wells: list[dict[str, Any]]) -> Iterator[tuple[str, Path]]:
    for name in (well["path"] for well in wells):
        if is_zarr(plate / name):
            for image in _ngff(zarr.open(plate / name, mode="r"))["well"]["images"]:
                field = f"{name}/{image['path']}"
                if is_zarr(plate / field):
                    yield field, plate / field


def _image_name(path: Path) -> str:
    """Return the name of an image, with its path in the outermost folder of zarr."""
    path = path.absolute()
    top = path
    while is_zarr(top.parent):
        top = top.parent
    return "_".join([top.stem.removesuffix(".ome"), *path.relative_to(top).parts])


def _open_zarr(path: Path, level: int) -> LazyImage:
    node = zarr.open(path, mode="r")
    metadata = _ngff(node)
    if isinstance(node, zarr.Array):
        _check_level(path, level, 1)
        ndim = len(node.shape)
        pixels = LazyArray(node, range(ndim), path)
        return LazyImage(pixels, None, (1.0,) * ndim, (None,) * ndim, _image_name(path))
    if "multiscales" not in metadata:
        inside = list_zarr_images(path)
        raise UserError(
            f"{path} holds several images: choose one of the {len(inside)}, such as {inside[0][1]}."
        )
    image = metadata["multiscales"][0]
    _check_level(path, level, len(image["datasets"]))
    dataset = image["datasets"][level]
    array = node[dataset["path"]]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{dataset['path']} is no array")
    axes = [a if isinstance(a, dict) else {"name": a} for a in image.get("axes", "tczyx")]
    scale = [1.0] * len(array.shape)
    for step in (*_read_scales(dataset), *_read_scales(image)):
        scale = [old * float(new) for old, new in zip(scale, step, strict=True)]
    letters = "".join(_axis_letter(axis) for axis in axes)
    units = tuple(axis.get("unit") for axis in axes)
    if not len(letters) == len(scale):
        raise ValueError(f"{len(letters)} axes are named for {len(scale)}")
    return LazyImage(
        LazyArray(array, range(len(scale)), path), letters, tuple(scale), units, _image_name(path)
    )


def _read_scales(part: dict[str, Any]) -> list[list[float]]:
    """Return the scale transformations of a dataset or an image."""
    return [t["scale"] for t in part.get("coordinateTransformations") or () if "scale" in t]


def _axis_letter(axis: dict[str, Any]) -> str:
    """Return one letter for an axis, whose name may be a word."""
    return {"time": "T", "channel": "C"}.get(axis.get("type", ""), str(axis["name"])[0].upper())


def _check_level(path: Path, level: int, levels: int) -> None:
    if not 0 <= level < levels:
        have = f"the levels 0 to {levels - 1}" if levels > 1 else "one resolution, level 0,"
        raise UserError(f"{path} has {have} and no level {level}.")


def _open_tiff(path: Path, level: int) -> LazyImage:
    opened = tifffile.TiffFile(path)
    try:
        full = opened.series[0]
        _check_level(path, level, len(full.levels))
        series = full.levels[level]
        if series.dataoffset is not None:
            # a strip can be a whole plane: memory mapping avoids reading it at once
            source: Any = tifffile.memmap(path, series=0, level=level, mode="r")
        else:
            source = zarr.open(full.aszarr(level=level), mode="r")
        spacings = read_spacings(opened)
    except BaseException:
        opened.close()
        raise
    for axis, full_length, level_length in zip(full.axes, full.shape, series.shape, strict=False):
        if axis in "YX":
            size, unit = spacings.get(axis, UNKNOWN_SPACING)
            spacings[axis] = (size * full_length / level_length, unit)
    order = [a for a, letter in enumerate(series.axes) if series.shape[a] > 1 or letter in "YX"]
    order.sort(key=lambda axis: series.axes[axis] == "S")  # a stable sort: only colours move
    pixels = LazyArray(source, order, path)
    weakref.finalize(pixels, opened.close)
    letters = "".join(series.axes[axis] for axis in order).replace("S", "")
    sizes = [spacings.get(letter, UNKNOWN_SPACING) for letter in letters]
    known = len(set(letters)) == len(letters) and {"Y", "X"} <= set(letters)
    return LazyImage(
        pixels,
        letters if known and not set(letters) & set("QI") else None,
        tuple(size for size, _ in sizes),
        tuple(unit for _, unit in sizes),
        _image_name(path),
    )
