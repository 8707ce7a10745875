"""PNG and JPEG pictures, which are read whole."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageMode
from numpy.typing import NDArray

from ..lazy_images import LazyArray, LazyImage, check_level, check_scene, name_image
from ..read_errors import convert_decoder_errors
from .colours import is_ramp

SUFFIXES = (".png", ".jpg", ".jpeg")
# Modes to which pictures of other modes are converted.
CONVERTED_MODES = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "PA": "RGB", "LA": "L"}
# Of the header of a PNG: where it says how many bits a sample has, and what the samples are.
PNG_MAGIC, DEPTH_AT, KIND_AT = b"\x89PNG\r\n\x1a\n", 24, 25
# Samples of a pixel by kind, of PNGs without a palette.
PNG_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}
_unlimited = threading.Lock()


def list_scenes(path: Path) -> list[str]:
    """List the only image of a file."""
    return [path.stem]


def open_scene(path: Path, scene: int = 0, level: int = 0) -> LazyImage:
    """Open a picture; its pixels are read, all of them, when some are wanted.

    Parameters
    ----------
    path : Path
    scene, level : int, optional
        There is only 0.

    Returns
    -------
    LazyImage
        Of 16-bit colours with all their bits. Palettes and CMYK are RGB, but for a palette that
        is a ramp; the orientation that a camera has noted is left aside, as napari does.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    check_scene(path, scene, 1)
    check_level(path, level, 1)
    with convert_decoder_errors(path):
        picture = _Picture(path)
    ndim = len(picture.shape)
    return LazyImage(
        LazyArray(picture, range(ndim), path), "YX", (1.0, 1.0), (None, None),
        name_image(path, [path.stem], 0), is_rgb=ndim > 2, is_read_whole=True,
        scene_names=(path.stem,),
    )  # fmt: skip


class _Picture:
    """The pixels of a file; read whole at the first slice, and kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pixels: NDArray[Any] | None = None
        self._damage: Exception | None = None
        self._is_wide = _has_16_bits(path)
        with _open_picture(path) as picture:
            self._mode = _choose_mode(picture)
            size = (picture.height, picture.width)
            if self._is_wide:
                samples, kind = _count_png_samples(path), "u2"
            else:
                mode = PIL.ImageMode.getmode(self._mode)
                samples, kind = len(mode.bands), "?" if self._mode == "1" else mode.typestr
        self.dtype: np.dtype[Any] = np.dtype(kind)
        self.shape: tuple[int, ...] = (*size, samples) if samples > 2 else size

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        if self._damage is not None:
            raise self._damage
        if self._pixels is None:
            self._pixels = self._read_once()
        return self._pixels[index].copy()

    def _read_once(self) -> NDArray[Any]:
        """Read all pixels; what is damaged is not decoded again for the next slice."""
        try:
            return self._read()
        except MemoryError:
            raise
        except Exception as error:  # decoders raise all sorts
            if getattr(error, "errno", None) is None:  # no disk that will be there again
                self._damage = error
            raise

    def _read(self) -> NDArray[Any]:
        with _open_picture(self._path) as picture:
            picture.load()  # also of 16 bits: it notices what is broken off
            if self._is_wide:
                _check_png(self._path.read_bytes())
                pixels = np.asarray(imagecodecs.png_decode(self._path.read_bytes()))
                return pixels[..., 0] if len(self.shape) < pixels.ndim else pixels
            if self._mode == "P" or picture.mode == self._mode:
                return np.asarray(picture)
            return np.asarray(picture.convert(self._mode))


@contextmanager
def _open_picture(path: Path) -> Iterator[PIL.Image.Image]:
    """Open a picture of any size: Pillow refuses what might be meant to exhaust the memory."""
    with _unlimited:
        before, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            opened = PIL.Image.open(path, formats=("PNG", "JPEG", "MPO"))
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before
    with opened:
        yield opened


def _choose_mode(picture: PIL.Image.Image) -> str:
    """Return the mode in which a picture is read."""
    if picture.mode == "P" and picture.palette is not None:
        colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        if is_ramp(colours):
            return "P"
    return CONVERTED_MODES.get(picture.mode, picture.mode)


def _read_header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(KIND_AT + 1)


def _has_16_bits(path: Path) -> bool:
    header = _read_header(path)
    return header.startswith(PNG_MAGIC) and header[DEPTH_AT : DEPTH_AT + 1] == b"\x10"


def _check_png(data: bytes) -> None:
    """Raise an error for a damaged part, of which the decoder would print a warning."""
    at = len(PNG_MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body, stored = data[at + 4 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if zlib.crc32(body) != int.from_bytes(stored, "big"):
            raise ValueError(f"the checksum of {body[:4]!r} is wrong")
        at += 12 + length


def _count_png_samples(path: Path) -> int:
    return PNG_SAMPLES[_read_header(path)[KIND_AT]]
