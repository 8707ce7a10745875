"""The one way to open an image file: the reader of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .lazy_images import LazyImage
from .openable import check_openable
from .readers import microscopes, ome_zarr, picture, tiff

IMAGE_SUFFIXES = (*tiff.SUFFIXES, *picture.SUFFIXES)
# First bytes of TIFF in its four forms, and of pictures: a suffix may be wrong.
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")


@dataclass(frozen=True)
class ImageReader:
    """What a module of ``readers`` can do.

    Attributes
    ----------
    list_names : callable
        Returns the names of the images in a file.
    open : callable
        Opens one of them: path, number of the image, level.
    """

    list_names: Callable[[Path], list[str]]
    open: Callable[[Path, int, int], LazyImage]


TIFF_READER = ImageReader(tiff.list_scenes, tiff.open_scene)
PICTURE_READER = ImageReader(picture.list_scenes, picture.open_scene)
MICROSCOPE_READER = ImageReader(microscopes.list_scenes, microscopes.open_scene)
ZARR_READER = ImageReader(ome_zarr.list_scenes, ome_zarr.open_scene)


def find_reader(path: Path) -> ImageReader:
    """Return the reader for a file, or a folder of zarr.

    Raises
    ------
    UserError
        If there is none, or no such file.
    """
    check_openable(path)
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    if path.is_dir():
        if not ome_zarr.is_zarr(path):
            raise UserError(
                f"The folder {path} is not an OME-Zarr image: choose one, or a TIFF file."
            )
        return ZARR_READER
    if path.suffix.lower() in microscopes.SUFFIXES:
        return MICROSCOPE_READER
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not start:
        raise UserError(f"{path} cannot be read: the file is empty.")
    if start.startswith(TIFF_MAGIC):
        return TIFF_READER
    if start.startswith(PICTURE_MAGIC) or path.suffix.lower() in picture.SUFFIXES:
        return PICTURE_READER
    return TIFF_READER


def list_images(path: Path) -> list[str]:
    """List the names of the images in a file: of one image, that of the file.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return find_reader(path).list_names(path)


def open_image(path: Path, level: int = 0, scene: int | None = None) -> LazyImage:
    """Open an image of any kind; pictures are read whole as soon as they are sliced.

    Parameters
    ----------
    path : Path
    level : int, optional
        Of a pyramid; 0 is full resolution.
    scene : int, optional
        Number of the image in a file of several.

    Raises
    ------
    UserError
        If it cannot be read, does not have this level, or holds several images of which none is
        chosen.
    """
    reader = find_reader(path)
    image = reader.open(path, scene or 0, level)
    names = image.scene_names or (() if scene is not None else reader.list_names(path))
    if scene is None and len(names) > 1:
        example = f", such as {path / names[0]}" if path.is_dir() else " with `scene`, from 0"
        raise UserError(f"{path} contains several images: choose one of the {len(names)}{example}.")
    return image


def open_lazily(path: str | Path, level: int = 0, scene: int | None = None) -> LazyImage:
    """Open an image without reading its pixels.

    Parameters
    ----------
    path : str or Path
        OME-Zarr image (NGFF 0.4 and older on zarr 2, 0.5 on zarr 3), zarr array, TIFF or OME-TIFF.
    level : int, optional
        Of a pyramid; 0 is full resolution.
    scene : int, optional
        Number of the image in a file of several, from 0.

    Returns
    -------
    LazyImage
        Without axes of length 1 other than Y and X, unless it is zarr.

    Raises
    ------
    UserError
        If there is no such image or level, the file holds several images of which none is
        chosen, or it cannot be read in parts.
    """
    path = Path(path)
    is_picture = path.is_file() and path.suffix.lower() in picture.SUFFIXES
    image = None if is_picture else open_image(path, level, scene)
    if image is None or image.is_read_whole:
        raise UserError(f"{path} can only be read whole: save it as TIFF or OME-Zarr.")
    return image
