"""The image that labels were made from, opened with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from napari.utils.colormaps import CYMRGB, MAGENTA_GREEN

from ...errors import UserError
from ...io.record_paths import NEAR_FOLDERS, is_far, real_path
from ...provenance.record import Provenance, SourceImage
from .image_file import AxisPosition, OpenedFile, is_plane_too_large
from .metadata_keys import IMAGE_FILE_KEY

if TYPE_CHECKING:
    from ...export.result import Result
    from ...io.lazy_images import LazyImage

# Parts of its path by which a moved image is looked for, in the folders above the labels.
SEARCHED_PARTS = 3

LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """The image of labels.

    Attributes
    ----------
    path : Path or None
        None: it was not found, or does not fit.
    layers : tuple of LayerData
        One, or one for each channel.
    segmented : int
        Number of the layer that was segmented.
    notice : str
        Why it was not opened, or may be another one; empty: it is as it was.
    """

    path: Path | None = None
    layers: tuple[LayerData, ...] = ()
    segmented: int = 0
    notice: str = ""

    @property
    def name(self) -> str:
        """Name of the layer that was segmented."""
        return str(self.layers[self.segmented][1]["name"]) if self.layers else ""


def open_labels_image(result: Result, labels: Path, image: Path | None = None) -> OpenedImage:
    """Open the image of labels; a file that is gone, or does not fit, is left out with a notice.

    Parameters
    ----------
    result : Result
        The labels.
    labels : Path
        Their file.
    image : Path, optional
        Its file; by default where the record of the labels says, or in the same place relative to
        them.
    """
    try:
        provenance = Provenance.from_json(result.record)
    except UserError:
        return OpenedImage()
    source = provenance.source
    if source is None or source.path is None or "://" in source.path:
        return OpenedImage()
    path = image or find_image(source.path, labels)
    if path is None:
        return OpenedImage(
            notice=f"The image of these labels, {source.path}, was not found: open it yourself, "
            "and choose it in Review nuclei."
        )
    try:
        notice = _describe_change(path, provenance, labels)
        if image is None and is_far(path, labels.parent):
            notice = f"The image of these labels was opened from {path}. {notice}".strip()
        return _open(path, source, result, notice)
    except (UserError, OSError, MemoryError) as error:
        return OpenedImage(notice=f"The image of these labels cannot be opened: {error}")


def open_image_layers(path: Path, scene: int | None = None) -> tuple[LayerData, ...]:
    """Open an image that has no labels yet: one layer, or one for each channel.

    Parameters
    ----------
    path : Path
    scene : int, optional
        Number of the image in a file of several.

    Raises
    ------
    UserError
        If it cannot be read, or a plane of it does not fit into memory.
    """
    file = OpenedFile(str(path), scene)
    image = file.open()
    if is_plane_too_large(image):
        raise UserError(f"The image {path} is large: open it yourself.")
    axes = image.axes or ""
    file = replace(file, positions=(None,) * (len(image.pixels.shape) - image.is_rgb))
    if "C" in axes and not image.is_rgb:
        return _create_channels(file, image, axes.index("C"), None)
    return (_create_layer(file, image, None),)


def find_image(recorded: str, labels: Path) -> Path | None:
    """Find the image of labels: where it was, or in the same place relative to the labels."""
    return next((path for path in _places(recorded, labels) if path.exists()), None)


def _places(recorded: str, labels: Path) -> Iterator[Path]:
    yield Path(recorded)
    parts = PureWindowsPath(recorded).parts  # which reads paths of all systems
    for folder in list(real_path(labels).parents)[:NEAR_FOLDERS]:
        for count in range(1, min(SEARCHED_PARTS, len(parts)) + 1):
            yield folder.joinpath(*parts[-count:])


def _describe_change(path: Path, provenance: Provenance, labels: Path) -> str:
    """Return a notice if a file is not the one that was segmented, as far as its record says."""
    given = (provenance.fingerprint or {}).get("image")
    if not (isinstance(given, list) and len(given) == 2 and isinstance(given[1], list)):
        return ""
    modified, size, *_ = [*given[1], 0, 0]
    status = path.stat()
    same_place = provenance.source is not None and provenance.source.path == str(path)
    # a copy of a folder has other times, too, but its image is seldom newer than its labels
    is_newer = status.st_mtime_ns > labels.stat().st_mtime_ns
    is_touched = same_place and is_newer and status.st_mtime_ns != modified
    if path.is_file() and (status.st_size != size or is_touched):
        return f"The image {path} has changed since these labels were made: check that they fit."
    return ""


def _open(path: Path, source: SourceImage, result: Result, notice: str) -> OpenedImage:
    for level in sorted({0, source.level}):
        file = OpenedFile(str(path), source.scene, level)
        image = file.open()
        selection = _select(image, source, result.labels.shape)
        if selection is None:
            continue
        if is_plane_too_large(image):
            return OpenedImage(path, notice=f"The image {path} is large: open it yourself.")
        file = replace(file, positions=selection.positions)
        if selection.channel_axis is None:
            return OpenedImage(path, (_create_layer(file, image, result),), 0, notice)
        layers = _create_channels(file, image, selection.channel_axis, result)
        is_number = isinstance(source.channel, int) and source.channel < len(layers)
        return OpenedImage(path, layers, int(source.channel or 0) if is_number else 0, notice)
    return OpenedImage(
        notice=f"The image {path} has another shape than these labels, and is not opened with them."
    )


@dataclass(frozen=True)
class _Selection:
    """The part of an image that labels are of.

    Attributes
    ----------
    positions : tuple
        As of an ``OpenedFile``.
    channel_axis : int or None
        Of the image, if its channels are layers of their own.
    """

    positions: tuple[AxisPosition, ...]
    channel_axis: int | None = None


def _select(image: LazyImage, source: SourceImage, shape: tuple[int, ...]) -> _Selection | None:
    """Find the part of an image that has the shape of labels; None if there is none."""
    lengths = image.pixels.shape[: len(image.pixels.shape) - image.is_rgb]
    recorded = _recorded_positions(source)[: len(lengths)]
    if len(recorded) != len(lengths):
        return None
    channel = source.axes[: len(lengths)].find("C")
    for positions in ((None,) * len(lengths), recorded):
        spans = [
            (axis, length if at is None else max(min(at[1], length) - at[0], 0))
            for axis, (at, length) in enumerate(zip(positions, lengths, strict=True))
            if not isinstance(at, int)
        ]
        if tuple(1 if axis == channel else length for axis, length in spans) == shape:
            return _Selection(positions)
        if tuple(length for axis, length in spans if axis != channel) == shape:
            # where other axes come before, napari would take channels for one of theirs
            return _Selection(positions, channel if spans[0][0] < channel else None)
    return None


def _recorded_positions(source: SourceImage) -> tuple[AxisPosition, ...]:
    """Return the planes that a record is of, for each axis."""
    free = iter(source.planes)
    return tuple(None if name in "CYX" else _to_position(next(free)) for name in source.axes)


def _to_position(planes: int | str) -> AxisPosition:
    if isinstance(planes, int):
        return planes
    first, _, last = planes.partition("-")
    return None if planes == "all" else (int(first), int(last) + 1)


def _create_layer(
    file: OpenedFile, image: LazyImage, result: Result | None, **others: Any
) -> LayerData:
    """Create the layer of a part of an image, with the geometry of the labels where they have it.

    Its other axes, and all where there are no labels, have that of the image.
    """
    kept = [axis for axis, at in enumerate(file.positions) if not isinstance(at, int)]
    scale, units = [image.scale[axis] for axis in kept], [image.units[axis] for axis in kept]
    letters = [(image.axes or "")[axis : axis + 1].lower() for axis in kept]
    if result is not None and len(kept) >= (count := len(result.axes)):
        letters[-count:] = result.axes.lower()
        if result.spacing:
            scale[-count:], units[-count:] = result.spacing, result.units or (None,) * count
    attributes: dict[str, Any] = {
        "name": image.name,
        "rgb": image.is_rgb,
        "metadata": {IMAGE_FILE_KEY: file},
        "scale": tuple(scale),
        "units": tuple(unit or "pixel" for unit in units),
    }
    if all(letters):
        attributes["axis_labels"] = tuple(letters)
    return file.read(image), attributes | others, "image"


def _create_channels(
    file: OpenedFile, image: LazyImage, axis: int, result: Result | None
) -> tuple[LayerData, ...]:
    """Create a layer for each channel."""
    count = image.pixels.shape[axis]
    names = image.channel_names if len(image.channel_names) == count else map(str, range(count))
    colours = MAGENTA_GREEN if count == 2 else CYMRGB
    layers = []
    for number, name in enumerate(names):
        positions = (*file.positions[:axis], number, *file.positions[axis + 1 :])
        others = {
            "name": f"{image.name} {name}",
            "colormap": colours[number % len(colours)],
            "blending": "additive",
        }
        part = replace(file, positions=positions)
        layers.append(_create_layer(part, image, result, **others))
    return tuple(layers)
