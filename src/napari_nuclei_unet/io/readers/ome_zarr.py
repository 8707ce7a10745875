"""OME-Zarr images, plates and collections, and arrays of zarr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ...arrays.axes import CHANNEL_NAMES
from ...errors import UserError
from ..channel_names import read_ngff_channel_names
from ..lazy_images import LazyArray, LazyImage, check_level, check_scene
from ..linked_files import check_below
from ..ngff import read_ngff
from ..read_errors import convert_decoder_errors

if TYPE_CHECKING:
    import zarr

SUFFIXES = (".zarr",)
ZARR_METADATA_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(path: str | Path) -> bool:
    """Return whether this is a folder of zarr: an array, an image, or several of them."""
    return any(os.path.isfile(Path(path) / mark) for mark in ZARR_METADATA_FILES)


def list_scenes(path: Path) -> list[str]:
    """List the names of the images inside, such as "A/1/0" of a plate."""
    return [name for name, _ in list_zarr_images(path)]


def open_scene(path: Path, scene: int = 0, level: int = 0) -> LazyImage:
    """Open an image, of a plate or a collection one of those inside.

    Parameters
    ----------
    path : Path
    scene : int, optional
        Number of the image, in the order of :func:`list_scenes`.
    level : int, optional
        Of a pyramid; 0 is full resolution.

    Returns
    -------
    LazyImage

    Raises
    ------
    UserError
        If there is no such image or level, or it cannot be read.
    """
    images = list_zarr_images(path)
    check_scene(path, scene, len(images))
    with convert_decoder_errors(path, MemoryError):
        return _open_zarr(images[scene][1], level)


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
        for :func:`open_scene`. Wells and fields that are listed but missing are left out; a well
        that is damaged stands for its fields. A single image has the name of its file without
        the suffix.

    Raises
    ------
    UserError
        If this holds no image, or cannot be read.
    """
    # here and below: takes a moment to load, and few images are zarr
    import zarr

    from ..zarr_nodes import open_node

    path = Path(path)
    if not is_zarr(path):
        raise UserError(f"{path} is not an OME-Zarr: choose the folder of one.")
    with convert_decoder_errors(path, MemoryError):
        node = open_node(path)
        metadata = read_ngff(node.attrs)
        if isinstance(node, zarr.Array) or "multiscales" in metadata:
            return [(name_zarr(path), path)]
        if "plate" in metadata:
            images = list(_iter_fields(path, metadata["plate"]["wells"]))
        else:
            numbers = (p.name for p in path.iterdir() if p.name.isdecimal() and is_zarr(p))
            images = [(number, path / number) for number in sorted(numbers, key=int)]
            images = [
                (name, at) for name, at in images if "multiscales" in read_ngff(open_node(at).attrs)
            ]
    if not images:
        raise UserError(f"{path} contains no OME-Zarr image: choose another folder.")
    return images


def _iter_fields(plate: Path, wells: list[dict[str, Any]]) -> Iterator[tuple[str, Path]]:
    """Iterate over the fields of all wells, each once, however often and however it is named."""
    for name in dict.fromkeys(str(PurePosixPath(well["path"])) for well in wells):
        check_below(plate, name)
        if is_zarr(plate / name):
            for field in _list_fields(plate, name):
                if is_zarr(plate / field):
                    yield field, plate / field


def _list_fields(plate: Path, well: str) -> list[str]:
    """List the fields of a well; itself if it is damaged, so that opening it tells why."""
    from ..zarr_nodes import open_node

    try:
        with convert_decoder_errors(plate / well, MemoryError):
            images = read_ngff(open_node(plate / well).attrs)["well"]["images"]
            names = [str(PurePosixPath(image["path"])) for image in images]
    except UserError:
        return [well]
    for name in names:
        check_below(plate / well, name)
    return list(dict.fromkeys(str(PurePosixPath(well, name)) for name in names))


def find_outer_zarr(path: str | Path) -> Path:
    """Return the outermost folder of zarr around a folder of zarr, such as its plate."""
    top = Path(path).absolute()
    while is_zarr(top.parent):
        top = top.parent
    return top


def name_zarr(path: str | Path) -> str:
    """Return the name of an image, with its path in the outermost folder of zarr."""
    top = find_outer_zarr(path)
    inside = Path(path).absolute().relative_to(top).parts
    return "_".join([top.stem.removesuffix(".ome"), *inside])


def _open_zarr(path: Path, level: int) -> LazyImage:
    import zarr

    from ..zarr_nodes import open_node

    node = open_node(path)
    metadata = read_ngff(node.attrs)
    if isinstance(node, zarr.Array):
        check_level(path, level, 1)
        return _open_array(node, path)
    image = metadata["multiscales"][0]
    check_level(path, level, len(image["datasets"]))
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
        LazyArray(array, range(len(scale)), path), letters, tuple(scale), units, name_zarr(path),
        read_ngff_channel_names(metadata),
    )  # fmt: skip


def _open_array(array: zarr.Array[Any], path: Path) -> LazyImage:
    """Open an array by itself, whose dimensions may have names."""
    shape = array.shape
    named: Any = getattr(array.metadata, "dimension_names", None)
    names: list[Any] = list(named or array.attrs.get("_ARRAY_DIMENSIONS") or ())  # type: ignore[arg-type]
    letters = "".join(_axis_letter({"name": name or "?"}) for name in names)
    known = len(set(letters)) == len(letters) == len(shape) and {"Y", "X"} <= set(letters)
    # where nothing is said, this is what pictures look like
    is_rgb = not names and len(shape) > 2 and shape[-1] == 3 and array.dtype == "uint8"
    count = len(shape) - is_rgb
    return LazyImage(
        LazyArray(array, range(len(shape)), path),
        letters if known and letters.isalpha() else None,
        (1.0,) * count,
        (None,) * count,
        name_zarr(path),
        is_rgb=is_rgb,
    )


def _read_scales(part: dict[str, Any]) -> list[list[float]]:
    """Return the scale transformations of a dataset or an image."""
    return [t["scale"] for t in part.get("coordinateTransformations") or () if "scale" in t]


def _axis_letter(axis: dict[str, Any]) -> str:
    """Return one letter for an axis, whose name may be a word."""
    name = str(axis["name"]).strip().lower()
    kind = "channel" if name in CHANNEL_NAMES else axis.get("type", "")
    return {"time": "T", "channel": "C"}.get(kind, name[:1].upper())
