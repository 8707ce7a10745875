"""Files of microscopes, ND2, CZI, LIF, OIB and others, read with openreadout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ..lazy_images import LazyArray, LazyImage
from ..openable import check_openable
from ..paths import sanitize_name
from ..pixel_size import UM, UNKNOWN_SPACING, Spacings, check_spacings, parse_spacing
from ..suffixes import MICROSCOPE_KINDS

if TYPE_CHECKING:
    from openreadout import File, ImageInfo

SUFFIXES = tuple(MICROSCOPE_KINDS)
INSTALL = 'pip install "napari-nuclei-unet[formats]"'
# Folders of pixels that belong to a file beside them, such as a.oif.files and _a_ of a.vsi.
PART_FOLDERS = ((".oif", "{name}.files"), (".vsi", "_{stem}_"))
# How openreadout orders the axes of all files; colours follow.
AXES = "TCZYX"
# Whose check reads the headers of all planes, in milliseconds, but no pixels.
CHECKED_FORMATS = ("czi", "nd2", "lif")
# What a check finds wrong, the most telling first.
MISSING_PLANES = "missing_planes"
TELLING_FINDINGS = (MISSING_PLANES, "truncated")


def list_part_folders(path: Path) -> list[Path]:
    """List the folders beside a file in which its pixels would be."""
    suffix = path.suffix.lower()
    names = [form.format(name=path.name, stem=path.stem) for s, form in PART_FOLDERS if s == suffix]
    return [path.with_name(name) for name in names]


def can_read() -> bool:
    """Return whether openreadout, of the extra ``formats``, is installed."""
    return find_spec("openreadout") is not None


def list_scenes(path: Path) -> list[str]:
    """List the names of the images in a file: its positions, tiles or series.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        Unique; of a single image as in the file, or "0".

    Raises
    ------
    UserError
        If the file cannot be read, or holds no image.
    """
    with _open(path) as opened:
        return _scene_names(opened.images)


def open_scene(path: Path, scene: int = 0, level: int = 0) -> LazyImage:
    """Open one of the images in a file, without reading its pixels.

    Parameters
    ----------
    path : Path
    scene : int, optional
        Number of the image in the file.
    level : int, optional
        Of a pyramid; 0 is full resolution.

    Returns
    -------
    LazyImage
        Without axes of length 1 other than Y and X. A mosaic is one plane.

    Raises
    ------
    UserError
        If there is no such image or level, or planes of it are missing or broken off.
    """
    with _open(path) as opened:
        names = _scene_names(opened.images)
        if not 0 <= scene < len(names):
            raise UserError(
                f"{path} contains {len(names)} images, counted from 0, and no number {scene}."
            )
        _check_whole(path, opened, scene)
        levels = opened.levels(scene)
        if not 0 <= level < len(levels):
            raise UserError(f"{path} has the levels 0 to {len(levels) - 1}, and no level {level}.")
        image, source = opened.images[scene], _Planes(path, opened, scene, level)
    spacings = _read_spacings(image, levels[level])
    is_rgb = len(source.shape) > len(AXES)
    letters = "".join(
        letter
        for letter, length in zip(AXES, source.shape, strict=False)
        if length > 1 or letter in "YX"
    )
    order = [AXES.index(letter) for letter in letters] + [len(AXES)] * is_rgb
    sizes = [spacings.get(letter, UNKNOWN_SPACING) for letter in letters]
    return LazyImage(
        LazyArray(source, order, path),
        letters,
        tuple(size for size, _ in sizes),
        tuple(unit for _, unit in sizes),
        path.stem if len(names) == 1 else f"{path.stem}_{sanitize_name(names[scene], str(scene))}",
        tuple(str(channel.get("name") or n) for n, channel in enumerate(image["channels"])),
        is_rgb,
    )


class _Planes:
    """The planes of an image, T, C, Z, Y, X and colours, read and decoded where they are sliced."""

    def __init__(self, path: Path, opened: File, scene: int, level: int) -> None:
        self._path, self._scene, self._level = path, scene, level
        self._opened = _import_openreadout(path).File(path)  # closes with this array
        self.shape = opened.shape(scene, level)
        self.dtype = opened.dtype(scene)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        lead = [
            range(length)[at] if isinstance(at, slice) else (at,)
            for at, length in zip(index[:3], self.shape, strict=False)
        ]
        rows, columns = (_as_slice(at) for at in index[3:5])
        inside = (rows.indices(self.shape[3]), columns.indices(self.shape[4]))
        size = [len(range(*part)) for part in inside]
        pixels = np.zeros([*map(len, lead), *size, *self.shape[5:]], self.dtype)
        if pixels.size:
            for position in np.ndindex(*pixels.shape[:3]):
                t, c, z = (at[n] for at, n in zip(lead, position, strict=True))
                pixels[position] = self._read_plane(t, c, z, inside)
        whole = [slice(None) if isinstance(at, slice) else 0 for at in index[:5]]
        return np.asarray(pixels[(*whole, *index[5:])])

    def _read_plane(
        self, t: int, c: int, z: int, inside: tuple[tuple[int, int, int], ...]
    ) -> NDArray[Any]:
        (top, bottom, row_step), (left, right, column_step) = inside
        with _convert_errors(self._path):
            part = self._opened.read_plane(
                self._scene, c, z, t,
                level=self._level,
                region=(left, top, right - left, bottom - top),
            )  # fmt: skip
        return part[::row_step, ::column_step]


def _as_slice(at: int | slice) -> slice:
    return at if isinstance(at, slice) else slice(at, at + 1)


def _import_openreadout(path: Path) -> Any:
    try:
        import openreadout  # an extra
    except ImportError:
        raise UserError(
            f"{path} is a file of {MICROSCOPE_KINDS[path.suffix.lower()]}, which an extra reads: "
            f"install it with {INSTALL}, or save it as OME-TIFF."
        ) from None
    return openreadout


@contextmanager
def _open(path: Path) -> Iterator[File]:
    openreadout = _import_openreadout(path)
    for folder in list_part_folders(path):
        for part in folder.iterdir() if folder.is_dir() else ():
            check_openable(part)
    with _convert_errors(path), openreadout.File(path) as opened:
        if not opened.images:
            raise UserError(f"{path} cannot be read: it contains no image, or is damaged.")
        yield opened


@contextmanager
def _convert_errors(path: Path) -> Iterator[None]:
    """Convert the errors of openreadout; a panic of its native part is no Exception."""
    try:
        yield
    except (UserError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        text = str(error).partition(" (hint:")[0].splitlines() or [type(error).__name__]
        reason = text[0].rpartition("corrupt file: ")[2]
        raise UserError(
            f"{path} cannot be read: it is damaged or incomplete ({reason})."
        ) from error


def _check_whole(path: Path, opened: File, scene: int) -> None:
    """Raise an error where planes of a scene are missing or broken off.

    What is left of a file would be read without a word, as if it were the image.
    """
    if opened.info["format"]["id"] not in CHECKED_FORMATS:
        return
    wrong = [f for f in opened.check()["findings"] if f["severity"] == "error"]
    wrong = [f for f in wrong if _concerns(f["message"], scene)]
    if all(finding["code"] == MISSING_PLANES for finding in wrong):
        return  # an acquisition that was stopped: reading such a plane names it
    codes = [finding["code"] for finding in wrong]
    telling = next((code for code in TELLING_FINDINGS if code in codes), codes[0])
    reason = wrong[codes.index(telling)]["message"].replace("(z,c,t) ", "")
    raise UserError(
        f"{path} is incomplete or damaged ({reason}): copy it again, or export what is there as "
        "OME-TIFF."
    )


def _concerns(message: str, scene: int) -> bool:
    """Return whether a finding is of a scene or of the whole file."""
    named = re.match(r"image (\d+):", message)
    return named is None or int(named[1]) == scene


def _scene_names(images: list[ImageInfo]) -> list[str]:
    """Return unique names; those of Leica begin with the name that the file once had."""
    names = [
        re.sub(r"^[^/]*\.lif/", "", image.get("name") or "") or str(n)
        for n, image in enumerate(images)
    ]
    count = Counter(names)
    return [f"{name}_{n}" if count[name] > 1 else name for n, name in enumerate(names)]


def _read_spacings(image: ImageInfo, level: dict[str, Any]) -> Spacings:
    """Return the size of a pixel of a level, by letter of the axis."""
    sizes: dict[str, Any] = dict(image["physical_size"])
    spacings = check_spacings(
        {axis: parse_spacing(sizes[axis.lower()], UM) for axis in "XYZ" if axis.lower() in sizes}
    )
    for axis in "XY":
        size, unit = spacings.get(axis, UNKNOWN_SPACING)
        spacings[axis] = (size * level[f"downsample_{axis.lower()}"], unit)
    if step := image.get("time_increment_s"):
        spacings["T"] = parse_spacing(step, "second")
    return spacings
