"""Parts of image files that this plugin opens itself, such as the image of labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from ...memory import available_memory
from .metadata_keys import IMAGE_FILE_KEY

if TYPE_CHECKING:
    from ...io.lazy_images import LazyImage

# Images of more bytes are read plane by plane when they are shown.
MAX_BYTES_IN_MEMORY = 2_000_000_000

AxisPosition = int | tuple[int, int] | None


@dataclass(frozen=True)
class OpenedFile:
    """What a layer shows of a file; in its metadata, as napari knows the file of labels only.

    Attributes
    ----------
    path : str
    scene : int or None
        Number of the image in a file of several.
    level : int
        Of a pyramid.
    positions : tuple of (int or None or (int, int))
        For each axis but that of colours: one position, all, or the first and the one after the
        last. Empty: all of it.
    """

    path: str
    scene: int | None = None
    level: int = 0
    positions: tuple[AxisPosition, ...] = ()

    def open(self) -> LazyImage:
        """Open the image.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        # readers of files are imported when they are needed: napari starts faster
        from ...io.open import open_image

        return open_image(Path(self.path), self.level, self.scene)

    def read(self, image: LazyImage) -> Any:
        """Return the part of the opened image: in memory, unless it is too large for that."""
        index = tuple(
            slice(*at) if isinstance(at, tuple) else slice(None) if at is None else at
            for at in self.positions
        )
        if _fits_memory(count_bytes(image, len(image.pixels.shape))):
            return image.pixels[index]
        import dask.array as da  # takes a second

        shape, plane = image.pixels.shape, 2 + image.is_rgb
        chunks = (*(1,) * (len(shape) - plane), *shape[-plane:])
        return da.from_array(image.pixels, chunks=chunks)[index]  # type: ignore[no-untyped-call]


def is_plane_too_large(image: LazyImage) -> bool:
    """Return whether a plane of an image does not fit into memory."""
    return not _fits_memory(count_bytes(image, 2 + image.is_rgb))


def _fits_memory(size: int) -> bool:
    """Return whether so many bytes leave as much memory free for what is done with them."""
    return size <= min(MAX_BYTES_IN_MEMORY, available_memory() // 2)


def count_bytes(image: LazyImage, axes: int) -> int:
    """Count the bytes of an image along its last axes."""
    return math.prod(image.pixels.shape[-axes:]) * image.pixels.dtype.itemsize


def get_layer_path(layer: Layer) -> str:
    """Return the path or address of the file that a layer was opened from; empty: of none."""
    opened = layer.metadata.get(IMAGE_FILE_KEY)
    return opened.path if isinstance(opened, OpenedFile) else str(layer.source.path or "")
