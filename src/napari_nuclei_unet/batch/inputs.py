"""Input images, given by files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..io.images import image_stem, read_axes, read_image
from ..io.lazy_images import UNSLICEABLE_SUFFIXES, is_zarr, list_zarr_images, open_lazily
from ..io.multifile_tiff import defer_tifffile_log, list_tiff_files
from ..io.paths import printable, sanitize_name
from ..io.readers import microscopes
from ..io.suffixes import TIFF_SUFFIXES
from .folders import Selection, select_images

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
    scene : int
        Its number in a file of several.
    """

    path: Path
    stem: str
    title: str
    scene: int = 0


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
    found: dict[tuple[Path, int], InputImage] = {}
    for text in given:
        path = Path(text)
        if path.exists():
            inside = list(_list_images(path))
            if not inside:
                others = select_images(path.iterdir()).describe()
                raise UserError(
                    f"The folder {path} holds no TIFF, PNG, JPEG or OME-Zarr image"
                    f"{others and f': {others}'}."
                )
        elif glob.has_magic(str(text)):
            matches = select_images(map(Path, glob.glob(str(text), recursive=True))).images
            inside = [image for path in matches for image in _list_images_at(path)]
            if not inside:
                raise UserError(f"No image fits the pattern {text}.")
        else:
            raise UserError(f"There is no file or folder {path}.")
        found.update(((image.path, image.scene), image) for image in inside)
    inputs = list(_drop_tiff_parts(found.values()))
    _check_clashes(inputs)
    return [replace(image, title=printable(image.title)) for image in inputs]


def describe_passed_over(given: Iterable[str | Path]) -> str:
    """Return how many files of folders are no images to segment, and why; empty if none."""
    folders = [path for path in map(Path, given) if path.is_dir() and not is_zarr(path)]
    passed_over = Counter[str]()
    for folder in folders:
        passed_over += select_images(folder.iterdir()).passed_over
    return Selection((), passed_over).describe()


def _drop_tiff_parts(found: Collection[InputImage]) -> Iterator[InputImage]:
    """Drop files whose image is read through another one of them."""
    covered: set[Path] = set()
    paths = {image.path for image in found}
    for image in found:
        path = image.path
        if not path.name.lower().endswith(OME_TIFF_SUFFIXES):
            yield image
        elif path not in covered:
            parts = list_tiff_files(path)
            if parts[0] == path or parts[0] not in paths:
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
    for entry in select_images(path.iterdir()).images:
        yield from _list_images_at(entry)


def _list_images_at(path: Path) -> Iterator[InputImage]:
    """List the images of a file, or of an OME-Zarr."""
    if path.suffix.lower() in microscopes.SUFFIXES and path.is_file():
        yield from _list_scenes(path)
        return
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


def _list_scenes(path: Path) -> Iterator[InputImage]:
    """List the images of a file of several."""
    try:
        names = microscopes.list_scenes(path)
    except UserError:  # raised again, with its reason, when it is opened
        names = [""]
    for scene, name in enumerate(names):
        if len(names) == 1:
            yield InputImage(path, image_stem(path), path.name)
        else:
            stem = f"{image_stem(path)}_{sanitize_name(name, str(scene))}"
            yield InputImage(path, stem, f"{path.name}/{name}", scene)


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


def open_image(path: Path, level: int = 0, scene: int = 0) -> OpenedImage:
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
            image = open_lazily(path, level, scene)
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
