"""Images in OME-Zarr, into which labels can be written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .ngff import LabelsGrid, NgffVersion, read_ngff
from .open import open_image
from .read_errors import convert_decoder_errors
from .readers.ome_zarr import is_zarr, list_zarr_images

# Of an image, in which all its labels are.
LABELS_GROUP = "labels"
# More letters than those of a drive; a Path has lost the second slash.
URL = re.compile(r"[a-zA-Z][\w+.-]+:/")


@dataclass(frozen=True)
class ImageGroup:
    """An image in OME-Zarr, into which labels can be written.

    Attributes
    ----------
    path : Path
    version : {"0.4", "0.5"}
        Of its NGFF metadata, and of those of labels in it.
    grid : LabelsGrid
        Of its labels: that of the image without the axis of channels.
    levels : int
        Of its pyramid.
    """

    path: Path
    version: NgffVersion
    grid: LabelsGrid
    levels: int

    @property
    def labels(self) -> Path:
        """Folder of all its labels; it need not exist."""
        return self.path / LABELS_GROUP

    def match_axes(self, axes: str, shape: Sequence[int]) -> tuple[int | None, ...]:
        """Return the axis of labels for each axis of the grid; None for one that they do not have.

        Axes of length 1 may be missing on either side.

        Raises
        ------
        UserError
            If labels of this shape do not match the image.
        """
        own = dict(zip(self.grid.axes, self.grid.shape, strict=True))
        theirs = dict(zip(axes, shape, strict=True))
        if {a: n for a, n in theirs.items() if n > 1} == {a: n for a, n in own.items() if n > 1}:
            return tuple(axes.index(axis) if axis in axes else None for axis in own)
        # the letters of TIFF without metadata, and of layers, may be guessed
        long = [at for at, n in enumerate(shape) if n > 1]
        if [shape[at] for at in long] == [n for n in own.values() if n > 1]:
            rest = iter(long)
            return tuple(next(rest) if n > 1 else None for n in own.values())
        raise UserError(
            f"The labels of shape {tuple(shape)} ({axes}) do not match the image {self.path} "
            f"of shape {self.grid.shape} ({self.grid.axes}): take labels of all its planes in full "
            "resolution."
        )


def open_image_group(path: str | Path) -> ImageGroup:
    """Open an image in OME-Zarr, to write labels into it.

    Parameters
    ----------
    path : str or Path
        Of the image; of a plate or a collection that of one image inside, such as
        ``plate.zarr/A/1/0``.

    Raises
    ------
    UserError
        If labels cannot be written there.
    """
    # takes a moment to load, and few images are zarr
    from .zarr_nodes import open_node

    if URL.match(str(path)) and not Path(path).exists():
        raise UserError(f"{path} is on the network: labels can only be written to this computer.")
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    if not is_zarr(path):
        raise UserError(f"{path} is not an OME-Zarr image, and only those can contain labels.")
    images = list_zarr_images(path)
    if len(images) > 1:
        raise UserError(
            f"{path} contains several images: choose one of the {len(images)}, such as "
            f"{path / images[0][0]}."
        )
    path = images[0][1]
    with convert_decoder_errors(path):
        group = open_node(path, use_consolidated=False)
        return _read_group(path, group, read_ngff(group.attrs))


def _read_group(path: Path, group: Any, ngff: Mapping[str, Any]) -> ImageGroup:
    if "multiscales" not in ngff:
        raise UserError(
            f"{path} is an array, not an OME-Zarr image: choose the folder of the image."
        )
    if "image-label" in ngff:
        raise UserError(f"{path} contains labels: choose the image to which they belong.")
    version = _read_version(path, group)
    image = ngff["multiscales"][0]
    return ImageGroup(path, version, _read_grid(path, image), len(image["datasets"]))


def _read_version(path: Path, group: Any) -> NgffVersion:
    attributes, zarr_format = dict(group.attrs), group.metadata.zarr_format
    if zarr_format == 2 and "ome" not in attributes:
        return "0.4"  # what is older is on zarr 2, too
    version = str(attributes.get("ome", {}).get("version"))
    if zarr_format == 3 and version.startswith("0.5"):
        return "0.5"
    raise UserError(f"{path} is neither NGFF 0.4 nor 0.5: convert it to one of them first.")


def _read_grid(path: Path, image: Mapping[str, Any]) -> LabelsGrid:
    opened = open_image(path)
    axes = opened.axes or ""
    order = [at for at, letter in enumerate(axes) if letter != "C"]
    letters = "".join(axes[at] for at in order)
    if letters[-2:] != "YX" or len(set(letters)) < len(letters):
        raise UserError(f"The axes of {path} must end in y and x, each named once, not {axes}.")
    start = _read_translation(image, len(axes))
    return LabelsGrid(
        tuple(opened.pixels.shape[at] for at in order),
        letters,
        tuple(opened.scale[at] for at in order),
        tuple(opened.units[at] for at in order),
        tuple(start[at] for at in order),
    )


def _read_translation(image: Mapping[str, Any], ndim: int) -> list[float]:
    """Return the position of the first pixel, after all transformations in their order."""
    start = [0.0] * ndim
    for part in (image["datasets"][0], image):
        for step in part.get("coordinateTransformations") or ():
            factors, shifts = step.get("scale") or [1] * ndim, step.get("translation") or [0] * ndim
            start = [at * f + d for at, f, d in zip(start, factors, shifts, strict=True)]
    return start
