"""TIFF of any program: OME-TIFF, ImageJ, slides, and what else tifffile reads."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import tifffile

from ...errors import UserError
from ..channel_names import read_ome_channel_names
from ..lazy_images import LazyArray, LazyImage, check_level, check_scene, name_image
from ..linked_files import check_tiff_references
from ..pixel_size import UNKNOWN_SPACING, Spacings, read_spacings
from ..read_errors import convert_decoder_errors, silence_tifffile
from ..suffixes import TIFF_SUFFIXES
from .tiff_colours import Samples, interpret_samples
from .tiff_counts import check_claimed, check_counts, find_empty_images
from .tiff_images import TiffImage, find_tiff_images
from .tiff_pixels import TiffPixels
from .tiff_structure import check_pages

SUFFIXES = TIFF_SUFFIXES


def list_scenes(path: Path) -> list[str]:
    """List the names of the images in a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        As in the file, else the number of the image. Previews, labels of slides and levels of
        pyramids are none.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with convert_decoder_errors(path), _open_images(path) as file:
        return file.names


def open_scene(path: Path, scene: int = 0, level: int = 0) -> LazyImage:
    """Open one of the images in a file.

    Parameters
    ----------
    path : Path
    scene : int, optional
        Number of the image.
    level : int, optional
        Of a pyramid; 0 is full resolution.

    Returns
    -------
    LazyImage
        Without axes of length 1 other than Y and X. Reading a plane that is missing raises a
        UserError.

    Raises
    ------
    UserError
        If there is no such image or level, or the file is damaged.
    """
    with convert_decoder_errors(path), _open_images(path) as file:
        check_scene(path, scene, len(file.names))
        if scene >= len(file.images):
            raise UserError(
                f"{path} is incomplete: of its image {file.names[scene]} it contains nothing."
            )
        image = file.images[scene]
        check_level(path, level, len(image.levels))
        series = image.levels[level]
        samples = interpret_samples(TiffPixels(path, series), series.axes, series.keyframe)
        spacings = _scale_to_level(read_spacings(file.opened, image.number), image, level)
        lazy = replace(
            _as_lazy_image(path, samples, spacings),
            name=name_image(path, file.names, scene),
            scene_names=tuple(file.names),
            channel_names=_read_channel_names(file.opened, image),
        )
        file.keep_open_for(lazy.pixels)
    return lazy


@dataclass(eq=False)
class _TiffImages:
    """An open file, and the images in it."""

    opened: tifffile.TiffFile
    images: list[TiffImage]
    empty: list[str] = field(default_factory=list)  # names of those without a plane
    is_kept: bool = False

    @property
    def names(self) -> list[str]:
        names = [image.name for image in self.images] + self.empty
        return [name or str(number) for number, name in enumerate(names)]

    def keep_open_for(self, pixels: LazyArray) -> None:
        """Keep the file open as long as its pixels are used."""
        self.is_kept = True
        weakref.finalize(pixels, self.opened.close)


@contextmanager
def _open_images(path: Path) -> Iterator[_TiffImages]:
    with silence_tifffile():
        opened = tifffile.TiffFile(path)
        file = _TiffImages(opened, [])
        try:
            check_tiff_references(path, opened)
            pages = check_pages(path, opened)
            check_claimed(path, opened)
            file.images = find_tiff_images(opened)
            if not file.images:
                raise UserError(f"{path} cannot be read: it contains no image.")
            if pages is not None:
                check_counts(path, opened, pages)
            file.empty = find_empty_images(path, opened)
            yield file
        finally:
            if not file.is_kept:
                opened.close()


def _as_lazy_image(path: Path, samples: Samples, spacings: Spacings) -> LazyImage:
    """Describe the pixels of an image, without axes of length 1 beside Y and X."""
    source, axes = samples.source, samples.axes
    order = [a for a, letter in enumerate(axes) if source.shape[a] > 1 or letter in "YX"]
    order.sort(key=lambda axis: axes[axis] == "S")  # a stable sort: only colours move
    letters = "".join(axes[axis] for axis in order).replace("S", "")
    known = len(set(letters)) == len(letters) and {"Y", "X"} <= set(letters)
    sizes = [spacings.get(letter, UNKNOWN_SPACING) for letter in letters]
    return LazyImage(
        LazyArray(source, order, path),
        letters if known and not set(letters) & set("QI") else None,
        tuple(size for size, _ in sizes),
        tuple(unit for _, unit in sizes),
        path.stem,
        is_rgb="S" in axes,
    )


def _read_channel_names(opened: tifffile.TiffFile, image: TiffImage) -> tuple[str, ...]:
    xml = opened.ome_metadata if opened.is_ome else None
    return () if xml is None else read_ome_channel_names(xml, image.number)


def _scale_to_level(spacings: Spacings, image: TiffImage, level: int) -> Spacings:
    """Return the spacings of a level, whose pixels are larger."""
    full, reduced = image.levels[0], image.levels[level]
    scaled = dict(spacings)
    for axis, length, short in zip(full.axes, full.shape, reduced.shape, strict=False):
        if axis in "YX":
            size, unit = scaled.get(axis, UNKNOWN_SPACING)
            scaled[axis] = (size * length / short, unit)
    return scaled
