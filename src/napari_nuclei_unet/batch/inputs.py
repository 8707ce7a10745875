"""Input images, given by files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..arrays.selection import has_channels
from ..errors import UserError
from ..io.image_group import LABELS_GROUP
from ..io.image_labels import has_consolidated_metadata
from ..io.lazy_images import image_stem, name_image
from ..io.multifile_tiff import list_tiff_files
from ..io.nucleus_masks import IMAGES_FOLDER, has_image_folders
from ..io.open import list_images, open_image
from ..io.paths import printable
from ..io.readers.ome_zarr import ZARR_METADATA_FILES, is_zarr, list_zarr_images
from ..progress import check_interruption
from .folders import Selection, select_images
from .patterns import expand_pattern

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
    scene : int or None
        Number of the image in a file of several.
    """

    path: Path
    stem: str
    title: str
    scene: int | None = None

    @property
    def location(self) -> str:
        """Its path, followed by its name in a file of several."""
        inside = "" if self.scene is None else self.title.removeprefix(printable(self.path.name))
        return f"{self.path}{inside}"


def select_scene(inputs: Iterable[InputImage], scene: int) -> list[InputImage]:
    """Select the images of this number; files of one image have number 0.

    Raises
    ------
    UserError
        If there is none.
    """
    chosen = [item for item in inputs if (item.scene or 0) == scene]
    if not chosen:
        raise UserError(f"There is no image {scene}: choose another `scene`, from 0.")
    return chosen


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
        One for each image of a plate or a file, and one for all files of an OME-TIFF of several.
        What cannot be read is among them: opening it says why.

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no image, a pattern matches none, or two images
        would write the same results.
    """
    found: list[InputImage] = []
    for text in given:
        path = Path(text)
        if path.exists() or path.is_symlink():
            inside = list(_list_images(path))
            if not inside:
                raise UserError(_explain_no_image(path))
        elif glob.has_magic(str(text)):
            matches = select_images(expand_pattern(str(text))).images
            inside = [image for path in matches for image in _list_images_at(path)]
            if not inside:
                raise UserError(f"No image fits the pattern {text}.")
        else:
            raise UserError(f"There is no file or folder {path}.")
        found += inside
    inputs = list(_drop_tiff_parts(dict.fromkeys(found)))
    _check_clashes(inputs)
    return [replace(image, title=printable(image.title)) for image in inputs]


def list_inputs(given: Iterable[str | Path]) -> list[InputImage]:
    """List images by their names alone, without opening a file: one for each file.

    It is what the window shows at once of a folder of thousands; :func:`find_inputs` knows also
    which files hold several images, or a part of one.

    Parameters
    ----------
    given : iterable of str or Path
        As of :func:`find_inputs`, without patterns.

    Raises
    ------
    UserError
        If a path does not exist or cannot be listed, a folder holds no image, or two images would
        write the same results.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if not (path.exists() or path.is_symlink()):
            raise UserError(f"There is no file or folder {path}.")
        if not path.is_dir() or is_zarr(path):
            found.append(path)
            continue
        try:
            inside = select_images(path.iterdir()).images
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"The folder {path} cannot be read: {reason}.") from error
        if not inside:
            raise UserError(_explain_no_image(path))
        found += inside
    inputs = [InputImage(path, image_stem(path), path.name) for path in dict.fromkeys(found)]
    _check_clashes(inputs)
    return [replace(image, title=printable(image.title)) for image in inputs]


def _explain_no_image(folder: Path) -> str:
    """Explain what a folder holds instead of images, and where these are, if that is known."""
    others = select_images(folder.iterdir()).describe()
    reason = f"The folder {folder} contains no TIFF, PNG, JPEG or OME-Zarr image"
    sentence = f"{reason}{others and f': {others}'}."
    if not has_image_folders(folder):
        return sentence
    return (
        f"{sentence} Those of its folders have the pattern '{folder / '*' / IMAGES_FOLDER / '*'}'."
    )


def describe_passed_over(given: Iterable[str | Path]) -> str:
    """Return how many files of folders are no images to segment, and why; empty if none."""
    folders = [path for path in map(Path, given) if path.is_dir() and not is_zarr(path)]
    passed_over = Counter[str]()
    for folder in folders:
        passed_over += select_images(folder.iterdir()).passed_over
    return Selection((), passed_over).describe()


def _drop_tiff_parts(found: Iterable[InputImage]) -> Iterator[InputImage]:
    """Drop files whose image is read through another one of them."""
    images = list(found)
    paths, covered = {image.path for image in images}, dict[Path, Path]()
    for image in images:
        path = image.path
        if path.name.lower().endswith(OME_TIFF_SUFFIXES) and path not in covered:
            parts = list_tiff_files(path)
            first = path if parts[0] == path or parts[0] not in paths else parts[0]
            covered.update((part, first) for part in (*parts, path) if part not in covered)
        if covered.get(path, path) == path:
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
    check_interruption()  # thousands of files take a while
    if not is_zarr(path):
        yield from _list_scenes(path)
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
    """List the images in a file."""
    try:
        names = list_images(path)
    except UserError:  # raised again when it is opened
        names = [path.name]
    if len(names) == 1:
        yield InputImage(path, image_stem(path), path.name)
        return
    for scene, name in enumerate(names):
        yield InputImage(path, name_image(path, names, scene), f"{path.name}/{name}", scene)


def any_has_channels(inputs: Iterable[InputImage], axes: str | None) -> bool:
    """Return whether channels can be chosen in one of the images; nothing is read of the pixels.

    Parameters
    ----------
    inputs : iterable of InputImage
    axes : str or None
        As in :func:`~napari_nuclei_unet.arrays.selection.select_planes`.
    """
    for item in inputs:
        try:
            image = open_image(item.path, scene=item.scene)
        except UserError:  # reported when it is segmented
            continue
        if has_channels(image.pixels.shape, axes, image.axes, image.is_rgb):
            return True
    return False


def stamp_files(*paths: Path) -> FileStamp:
    """Return the time and size of an image's files, by which a change is detected.

    Of several files, as in a zarr folder, the newest of the first ``MAX_STAMPED_FILES`` counts, as
    there may be millions. Labels in an OME-Zarr, and what they change in it, do not count.

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
        yield from _walk_folder(path, is_top=is_zarr(path))


def _walk_folder(path: Path, is_top: bool = False) -> Iterator[os.DirEntry[str]]:
    ignored = _list_ignored(path) if is_top else ()
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_top and (entry.name in ignored or _is_hidden(entry.name)):
                continue
            if entry.is_dir(follow_symlinks=False):  # links may lead around in a loop
                yield from _walk_folder(Path(entry.path))
            else:
                yield entry


def _list_ignored(image: Path) -> tuple[str, ...]:
    """Return the entries of an OME-Zarr that change when labels are written into it."""
    is_v3_consolidated = (image / "zarr.json").is_file() and has_consolidated_metadata(image)
    return (LABELS_GROUP, ".zmetadata", *(["zarr.json"] if is_v3_consolidated else []))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in ZARR_METADATA_FILES
