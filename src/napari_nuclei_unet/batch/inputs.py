"""Input images, given by files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..io.images import IMAGE_SUFFIXES, TIFF_SUFFIXES, image_stem, read_axes, read_image
from ..io.labels import LABELS_SUFFIX, PLAIN_LABELS_SUFFIX
from ..io.lazy_images import UNSLICEABLE_SUFFIXES, is_zarr, list_zarr_images, open_lazily
from ..io.multifile_tiff import defer_tifffile_log, list_tiff_files

STORE_SUFFIX = "_labels.ome.zarr"
# Suffixes of files that may hold a part of an image.
OME_TIFF_SUFFIXES = (".ome.tif", ".ome.tiff")
# Most files of a zarr folder that are checked for changes.
MAX_STAMPED_FILES = 20_000
FileStamp = tuple[int, ...]


@dataclass(frozen=True)
class InputImage:
    """An image to segment.

    Attributes
    ----------
    path : Path
        A file, or the folder of an OME-Zarr image.
    stem : str
        Start of the names of its results.
    title : str
        Its name in messages.
    """

    path: Path
    stem: str
    title: str


def find_inputs(given: Iterable[str | Path]) -> list[InputImage]:
    """List images; of a folder those that lie directly in it, in order of their names.

    Parameters
    ----------
    given : iterable of str or Path
        TIFF, PNG and JPEG files; OME-Zarr images, plates and collections; folders of all these;
        patterns such as ``"day*/*.tif"``, if no file has this name. Results of this program, and
        hidden files, are left out of folders and patterns.

    Returns
    -------
    list of InputImage
        One for each image of a plate, and one for all files of an OME-TIFF of several.

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no image, a pattern matches none, or two images
        would write the same results.
    """
    found: dict[Path, InputImage] = {}
    for text in given:
        path = Path(text)
        if path.exists():
            inside = list(_list_images(path))
            if not inside:
                raise UserError(f"The folder {path} holds no TIFF, PNG, JPEG or OME-Zarr image.")
        elif glob.has_magic(str(text)):
            paths = [Path(match) for match in sorted(glob.glob(str(text), recursive=True))]
            inside = [image for p in paths if _is_input(p) for image in _list_images_at(p)]
            if not inside:
                raise UserError(f"No image fits the pattern {text}.")
        else:
            raise UserError(f"There is no file or folder {path}.")
        found.update((image.path, image) for image in inside)
    inputs = list(_drop_tiff_parts(found))
    _check_clashes(inputs)
    return inputs


def _drop_tiff_parts(found: Mapping[Path, InputImage]) -> Iterator[InputImage]:
    """Drop files whose image is read through another one of them."""
    covered: set[Path] = set()
    for path, image in found.items():
        if not path.name.lower().endswith(OME_TIFF_SUFFIXES):
            yield image
        elif path not in covered:
            parts = list_tiff_files(path)
            if parts[0] == path or parts[0] not in found:
                covered.update(parts)
                yield image


def _check_clashes(inputs: Iterable[InputImage]) -> None:
    stems: dict[str, InputImage] = {}
    for one in inputs:
        other = stems.setdefault(one.stem.casefold(), one)  # as file systems may compare
        if other is not one:
            raise UserError(
                f"{other.path} and {one.path} would write the same result files: "
                "segment them into different folders."
            )


def _list_images(path: Path) -> Iterator[InputImage]:
    """List the images of a path: any file, or a folder."""
    if not path.is_dir() or is_zarr(path):
        yield from _list_images_at(path)
        return
    for entry in sorted(path.iterdir()):
        if _is_input(entry):
            yield from _list_images_at(entry)


def _is_input(path: Path) -> bool:
    """Return whether an entry of a folder is an image, and no result of this program."""
    own = LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX
    if path.name.startswith(".") or path.name.endswith(own):
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in IMAGE_SUFFIXES


def _list_images_at(path: Path) -> Iterator[InputImage]:
    """List the images of a file, or of an OME-Zarr."""
    if not path.is_dir():
        yield InputImage(path, image_stem(path), path.name)
        return
    try:
        inside = list_zarr_images(path)
    except UserError:  # raised again, with its reason, when it is opened
        inside = [(image_stem(path), path)]
    for name, at in inside:
        if at == path:
            yield InputImage(at, name, path.name)
        else:
            stem = f"{image_stem(path)}_{name.replace('/', '_')}"
            yield InputImage(at, stem, f"{path.name}/{name}")


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image that can be sliced.

    Attributes
    ----------
    pixels : array-like
        Has shape and dtype; from most files only what is sliced is read.
    axes : str or None
        As in the file.
    scale, units
        Of its axes, as in ``lazy_images.LazyImage``.
    is_lazy : bool
        Whether it is read in parts.
    """

    pixels: Any
    axes: str | None
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    is_lazy: bool = True


def open_image(path: Path, level: int = 0) -> OpenedImage:
    """Open an image, lazily if its file allows.

    Raises
    ------
    UserError
        If it cannot be read, or does not have this level.
    """
    if path.suffix.lower() in UNSLICEABLE_SUFFIXES:
        return _opened_in_memory(read_image(path, level), "YX")
    with defer_tifffile_log():
        try:
            image = open_lazily(path, level)
            return OpenedImage(image.pixels, image.axes, image.scale, image.units)
        except UserError as error:
            if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
                raise
            try:  # some can only be read whole
                return _opened_in_memory(read_image(path, level), read_axes(path))
            except UserError:
                raise _explain_decoder_error(error, path) from None


def _opened_in_memory(pixels: NDArray[np.generic], axes: str | None) -> OpenedImage:
    ndim = pixels.ndim
    return OpenedImage(pixels, axes, (1.0,) * ndim, (None,) * ndim, is_lazy=False)


def _explain_decoder_error(error: UserError, path: Path) -> UserError:
    """Return a clear error for a decoder that has found no page."""
    if not isinstance(error.__cause__, IndexError):
        return error
    return UserError(f"{path} cannot be read: it is damaged or no TIFF.")


def stamp_files(*paths: Path) -> FileStamp:
    """Return the time and size of an image's files, by which a change is detected.

    Of several files, as in a zarr folder, the newest of the first ``MAX_STAMPED_FILES`` counts, as
    there may be millions.

    Raises
    ------
    OSError
        If one is gone.
    """
    if len(paths) == 1 and not paths[0].is_dir():
        stat = paths[0].stat()
        return stat.st_mtime_ns, stat.st_size
    newest = size = count = 0
    for file in islice(_walk_files(paths), MAX_STAMPED_FILES):
        stat = file.stat()
        newest, size = max(newest, stat.st_mtime_ns), size + stat.st_size
        count += 1
    return newest, size, count


def _walk_files(paths: Iterable[Path]) -> Iterator[Path | os.DirEntry[str]]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    yield from _walk_files([Path(entry.path)])
                else:
                    yield entry
