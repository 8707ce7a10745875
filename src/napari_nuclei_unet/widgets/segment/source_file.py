"""The file of an image layer, if our reader reads the same from it as the layer shows."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...arrays.axes import PlaneView
from ...errors import UserError
from ...io.record_paths import real_path
from ..layers.checksum import array_crc32
from ..layers.image_source import ImageSource

if TYPE_CHECKING:
    from ...io.lazy_images import LazyImage

# Squares of this edge, at so many places along each axis, identify an image.
SAMPLE_SQUARE_EDGE, SAMPLES_PER_AXIS = 64, 4


@dataclass(frozen=True)
class SourceFile:
    """A file, and the image in it.

    Attributes
    ----------
    path : str
    scene : int or None
        Number of the image in a file of several.
    """

    path: str
    scene: int | None = None


def find_source_file(source: ImageSource, crc: int) -> SourceFile | None:
    """Find the file of the image, if our reader reads the same plane from it.

    Other readers may reorder the axes, or show colours otherwise.
    """
    for file, image in _iter_images(source, source.level):
        if image.pixels.shape != tuple(source.pixels.shape):
            continue
        if array_crc32(source.plane_index_at_level.read(image.pixels)) == crc:
            return file
    return None


def find_sampled_file(source: ImageSource) -> SourceFile | None:
    """Find the file of the image, if our reader reads the same few squares from it."""
    for file, image in _iter_images(source, 0):
        pixels = image.pixels
        if image.is_read_whole or pixels.shape != tuple(source.full_resolution.shape):
            continue
        stored = dataclasses.replace(source, data=[pixels] if source.image.multiscale else pixels)
        if sample_checksum(stored) == sample_checksum(source):
            return file
    return None


def _iter_images(source: ImageSource, level: int) -> Iterator[tuple[SourceFile, LazyImage]]:
    """Yield the images in the file of a layer, until one cannot be read."""
    # readers of files are imported when they are needed: napari starts faster
    from ...io.open import list_images, open_image

    if source.path is None:
        return
    try:
        path = real_path(source.path)
        names = list_images(path)
        for scene in range(len(names)):
            number = scene if len(names) > 1 else None
            yield SourceFile(str(path), number), open_image(path, level, scene)
    except (UserError, OSError):
        return


def sample_checksum(source: ImageSource) -> int:
    """Compute a checksum of a few squares of a plane, which detects a changed image."""
    pixels, checksum = PlaneView(source.pixels, source.plane_index), 0
    rows, columns = (
        [
            int(number * max(edge - SAMPLE_SQUARE_EDGE, 0) / (SAMPLES_PER_AXIS - 1))
            for number in range(SAMPLES_PER_AXIS)
        ]
        for edge in source.shape
    )
    for top in rows:
        for left in columns:
            try:
                square = pixels[top : top + SAMPLE_SQUARE_EDGE, left : left + SAMPLE_SQUARE_EDGE]
            except UserError:  # a block that cannot be read is reported later
                continue
            checksum = zlib.crc32(np.ascontiguousarray(square).tobytes(), checksum)
    return checksum
